"""Shapes of what operators give for which torch has no rule, as their CUDA kernels allocate it.

Each takes the operator's arguments and gives its result, to be called while fake tensors may be
made; None where it cannot tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from sojourn.tracing.ctc_loss import ctc_loss_backward, ctc_loss_forward, takes_vendor_loss

if TYPE_CHECKING:
    from collections.abc import Callable

# Values per hidden unit that a GRU cell keeps. Source: PyTorch, ATen/native/cuda/RNN.cu,
# GRU_WORKSPACE_MULTIPLIER.
_GRU_CELL_VALUES = 5
_GRU_GATES = 3


def shape_rule(name: str) -> Callable[..., Any] | None:
    """Return the rule for the operator of that name; None for those that torch has one for."""
    return _RULES.get(name)


def _like_first(first: Any, *_args: Any, **_kwargs: Any) -> Any:
    return torch.empty_like(first)


def _gru_cell(_input_gates: Any, _hidden_gates: Any, state: Any, *_biases: Any) -> Any:
    samples, width = state.shape
    return torch.empty_like(state), state.new_empty((samples, width * _GRU_CELL_VALUES))


def _gru_cell_backward(gradient: Any, _workspace: Any, has_bias: bool) -> Any:  # noqa: FBT001
    samples, width = gradient.shape
    gates = [gradient.new_empty((samples, width * _GRU_GATES)) for _ in range(2)]
    biases = [gate.new_empty(width * _GRU_GATES) if has_bias else None for gate in gates]
    return *gates, torch.empty_like(gradient), *biases


def _repeat_interleave(repeats: Any, *, output_size: int | None = None) -> Any:
    known = getattr(repeats, "host_copy", None)
    if known is not None:
        with unset_fake_temporarily():
            output_size = int(known.sum())
    return None if output_size is None else repeats.new_empty(output_size)


def _bincount(tensor: Any, weights: Any = None, minlength: int = 0) -> Any:
    known = getattr(tensor, "host_copy", None)
    if known is None:
        return None
    with unset_fake_temporarily():
        bins = max(minlength, int(known.max()) + 1)
    return tensor.new_empty(bins, dtype=torch.int64 if weights is None else torch.float64)


_RULES: dict[str, Callable[..., Any]] = {
    "_ctc_loss": ctc_loss_forward,
    "_ctc_loss_backward": ctc_loss_backward,
    "_dirichlet_grad": _like_first,
    "_sample_dirichlet": _like_first,
    "_standard_gamma": _like_first,
    "_standard_gamma_grad": _like_first,
    "_thnn_fused_gru_cell": _gru_cell,
    "_thnn_fused_gru_cell_backward": _gru_cell_backward,
    "_use_cudnn_ctc_loss": takes_vendor_loss,
    "_use_miopen_ctc_loss": takes_vendor_loss,
    "bincount": _bincount,
    "repeat_interleave": _repeat_interleave,
}
