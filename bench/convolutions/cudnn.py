"""cuDNN's own heuristics, asked without a GPU.

Since version 9.8 cuDNN answers for a card that is described in a device property descriptor: which
engine its heuristics would take for a convolution, and how much workspace that engine needs.
Nothing runs. Source: NVIDIA cuDNN documentation, "Deviceless Ahead-of-time Compilation".

The library must be on the loader's path (`install.sh` says how). One of its parts is linked against
the driver's library, which a machine without a GPU lacks; a library that is empty but for the names
stands in, and nothing in it is ever called to any effect.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_TYPES: dict[str, Any] = {
    "INT64": ctypes.c_int64,
    "BACKEND_DESCRIPTOR": ctypes.c_void_p,
    "FLOAT": ctypes.c_float,
}
_DATA_TYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BFLOAT16"}
_OPERATIONS = {
    "forward": ("CONVOLUTION_FORWARD", "CONVOLUTION_FORWARD", ("X", "W", "Y")),
    "backward_data": ("CONVOLUTION_BACKWARD_DATA", "CONVOLUTION_BWD_DATA", ("DX", "W", "DY")),
    "backward_weight": (
        "CONVOLUTION_BACKWARD_FILTER",
        "CONVOLUTION_BWD_FILTER",
        ("X", "DW", "DY"),
    ),
}
# torch leaves out, for 32-bit tensors, what converts them to a narrower type than TF32; and tensor
# cores where TF32 is not allowed.
# Source: PyTorch, ATen/native/cudnn/Conv_v8.cpp, filterEngineConfigs.
_DOWN_CONVERTS = "CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS"
_TENSOR_CORE = "CUDNN_NUMERICAL_NOTE_TENSOR_CORE"
# Bytes; what torch finds of its own blocks, and stops counting at. Source: the same, getAlignment.
_ALIGNMENT = 32
_MOST_NOTES = 20


class CudnnError(Exception):
    """cuDNN refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One convolution kernel; shapes as in NCHW and OIHW, sizes in elements."""

    kernel: str
    input_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    dtype: str
    is_channels_last: bool
    allows_tf32: bool


class Cudnn:
    """The library and the names of its header."""

    def __init__(self, include: Path) -> None:
        self._library = ctypes.CDLL("libcudnn.so.9")
        self._library.cudnnGetVersion.restype = ctypes.c_size_t
        self._names = _read_enumerators(include)
        self.version: int = self._library.cudnnGetVersion()

    def describe_device(self, properties: dict[str, Any]) -> Descriptor:
        """Describe a card by the properties that cuDNN serialises."""
        text = json.dumps(properties).encode()
        device = self._new("DEVICEPROP")
        device.set("DEVICEPROP_JSON_REPRESENTATION", "CHAR", text)
        return device.finalized()

    def workspaces(self, question: Question, device: Descriptor, *, most: int) -> list[int]:
        """Bytes that the heuristics' first candidates need, best first, at most so many.

        Raises:
            CudnnError: there is no such convolution.
        """
        graph = self._graph(question)
        heuristics = self._new("ENGINEHEUR")
        heuristics.set("ENGINEHEUR_OPERATION_GRAPH", "BACKEND_DESCRIPTOR", graph)
        heuristics.set("ENGINEHEUR_MODE", "HEUR_MODE", self.number("CUDNN_HEUR_MODE_A"))
        heuristics.set("ENGINEHEUR_DEVICEPROP", "BACKEND_DESCRIPTOR", device)
        heuristics.finalized()
        candidates = heuristics.get_descriptors("ENGINEHEUR_RESULTS", "ENGINECFG")
        allowed = (c for c in candidates if self._is_allowed(c, question))
        first = itertools.islice(allowed, most)
        return [candidate.get_integer("ENGINECFG_WORKSPACE_SIZE") for candidate in first]

    def number(self, name: str) -> int:
        """Return an enumerator's number."""
        return self._names[name]

    def check(self, status: int, what: str) -> None:
        """Raise if the library's answer is not success."""
        if status:
            raise CudnnError(f"{what}: status {status}")

    def _new(self, kind: str) -> Descriptor:
        return Descriptor(self, self._library, f"CUDNN_BACKEND_{kind}_DESCRIPTOR")

    def _is_allowed(self, candidate: Descriptor, question: Question) -> bool:
        if question.dtype != "float32":
            return True
        engine = candidate.get_descriptors("ENGINECFG_ENGINE", "ENGINE", 1)[0]
        notes = engine.get_integers("ENGINE_NUMERICAL_NOTE", "NUMERICAL_NOTE", _MOST_NOTES)
        if self.number(_DOWN_CONVERTS) in notes:
            return False
        return question.allows_tf32 or self.number(_TENSOR_CORE) not in notes

    def _tensor(self, number: int, shape: tuple[int, ...], question: Question) -> Descriptor:
        _, channels, height, width = shape
        strides = [channels * height * width, height * width, width, 1]
        if question.is_channels_last:
            strides = [channels * height * width, 1, width * channels, channels]
        tensor = self._new("TENSOR")
        dtype = self.number(f"CUDNN_DATA_{_DATA_TYPES[question.dtype]}")
        tensor.set("TENSOR_DATA_TYPE", "DATA_TYPE", dtype)
        tensor.set("TENSOR_DIMENSIONS", "INT64", shape)
        tensor.set("TENSOR_STRIDES", "INT64", strides)
        tensor.set("TENSOR_UNIQUE_ID", "INT64", number)
        tensor.set("TENSOR_BYTE_ALIGNMENT", "INT64", _ALIGNMENT)
        return tensor.finalized()

    def _graph(self, question: Question) -> Descriptor:
        convolution = self._new("CONVOLUTION")
        single = self.number("CUDNN_DATA_FLOAT")
        convolution.set("CONVOLUTION_COMP_TYPE", "DATA_TYPE", single)
        mode = self.number("CUDNN_CROSS_CORRELATION")
        convolution.set("CONVOLUTION_CONV_MODE", "CONVOLUTION_MODE", mode)
        convolution.set("CONVOLUTION_PRE_PADDINGS", "INT64", question.padding)
        convolution.set("CONVOLUTION_POST_PADDINGS", "INT64", question.padding)
        convolution.set("CONVOLUTION_DILATIONS", "INT64", question.dilation)
        convolution.set("CONVOLUTION_FILTER_STRIDES", "INT64", question.stride)
        convolution.set("CONVOLUTION_SPATIAL_DIMS", "INT64", len(question.stride))
        convolution.finalized()
        kind, prefix, names = _OPERATIONS[question.kernel]
        operation = self._new(f"OPERATION_{kind}")
        operation.set(f"OPERATION_{prefix}_CONV_DESC", "BACKEND_DESCRIPTOR", convolution)
        shapes = (question.input_shape, question.weight_shape, question.output_shape)
        for number, (name, shape) in enumerate(zip(names, shapes, strict=True), start=1):
            tensor = self._tensor(number, shape, question)
            operation.set(f"OPERATION_{prefix}_{name}", "BACKEND_DESCRIPTOR", tensor)
        operation.set(f"OPERATION_{prefix}_ALPHA", "FLOAT", 1.0)
        operation.set(f"OPERATION_{prefix}_BETA", "FLOAT", 0.0)
        operation.finalized()
        graph = self._new("OPERATIONGRAPH")
        graph.set("OPERATIONGRAPH_OPS", "BACKEND_DESCRIPTOR", operation)
        return graph.finalized()


