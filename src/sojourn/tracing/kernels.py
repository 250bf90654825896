"""Operators whose real CUDA path hides from dispatch: attention and recurrent layers.

On a card, torch sends these to fused kernels; without one it would take them apart and keep far
more. Each is registered with torch's dispatcher for the device, and allocates what the real path
allocates, in its order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from sojourn.forecast import workspace
from sojourn.forecast.kernels import Family
from sojourn.forecast.trace import Pass, Role
from sojourn.tracing.attention import Attention
from sojourn.tracing.kernel_work import precision_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.tracing.recorder import Recorder
# One kernel on a card; a build without CUDA has none to name, and takes them apart before anybody
# sees them. Source: PyTorch, ATen/native/native_functions.yaml, what has a kernel for CUDA beside
# CompositeImplicitAutograd.
WHOLE = ("_fused_rms_norm", "mish_backward", "silu_backward")
# Fused optimizer steps for which torch has no shape rule: in place, with no memory of their own.
STEPS_IN_PLACE = ("_fused_sgd_", "_fused_adagrad_")


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    pass


def _never_run(*_args: Any, **_kwargs: Any) -> None:
    raise NotImplementedError("there is no device")


class Kernels:
    """The replaced operators. `install` registers them for the rest of the process.

    Args:
        recorder: Where buffers that belong to the library are written down as such.
        compute_capability: Of the card that is traced for; attention takes its path by it.
    """

    def __init__(self, recorder: Recorder, compute_capability: str) -> None:
        self._recorder = recorder
        self._attention = Attention(recorder, compute_capability)
        self._library = torch.library.Library("aten", "IMPL")

    def install(self) -> dict[str, Callable[..., Any]]:
        """Register the operators; returns them by name, for calls that skip autograd's keys."""
        rnns: dict[str, Callable[..., Any]] = {
            "lstm": self._lstm,
            "gru": self._gru,
            "rnn_tanh": self._rnn_tanh,
            "rnn_relu": self._rnn_relu,
        }
        for name, kernel in rnns.items():
            self._library.impl(f"{name}.input", kernel, "AutogradCUDA")
            self._library.impl(f"{name}.data", kernel, "AutogradCUDA")
        for name in WHOLE:
            if not torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "CUDA"):  # noqa: SLF001
                self._library.impl(name, _never_run, "CUDA")
        name = "scaled_dot_product_attention"
        self._library.impl(name, self._attention, "AutogradCUDA")
        return {**rnns, name: self._attention, **dict.fromkeys(STEPS_IN_PLACE, _nothing)}

    def _lstm(self, *args: Any) -> Any:
        call = _RnnCall("LSTM", args)
        return call.run(self._recorder)

    def _gru(self, *args: Any) -> Any:
        return _RnnCall("GRU", args).run(self._recorder)[:2]

    def _rnn_tanh(self, *args: Any) -> Any:
        return _RnnCall("RNN_TANH", args).run(self._recorder)[:2]

    def _rnn_relu(self, *args: Any) -> Any:
        return _RnnCall("RNN_RELU", args).run(self._recorder)[:2]


class _RnnCall:
    """The arguments of one recurrent layer's call, padded or packed.

    Padded: (input, hidden, weights, has_biases, layers, dropout, train, bidirectional, batch_first)
    with input (length, batch, features), or (batch, length, features) if batch_first.
    Packed: (data, batch_sizes, hidden, weights, has_biases, layers, dropout, train, bidirectional)
    with data (tokens, features). `hidden` is (h, c) for an LSTM, else h.
    """

    def __init__(self, mode: str, args: Sequence[Any]) -> None:
        self.mode = mode
        self.is_packed = isinstance(args[1], torch.Tensor) and args[1].dim() == 1
        if self.is_packed:
            self.input, sizes, hidden, self.weights, _, self.layers, _, self.train, two_way = args
            self.batch_first, self.samples = False, int(sizes[0])
        else:
            (
                *(self.input, hidden, self.weights, _, self.layers, _, self.train, two_way),
                self.batch_first,
            ) = args
            self.samples = self.input.shape[0 if self.batch_first else 1]
        self.hidden = list(hidden) if isinstance(hidden, (list, tuple)) else [hidden]
        self.directions = 2 if two_way else 1

    def run(self, recorder: Recorder) -> tuple[Any, ...]:
        """Allocate what the forward pass allocates; the backward pass follows through autograd."""
        given = self.input.transpose(0, 1) if self.batch_first else self.input
        output, *states = _RnnFunction.apply(recorder, self, given, *self.hidden, *self.weights)
        return (output.transpose(0, 1) if self.batch_first else output, *states)

    def shape(self, given: Any) -> workspace.RnnShape:
        """Return the call's sizes; `given` is (length, batch, features) or (tokens, features)."""
        return workspace.RnnShape(
            mode=self.mode,
            tokens=given.shape[:-1].numel(),
            samples=self.samples,
            input_size=given.shape[-1],
            hidden_size=self.hidden[-1].shape[-1],
            layers=self.layers,
            directions=self.directions,
            item_bytes=given.element_size(),
        )


