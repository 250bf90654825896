"""bitsandbytes' linear layers: weights of 4 or 8 bits, and what computing with them takes.

The weight is quantised when it moves to the device: for a moment both forms are there. To compute,
a 4-bit weight is unpacked, in the forward and again in the backward pass; an 8-bit product has its
input in 8 and its result in 32 bits beside it.

Sizes: 4 bit is half a byte per element and a maximum per 64 of them (fp32, or in 8 bits itself
with an fp32 one per 256); 8 bit is a byte per element and an fp32 maximum per row.
Source: bitsandbytes 0.44 and later, nn/modules.py, autograd/_functions.py, functional.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK_ELEMENTS = 64
_STATISTICS_BLOCK_ELEMENTS = 256
_MAP_ENTRIES = 256
_CODE_ENTRIES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantState:
    """What belongs to a quantised weight: its own shape and type, and its maxima."""

    shape: Any
    dtype: Any
    tensors: tuple[Any, ...]


def _zeros(count: int, dtype: torch.dtype, device: Any) -> Any:
    return torch.empty(count, dtype=dtype, device=device)


def _quantize_4bit(weight: Any, *, nested: bool) -> tuple[Any, QuantState]:
    """Return a weight's packed form; while this runs, the weight is there too."""
    device, count = weight.device, weight.numel()
    packed = torch.empty((-(-count // 2), 1), dtype=torch.uint8, device=device)
    blocks = -(-count // _BLOCK_ELEMENTS)
    maxima = _zeros(blocks, torch.float32, device)
    code = _zeros(_CODE_ENTRIES, torch.float32, device)
    if not nested:
        return packed, QuantState(shape=weight.shape, dtype=weight.dtype, tensors=(maxima, code))
    small = _zeros(blocks, torch.uint8, device)
    of_maxima = _zeros(-(-blocks // _STATISTICS_BLOCK_ELEMENTS), torch.float32, device)
    more = (_zeros(_MAP_ENTRIES, torch.float32, device), _zeros(1, torch.float32, device))
    tensors = (small, of_maxima, code, *more)
    return packed, QuantState(shape=weight.shape, dtype=weight.dtype, tensors=tensors)


def _unpacked(weight: Any, dtype: torch.dtype) -> Any:
    state: QuantState = weight.quant_state
    maxima = None
    if state.tensors[0].dtype is torch.uint8:
        maxima = _zeros(state.tensors[0].numel(), torch.float32, weight.device)
    full = torch.empty(state.shape, dtype=state.dtype, device=weight.device)
    del maxima
    return full.to(dtype)


class _Multiply4bit(torch.autograd.Function):
    """x · Wᵀ with a packed W, which is unpacked for it; x is not kept."""

    @staticmethod
    def forward(ctx: Any, given: Any, weight: Any, bias: Any) -> Any:
        ctx.weight, ctx.has_bias = weight, bias is not None
        return torch.nn.functional.linear(given, _unpacked(weight, given.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        grad_bias = gradient.flatten(0, -2).sum(0) if ctx.has_bias else None
        return torch.matmul(gradient, _unpacked(ctx.weight, gradient.dtype)), None, grad_bias


class _Multiply8bit(torch.autograd.Function):
    """x · Wᵀ in integers; x is kept."""

    @staticmethod
    def forward(ctx: Any, given: Any, weight: Any, bias: Any) -> Any:
        ctx.save_for_backward(given)
        ctx.weight, ctx.has_bias = weight, bias is not None
        small = torch.empty_like(given, dtype=torch.int8)
        maxima = _zeros(given.shape[:-1].numel(), torch.float32, given.device)
        shape = (*given.shape[:-1], weight.shape[0])
        product = torch.empty(shape, dtype=torch.int32, device=given.device)
        output = torch.empty(shape, dtype=torch.float16, device=given.device)
        del product, small, maxima
        return (output if bias is None else output + bias).to(given.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        grad_bias = gradient.flatten(0, -2).sum(0) if ctx.has_bias else None
        return torch.matmul(gradient, ctx.weight.to(gradient.dtype)), None, grad_bias


class LowBitLinear(torch.nn.Linear):
    """A linear layer whose weight is quantised when it moves; `quantize` is called by the move.

    `note_kernel` is told of each kernel of the library's own, whose time is not known, `note_use`
    of each layer that is made.
    """

    note_kernel: ClassVar[Callable[[str], None]] = staticmethod(lambda _name: None)
    note_use: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    def __init__(self, *args: Any) -> None:
        type(self).note_use()
        super().__init__(*args)

    def adopt(self, layer: torch.nn.Linear) -> None:
        """Take over another layer's sizes and parameters."""
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self._prepare()

    def _prepare(self) -> None:
        weight: Any = self.weight
        weight.requires_grad = False
        weight.quantize = self._quantize

    def _quantize(self, parameter: Any, weight: Any) -> Any:
        raise NotImplementedError


class Linear4bit(LowBitLinear):
    """A linear layer with a weight of 4 bits."""

    quant_type = "fp4"

    def __init__(  # noqa: PLR0917 - the library's own signature
        self,
        input_features: int,
        output_features: int,
        bias: bool = True,  # noqa: FBT001, FBT002
        compute_dtype: torch.dtype | None = None,
        compress_statistics: bool = True,  # noqa: FBT001, FBT002
        quant_type: str | None = None,
        quant_storage: torch.dtype = torch.uint8,
        device: Any = None,
    ) -> None:
        super().__init__(input_features, output_features, bias, device)
        self.compute_dtype = compute_dtype
        self.compress_statistics = compress_statistics
        self.quant_type = quant_type or self.quant_type
        self.quant_storage = quant_storage
        self._prepare()

    def _prepare(self) -> None:
        super()._prepare()
        weight: Any = self.weight
        weight.compress_statistics, weight.quant_type = self.compress_statistics, self.quant_type

    def _quantize(self, parameter: Any, weight: Any) -> Any:
        packed, parameter.quant_state = _quantize_4bit(weight, nested=self.compress_statistics)
        return packed

    def forward(self, input: Any) -> Any:  # noqa: A002 - torch's name for it
        """Multiply in the type that the layer computes in."""
        type(self).note_kernel("bitsandbytes' unpacking of 4-bit weights")
        given = input.to(self.compute_dtype or input.dtype)
        bias = None if self.bias is None else self.bias.to(given.dtype)
        return _Multiply4bit.apply(given, self.weight, bias).to(input.dtype)


class LinearFP4(Linear4bit):
    """With the fp4 code."""


class LinearNF4(Linear4bit):
    """With the nf4 code."""

    quant_type = "nf4"


class Linear8bitLt(LowBitLinear):
    """A linear layer with a weight of 8 bits."""

    def __init__(  # noqa: PLR0917 - the library's own signature
        self,
        input_features: int,
        output_features: int,
        bias: bool = True,  # noqa: FBT001, FBT002
        has_fp16_weights: bool = True,  # noqa: FBT001, FBT002
        threshold: float = 0.0,
        index: Any = None,
        device: Any = None,
    ) -> None:
        super().__init__(input_features, output_features, bias, device)
        self.has_fp16_weights, self.threshold, self.index = has_fp16_weights, threshold, index
        self.state = _State8bit(has_fp16_weights=has_fp16_weights, threshold=threshold)
        if not has_fp16_weights:
            self._prepare()

    def _quantize(self, parameter: Any, weight: Any) -> Any:
        packed = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
        maxima = _zeros(weight.shape[0], torch.float32, weight.device)
        parameter.quant_state = QuantState(
            shape=weight.shape, dtype=weight.dtype, tensors=(maxima,)
        )
        return packed

    def forward(self, input: Any) -> Any:  # noqa: A002 - torch's name for it
        """Multiply in integers, or as ever where the weight keeps its type."""
        if self.has_fp16_weights:
            return super().forward(input)
        type(self).note_kernel("bitsandbytes' product in 8 bits")
        return _Multiply8bit.apply(input, self.weight, self.bias)


@dataclass(slots=True, kw_only=True)
class _State8bit:
    """What libraries ask an 8-bit layer for."""

    has_fp16_weights: bool
    threshold: float
    memory_efficient_backward: bool = False
    is_training: bool = True
