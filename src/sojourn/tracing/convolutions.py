"""What a convolution does below dispatch: copies into cuDNN's layout, and which kernels run.

Dispatch sees one operator. Below it torch chooses a backend and a memory layout, copies tensors
that lie otherwise, and runs one kernel forward and up to two backward, each with workspace.
Source of the order: PyTorch, ATen/native/Convolution.cpp (_convolution, convolution_backward) and
ATen/native/cudnn/ConvShared.cpp (cudnn_convolution_backward).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sojourn.forecast.kernels import Family, Precision
from sojourn.forecast.trace import Pass
from sojourn.tracing.kernel_work import bytes_of, precision_of

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder

_C: Any = torch._C  # noqa: SLF001 - torch's own choice is asked for, not copied
_BACKENDS = _C._ConvBackend  # noqa: SLF001
_CUDNN = (_BACKENDS.Cudnn, _BACKENDS.CudnnTranspose)
_DIMENSIONS_OF_A_LINE = 3
_FORWARD = (
    *("input", "weight", "bias", "stride", "padding", "dilation", "transposed"),
    *("output_padding", "groups"),
)
_BACKWARD = (
    *("grad_output", "input", "weight", "bias_sizes", "stride", "padding", "dilation"),
    *("transposed", "output_padding", "groups", "output_mask"),
)
_SWAPPED = {
    Pass.FORWARD: Pass.BACKWARD_DATA,
    Pass.BACKWARD_DATA: Pass.FORWARD,
    Pass.BACKWARD_WEIGHT: Pass.BACKWARD_WEIGHT,
}


def note_convolution(recorder: Recorder, args: Any, output: Any) -> None:
    """Write down what `aten.convolution`, run on fake tensors, does on a card.

    Args:
        recorder: Where it goes.
        args: The operator's arguments, in its schema's order.
        output: What it gave.
    """
    call = _Call(dict(zip(_FORWARD, args, strict=False)))
    with ExitStack() as copies:
        for name in ("input", "weight"):
            call.copy(recorder, copies, name)
        recorder.take(output.untyped_storage())
        call.run(recorder, Pass.FORWARD, output)
    if call.given.get("bias") is not None:
        call.note_bias(recorder, "add_", output, output)


def note_convolution_backward(recorder: Recorder, args: Any, output: Any) -> None:
    """Write down what `aten.convolution_backward` does. Arguments as in `note_convolution`."""
    call = _Call(dict(zip(_BACKWARD, args, strict=False)))
    grad_output = call.given["grad_output"]
    grad_input, grad_weight, grad_bias = output
    with ExitStack() as copies:
        needed = {"grad_output": True, "input": grad_weight, "weight": grad_input}
        for name in (name for name, wanted in needed.items() if wanted is not None):
            call.copy(recorder, copies, name)
        for kernel, gradient in (
            (Pass.BACKWARD_DATA, grad_input),
            (Pass.BACKWARD_WEIGHT, grad_weight),
        ):
            if gradient is not None:
                recorder.take(gradient.untyped_storage())
                call.run(recorder, kernel, grad_output)
    if grad_bias is not None:
        recorder.take(grad_bias.untyped_storage())
        call.note_bias(recorder, "sum", grad_output, grad_bias)


class _Call:
    """One call; `given` are its arguments by the names of its schema, tensors fake."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self._choice = _choose(given)

    def copy_bytes(self, name: str) -> int:
        """Bytes of the copy of a tensor that lies otherwise than its kernel wants; else 0."""
        tensor = self.given[name]
        wanted = self._choice.memory_format
        if wanted is torch.channels_last and tensor.dim() == _DIMENSIONS_OF_A_LINE:
            # One spatial size: torch makes it two by a view.
            tensor = tensor.unsqueeze(2)
        is_right = tensor.is_contiguous(memory_format=wanted)
        return 0 if is_right else tensor.numel() * tensor.element_size()

    def copy(self, recorder: Recorder, copies: ExitStack, name: str) -> None:
        """Write down a tensor's copy, if it needs one, for as long as `copies` is open."""
        size_bytes = self.copy_bytes(name)
        copies.enter_context(recorder.passing(size_bytes))
        if size_bytes:
            log, phase = recorder.kernels, recorder.phase_now()
            log.note("clone", Family.COPY, phase, Precision.OTHER, 0, size_bytes, size_bytes)

    def note_bias(self, recorder: Recorder, operator: str, given: Any, result: Any) -> None:
        """Write down the kernel that adds a bias or sums up its gradient."""
        family = Family.ELEMENTWISE if operator == "add_" else Family.REDUCTION
        sizes = (0, bytes_of(given), bytes_of(result))
        precision = precision_of(given, allows_tf32=False)
        recorder.kernels.note(operator, family, recorder.phase_now(), precision, *sizes)

    def _note_work(self, recorder: Recorder, kernel: Pass, output: Any) -> None:
        """Write down what a kernel computes: as products of matrices, once for each group."""
        given = self.given
        weight, groups = given["weight"], given["groups"]
        tensors = {"input": given["input"], "weight": weight, "output": output}
        source, result = (given["input"], output)
        if given["transposed"]:
            source, result = result, source
        # Of the plain convolution that this is, or is the backward pass of.
        outer, inner = weight.shape[0] // groups, weight.shape[1]
        window = weight.shape[2:].numel()
        here, there = _positions(result), _positions(source)
        shape = {
            Pass.FORWARD: (groups, here, outer, inner * window),
            Pass.BACKWARD_DATA: (groups, there, inner, outer * window),
            Pass.BACKWARD_WEIGHT: (groups, outer, inner * window, here),
        }[_SWAPPED[kernel] if given["transposed"] else kernel]
        written = {
            Pass.FORWARD: "output",
            Pass.BACKWARD_DATA: "input",
            Pass.BACKWARD_WEIGHT: "weight",
        }[kernel]
        sizes = {name: bytes_of(tensor) for name, tensor in tensors.items()}
        is_single = inner == 1 and groups > 1
        family = Family.DEPTHWISE_CONVOLUTION if is_single else Family.GROUPED_CONVOLUTION
        recorder.kernels.note(
            kernel.value,
            family if groups > 1 else Family.CONVOLUTION,
            recorder.phase_now(),
            precision_of(given["input"], allows_tf32=bool(torch.backends.cudnn.allow_tf32)),
            2 * groups * here * outer * inner * window,
            sum(size for name, size in sizes.items() if name != written),
            sizes[written],
            1,
            shape,
            is_channels_last=self._choice.memory_format is not torch.contiguous_format,
            item_bytes=given["input"].element_size(),
        )

    def run(self, recorder: Recorder, kernel: Pass, output: Any) -> None:
        """Write down one kernel; `output` has the shape of what the forward pass gives."""
        given = self.given
        self._note_work(recorder, kernel, output)
        if self._choice.backend not in _CUDNN:
            # torch's own kernels, for depthwise convolutions say, read and write in place.
            return
        source, result = tuple(given["input"].shape), tuple(output.shape)
        if given["transposed"]:
            # A transposed convolution is the backward pass of a plain one, and its backward pass
            # is a plain one's forward pass.
            kernel, source, result = _SWAPPED[kernel], result, source
        spatial = len(source) - 2
        recorder.convolve(
            kernel,
            input_shape=_as_plane(source),
            weight_shape=_as_plane(tuple(given["weight"].shape)),
            output_shape=_as_plane(result),
            stride=_expanded(given["stride"], spatial, 1),
            padding=_expanded(given["padding"], spatial, 0),
            dilation=_expanded(given["dilation"], spatial, 1),
            groups=given["groups"],
            dtype=str(given["input"].dtype).removeprefix("torch."),
            is_channels_last=self._choice.memory_format is not torch.contiguous_format,
            allows_tf32=bool(torch.backends.cudnn.allow_tf32),
            is_benchmarked=bool(torch.backends.cudnn.benchmark),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    backend: Any
    memory_format: torch.memory_format


def _choose(given: dict[str, Any]) -> _Choice:
    tensor, weight, bias = given["input"], given["weight"], given.get("bias")
    backend = _C._select_conv_backend(  # noqa: SLF001
        tensor,
        weight,
        bias=bias,
        stride=given["stride"],
        padding=given["padding"],
        dilation=given["dilation"],
        transposed=given["transposed"],
        output_padding=given["output_padding"],
        groups=given["groups"],
        **({} if bias is not None else {"bias_sizes": given.get("bias_sizes")}),
    )
    if tensor.dim() == _DIMENSIONS_OF_A_LINE:
        tensor, weight = tensor.contiguous().unsqueeze(2), weight.unsqueeze(2)
    memory_format = _C._conv_determine_backend_memory_format(  # noqa: SLF001
        tensor, weight, backend
    )
    return _Choice(backend=backend, memory_format=memory_format)


def _positions(tensor: Any) -> int:
    """Return in how many places a window lies: samples times spatial sizes."""
    return int(tensor.shape[0] * tensor.shape[2:].numel())


def _as_plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape with at least two spatial sizes, as torch hands it to cuDNN."""
    return (*shape[:2], 1, shape[2]) if len(shape) == _DIMENSIONS_OF_A_LINE else shape


def _expanded(values: Any, spatial: int, neutral: int) -> tuple[int, ...]:
    expanded = tuple(values) * (spatial if len(values) == 1 else 1)
    return (neutral, *expanded) if spatial == 1 else expanded