class Descriptor:
    """One of cuDNN's backend descriptors. It keeps those that it refers to alive."""

    def __init__(self, cudnn: Cudnn, library: Any, kind: str) -> None:
        self._cudnn, self._library, self._kind = cudnn, library, kind
        self._refers_to: list[Descriptor] = []
        self.pointer = ctypes.c_void_p()
        status = library.cudnnBackendCreateDescriptor(
            cudnn.number(kind), ctypes.byref(self.pointer)
        )
        cudnn.check(status, kind)

    def __del__(self) -> None:
        self._library.cudnnBackendDestroyDescriptor(self.pointer)

    def set(self, attribute: str, kind: str, value: Any) -> None:
        """Set one attribute to a value, or to several."""
        values = value if isinstance(value, (bytes, list, tuple)) else [value]
        self._refers_to += [entry for entry in values if isinstance(entry, Descriptor)]
        if isinstance(values, bytes):
            buffer: Any = ctypes.create_string_buffer(values, len(values))
        else:
            raw = [v.pointer.value if isinstance(v, Descriptor) else v for v in values]
            buffer = (_TYPES.get(kind, ctypes.c_int32) * len(raw))(*raw)
        status = self._library.cudnnBackendSetAttribute(
            self.pointer,
            self._cudnn.number(f"CUDNN_ATTR_{attribute}"),
            self._cudnn.number(f"CUDNN_TYPE_{kind}"),
            ctypes.c_int64(len(values)),
            buffer,
        )
        self._cudnn.check(status, attribute)

    def finalized(self) -> Descriptor:
        """Finish the descriptor."""
        self._cudnn.check(self._library.cudnnBackendFinalize(self.pointer), self._kind)
        return self

    def get_integer(self, attribute: str) -> int:
        """Return one number."""
        return self.get_integers(attribute, "INT64", 1)[0]

    def get_integers(self, attribute: str, kind: str, most: int) -> list[int]:
        """Return an attribute's numbers, at most so many."""
        buffer = (_TYPES.get(kind, ctypes.c_int32) * most)()
        count = self._get(attribute, kind, most, buffer)
        return list(buffer)[:count]

    def get_descriptors(
        self, attribute: str, kind: str, most: int | None = None
    ) -> list[Descriptor]:
        """Return an attribute's descriptors, all of them unless told how many there are."""
        count = most or self._get(attribute, "BACKEND_DESCRIPTOR", 0, None)
        found = [
            Descriptor(self._cudnn, self._library, f"CUDNN_BACKEND_{kind}_DESCRIPTOR")
            for _ in range(count)
        ]
        pointers = (ctypes.c_void_p * count)(*[d.pointer.value for d in found])
        count = self._get(attribute, "BACKEND_DESCRIPTOR", count, pointers)
        for descriptor in found:
            descriptor._refers_to.append(self)  # noqa: SLF001 - of the same class
        return found[:count]

    def _get(self, attribute: str, kind: str, most: int, buffer: Any) -> int:
        count = ctypes.c_int64()
        status = self._library.cudnnBackendGetAttribute(
            self.pointer,
            self._cudnn.number(f"CUDNN_ATTR_{attribute}"),
            self._cudnn.number(f"CUDNN_TYPE_{kind}"),
            ctypes.c_int64(most),
            ctypes.byref(count),
            buffer,
        )
        self._cudnn.check(status, attribute)
        return count.value


def _read_enumerators(include: Path) -> dict[str, int]:
    """Read the numbers of all enumerators off cuDNN's headers."""
    text = "".join((include / f"cudnn_{part}.h").read_text("utf-8") for part in ("graph", "ops"))
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    names: dict[str, int] = {}
    for body in re.findall(r"enum\s*\w*\s*\{(.*?)\}", text, re.DOTALL):
        number = -1
        for entry in re.findall(r"(CUDNN_\w+)(?:\s+CUDNN_DEPRECATED\w*)?\s*(?:=\s*(\w+))?", body):
            name, given = entry
            if name.startswith("CUDNN_DEPRECATED"):
                continue
            if given:
                number = names[given] if given in names else int(given.rstrip("U"), 0)
            else:
                number += 1
            names[name] = number
    return names
