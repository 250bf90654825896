"""Attention as the card would run it: flash, memory-efficient, or taken apart.

torch chooses by card, dtype, shapes and mask. The first two never hold the length x length scores;
the last holds several copies of them.

Source of the choice: PyTorch, ATen/native/transformers/cuda/sdp_utils.cpp (can_use_flash_attention,
can_use_mem_efficient_attention) and ATen/native/transformers/attention.cpp
(scaled_dot_product_attention, preprocess_mask). cuDNN's own attention, which Hopper prefers, holds
what flash holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder

_AMPERE = 8
_VOLTA = 7
_DIMENSIONS = 4
_HALF = (torch.float16, torch.bfloat16)
# Elements: flash takes heads of up to 256, padded to a multiple of 8.
_FLASH_HEAD_STEP = 8
_FLASH_HEAD_LIMIT = 256
# The memory-efficient kernel reads 16 bytes at once where the card has tensor cores for the dtype.
_ALIGNED_BYTES = 16
_ALIGNED_ELEMENTS_SINCE_AMPERE = 4
# Elements by which all strides of its mask but the last must divide; else it is padded, as a copy.
_MASK_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call. Query, key, value are (batch, heads, length, head size); the rest as torch's."""

    query: Any
    key: Any
    value: Any
    mask: Any
    dropout: float
    is_causal: bool
    scale: float | None
    enable_gqa: bool

    @property
    def needs_gradient(self) -> bool:
        tensors = (self.query, self.key, self.value)
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


class Attention:
    """`scaled_dot_product_attention` for one card.

    Args:
        recorder: Is told that the card's answer shaped the trace.
        compute_capability: Of that card.
    """

    def __init__(self, recorder: Recorder, compute_capability: str) -> None:
        self._recorder = recorder
        self._major = int(compute_capability.partition(".")[0])

    def __call__(  # noqa: PLR0917 - torch's signature
        self,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002 - torch's signature
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        """Run it by the path that the card takes."""
        self._recorder.asked_capability = True
        call = _Call(
            query=query,
            key=key,
            value=value,
            mask=_as_additive(attn_mask, query.dtype),
            dropout=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )
        if self._takes_flash(call):
            return _run_flash(call)
        if self._takes_efficient(call):
            return _run_efficient(call)
        return torch.ops.aten._scaled_dot_product_attention_math(  # noqa: SLF001
            query, key, value, call.mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )[0]

    def _takes_flash(self, call: _Call) -> bool:
        query, key, value = call.query, call.key, call.value
        return (
            torch.backends.cuda.flash_sdp_enabled()
            and self._major >= _AMPERE
            and call.mask is None
            and query.dtype in _HALF
            and _has_fused_shapes(call)
            and _has_matching_heads(call, takes_groups=True)
            and query.shape[-1] == key.shape[-1] == value.shape[-1] <= _FLASH_HEAD_LIMIT
            # It aligns a causal mask with the last key, torch with the first.
            and not (call.is_causal and query.shape[-2] != key.shape[-2])
            and all(t.stride(-1) == 1 or t.shape[-1] == 1 for t in (query, key, value))
        )

    def _takes_efficient(self, call: _Call) -> bool:
        query, key, value = call.query, call.key, call.value
        step = self._head_step(query)
        return (
            torch.backends.cuda.mem_efficient_sdp_enabled()
            and (query.dtype in {torch.float32, torch.float16} or self._takes_bfloat16(query))
            and _has_fused_shapes(call)
            and _has_matching_heads(call, takes_groups=False)
            and query.shape[-1] == key.shape[-1]
            and query.shape[-1] % step == 0
            and value.shape[-1] % step == 0
            and all(tensor.stride(-1) == 1 for tensor in (query, key, value))
        )

    def _takes_bfloat16(self, query: Any) -> bool:
        return query.dtype is torch.bfloat16 and self._major >= _AMPERE

    def _head_step(self, query: Any) -> int:
        """Elements by which the head size must divide for the memory-efficient kernel."""
        is_half = query.dtype in _HALF
        step = _ALIGNED_ELEMENTS_SINCE_AMPERE if self._major >= _AMPERE else 1
        if self._major >= _AMPERE or (self._major >= _VOLTA and is_half):
            step = max(step, _ALIGNED_BYTES // query.element_size())
        return step


def _has_fused_shapes(call: _Call) -> bool:
    tensors = (call.query, call.key, call.value)
    return (
        all(tensor.dim() == _DIMENSIONS for tensor in tensors)
        and len({tensor.shape[0] for tensor in tensors}) == 1
        and all(tensor.shape[-2] > 0 for tensor in tensors)
    )


def _has_matching_heads(call: _Call, *, takes_groups: bool) -> bool:
    heads, *others = (tensor.shape[1] for tensor in (call.query, call.key, call.value))
    if all(other == heads for other in others):
        return True
    return takes_groups and call.enable_gqa and len(set(others)) == 1 and heads % others[0] == 0


def _as_additive(mask: Any, dtype: torch.dtype) -> Any:
    """Return the mask as something to add to the scores; True becomes 0, False minus infinity."""
    if mask is None or mask.dtype is not torch.bool:
        return mask
    hidden = torch.scalar_tensor(-math.inf, dtype=dtype, device=mask.device)
    return torch.where(mask, 0.0, hidden)


def _run_flash(call: _Call) -> Any:
    head_size = call.query.shape[-1]
    scale = call.scale or 1 / math.sqrt(head_size)
    extra = -head_size % _FLASH_HEAD_STEP
    tensors = [call.query, call.key, call.value]
    if extra:
        tensors = [torch.nn.functional.pad(tensor, (0, extra)) for tensor in tensors]
    output = torch.ops.aten._scaled_dot_product_flash_attention(  # noqa: SLF001
        *tensors, call.dropout, call.is_causal, return_debug_mask=False, scale=scale
    )[0]
    return output[..., :head_size] if extra else output


def _run_efficient(call: _Call) -> Any:
    mask = call.mask
    if mask is not None:
        last = mask.shape[-1]
        if mask.stride(-1) != 1 or any(s % _MASK_STEP for s in mask.stride()[:-1]):
            padding = _MASK_STEP - last % _MASK_STEP
            mask = torch.nn.functional.pad(mask, (0, padding))[..., :last]
        mask = mask.expand(*call.query.shape[:3], call.key.shape[-2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(  # noqa: SLF001
        call.query,
        call.key,
        call.value,
        mask,
        call.needs_gradient,
        call.dropout,
        call.is_causal,
        scale=call.scale,
    )[0]