def _library_buffer(recorder: Recorder, like: Any, size_bytes: int) -> Any:
    """Allocate a buffer of cuDNN's on the device, written down as workspace and as estimated."""
    buffer = torch.empty(0, dtype=torch.uint8, device=like.device)
    with recorder.library_memory():
        return buffer.new_empty(size_bytes)


class _RnnFunction(torch.autograd.Function):
    """cuDNN's RNN: output, states, a reserve kept for the backward pass, a passing workspace.

    Source of the order: PyTorch, ATen/native/cudnn/RNN.cpp, _cudnn_rnn and _cudnn_rnn_backward.
    """

    @staticmethod
    def forward(
        ctx: Any, recorder: Recorder, call: _RnnCall, given: Any, *tensors: Any
    ) -> tuple[Any, ...]:
        hidden = tensors[: len(call.hidden)]
        contiguous = given.contiguous()
        shape = call.shape(given)
        width = hidden[0].shape[-1] * call.directions
        output = contiguous.new_empty((*given.shape[:-1], width))
        states = [torch.empty_like(state) for state in hidden]
        workspace_buffer = _library_buffer(recorder, given, workspace.rnn_workspace_bytes(shape))
        reserve = None
        if call.train:
            reserve = _library_buffer(recorder, given, workspace.rnn_reserve_bytes(shape))
        del workspace_buffer, contiguous
        _note_rnn(recorder, call, shape, Pass.FORWARD)
        ctx.save_for_backward(given, output, reserve, *tensors)
        ctx.recorder, ctx.call = recorder, call
        return (output, *states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Any, *_grad_states: Any) -> tuple[Any, ...]:
        given, output, _reserve, *tensors = ctx.saved_tensors
        call, recorder = ctx.call, ctx.recorder
        hidden, weights = tensors[: len(call.hidden)], tensors[len(call.hidden) :]
        contiguous, gradient = given.contiguous(), grad_output.contiguous()
        size_bytes = workspace.rnn_workspace_bytes(call.shape(given))
        passing = _library_buffer(recorder, given, size_bytes)
        grad_given = torch.empty_like(contiguous)
        grad_hidden = [torch.empty_like(state) for state in hidden]
        del passing, gradient
        for kernel in (Pass.BACKWARD_DATA, Pass.BACKWARD_WEIGHT):
            _note_rnn(recorder, call, call.shape(given), kernel)
        passing = _library_buffer(recorder, given, size_bytes)
        # All weight gradients are views of one buffer, as cuDNN writes them.
        flat = output.new_zeros(sum(weight.numel() for weight in weights))
        del passing
        grads, start = [], 0
        for weight in weights:
            grads.append(flat[start : start + weight.numel()].view(weight.shape))
            start += weight.numel()
        return (None, None, grad_given, *grad_hidden, *grads)


def _note_rnn(recorder: Recorder, call: _RnnCall, shape: workspace.RnnShape, kernel: Pass) -> None:
    """Write down one of cuDNN's three passes over a recurrent layer.

    Forward and backward, one time step of a layer waits for the one before; the gradient of the
    weights is one product over all of them.
    """
    weights = call.weights
    weight_bytes = sum(weight.numel() for weight in weights) * shape.item_bytes
    flops = 2 * shape.tokens * sum(w.numel() for w in weights if w.dim() > 1)
    width = shape.hidden_size * shape.directions * shape.layers
    moved = shape.tokens * (shape.input_size + width) * shape.item_bytes
    is_sequential = kernel is not Pass.BACKWARD_WEIGHT
    steps = -(-shape.tokens // shape.samples) * shape.layers * shape.directions
    first = call.input
    # cuDNN's own flag: torch's for its recurrent layers is that for its convolutions.
    allows_tf32 = bool(torch.backends.cudnn.allow_tf32)
    recorder.kernels.note(
        f"{call.mode.lower()} {kernel.value}",
        Family.RECURRENT,
        recorder.phase_now(),
        precision_of(first, allows_tf32=allows_tf32),
        flops,
        moved + weight_bytes,
        moved,
        max(1, steps) if is_sequential else shape.layers,
        (1, shape.samples, weights[1].shape[0], shape.hidden_size),
        steps=steps if is_sequential else 0,
        item_bytes=shape.item_bytes,
    )


def mark_parameters(recorder: Recorder, module: Any) -> None:
    """Mark a module's parameters and buffers, all levels down, as parameters."""
    for tensor in (*module.parameters(), *module.buffers()):
        recorder.mark(tensor, Role.PARAMETERS)
