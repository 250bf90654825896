"""A stand-in for bitsandbytes, whose kernels run on a card only.

It is there whether the package is installed or not, and has its optimizers and linear layers. What
it does not have is refused by name.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.metadata import Distribution
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from sojourn.errors import TraceError
from sojourn.tracing.low_bit_layers import (
    Linear4bit,
    Linear8bitLt,
    LinearFP4,
    LinearNF4,
    LowBitLinear,
)
from sojourn.tracing.low_bit_optimizers import GlobalOptimManager, optimizer_classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sojourn.tracing.recorder import Recorder

_NAME = "bitsandbytes"
_NOTE = f"{_NAME} is a stand-in: sizes as its own, no arithmetic"
# The version whose sizes the stand-in has.
_VERSION = "0.49.0"
_MODULES = {_NAME, f"{_NAME}.optim", f"{_NAME}.nn", f"{_NAME}.functional"}
_LAYERS = {
    "Linear4bit": Linear4bit,
    "LinearFP4": LinearFP4,
    "LinearNF4": LinearNF4,
    "Linear8bitLt": Linear8bitLt,
    # Only their names are asked for.
    "Params4bit": type("Params4bit", (torch.nn.Parameter,), {}),
    "Int8Params": type("Int8Params", (torch.nn.Parameter,), {}),
}


def install_bitsandbytes(recorder: Recorder) -> None:
    """Let `import bitsandbytes` give the stand-in, for the rest of the process."""
    LowBitLinear.note_kernel = staticmethod(recorder.note_custom_kernel)
    # Other libraries import it to see what it has; only what a script makes of it counts.
    LowBitLinear.note_use = staticmethod(partial(recorder.assume, _NOTE))
    sys.meta_path.insert(0, _Finder(recorder))


def quantize_model(model: Any, config: Any) -> None:
    """Replace a model's linear layers as transformers does for a quantization config.

    Raises:
        TraceError: the weights are to be quantised by something else.
    """
    wanted = config if isinstance(config, dict) else config.to_dict()
    bits4, bits8 = wanted.get("load_in_4bit"), wanted.get("load_in_8bit")
    if not bits4 and not bits8:
        raise TraceError(
            f"The weights of {type(model).__name__} are quantised with "
            f"{wanted.get('quant_method', 'an unknown method')}, which planning does not know.",
            remedy="Plan with BitsAndBytesConfig(load_in_4bit=True), or with the model that is "
            "not quantised, as an upper bound.",
        )
    kept = _not_converted(model, wanted.get("llm_int8_skip_modules"))
    for path, layer in list(model.named_modules()):
        if type(layer) is torch.nn.Linear and not any(_is_within(path, name) for name in kept):
            parent = model.get_submodule(path.rpartition(".")[0])
            setattr(parent, path.rpartition(".")[2], _quantized(layer, wanted, is_4bit=bool(bits4)))
    model.is_loaded_in_4bit, model.is_loaded_in_8bit = bool(bits4), bool(bits8)
    model.is_quantized = True
    model.quantization_method = "bitsandbytes"
    model.hf_quantizer = _Quantizer(config)


def _quantized(layer: Any, wanted: dict[str, Any], *, is_4bit: bool) -> Any:
    if is_4bit:
        dtype = wanted.get("bnb_4bit_compute_dtype") or torch.float32
        replacement: Any = Linear4bit(
            1,
            1,
            bias=False,
            compute_dtype=getattr(torch, dtype) if isinstance(dtype, str) else dtype,
            compress_statistics=bool(wanted.get("bnb_4bit_use_double_quant")),
            quant_type=wanted.get("bnb_4bit_quant_type") or "fp4",
        )
    else:
        replacement = Linear8bitLt(1, 1, bias=False, has_fp16_weights=False, threshold=6.0)
    replacement.adopt(layer)
    return replacement


def _not_converted(model: Any, skipped: Any) -> set[str]:
    """Return the names of modules that stay: the output layer, and what is the user's wish.

    Source: transformers, quantizers/base.py, get_keys_to_not_convert.
    """
    if skipped:
        return set(skipped)
    kept = {name for name, _ in list(model.named_children())[-1:]}
    output = getattr(model, "get_output_embeddings", lambda: None)()
    return kept | {name for name, module in model.named_modules() if module is output}


def _is_within(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.") or f".{name}." in f".{path}."


class _Quantizer:
    """What a Trainer asks a quantised model for."""

    is_trainable = True
    is_qat_trainable = False
    is_compileable = False

    def __init__(self, config: Any) -> None:
        self.quantization_config = config


class _Finder(MetaPathFinder, Loader):
    """Finds the stand-in where bitsandbytes is asked for, and says which version it is."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname == _NAME)

    def find_distributions(self, context: Any) -> Iterable[Distribution]:
        """Give the metadata that libraries look at for the version."""
        return [_Metadata()] if context.name == _NAME else []

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == _NAME:
            vars(module).update(__version__=_VERSION, features=set())
            for name in ("optim", "nn", "functional"):
                setattr(module, name, importlib.import_module(f"{_NAME}.{name}"))
        elif module.__name__.endswith(".optim"):
            note_use = partial(self._recorder.assume, _NOTE)
            members: dict[str, Any] = dict(optimizer_classes(self._recorder, note_use))
            vars(module).update(members, GlobalOptimManager=GlobalOptimManager)
        elif module.__name__.endswith(".nn"):
            vars(module).update(_LAYERS)


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _UnknownNameError(f"{self.__name__}.{name}")


class _UnknownNameError(TraceError, AttributeError):
    """Something of bitsandbytes that the stand-in does not have; hasattr() says so too."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is not known to planning, whose stand-in for bitsandbytes has its optimizers "
            "and linear layers.",
            remedy="Use one of those, or leave that line out while planning.",
        )


class _Metadata(Distribution):
    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: {_VERSION}\n"

    def locate_file(self, path: Any) -> Any:
        return path
