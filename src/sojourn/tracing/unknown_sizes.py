"""Operators whose result's size depends on values, run as if every element were selected.

The values are not there, so each gives the largest result it can: an upper bound on memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily

if TYPE_CHECKING:
    from collections.abc import Callable


def largest_result(name: str) -> Callable[..., Any] | None:
    """Return what stands in for the operator of that name; None for all others.

    The stand-in takes the operator's arguments and gives its result, to be called while fake
    tensors may be made; it gives None where these arguments have a result of known size.
    """
    return _RESULTS.get(name)


def _nonzero(tensor: Any) -> Any:
    return tensor.new_empty((tensor.numel(), tensor.dim()), dtype=torch.int64)


def _masked_select(tensor: Any, mask: Any) -> Any:
    return tensor.new_empty(max(tensor.numel(), mask.numel()))


def _index(tensor: Any, indices: Any) -> Any:
    position = _first_mask(indices)
    if position is None:
        return None
    mask = indices[position]
    rest = tensor.shape[position + mask.dim() :]
    return tensor.new_empty((*tensor.shape[:position], mask.numel(), *rest))


def _index_put(tensor: Any, indices: Any, *_args: Any) -> Any:
    return None if _first_mask(indices) is None else tensor


def _unique(
    tensor: Any,
    sorted: bool = True,  # noqa: A002, ARG001, FBT001, FBT002 - torch's signature
    return_inverse: bool = False,  # noqa: FBT001, FBT002
    return_counts: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    inverse = tensor.new_empty(tensor.shape if return_inverse else 0, dtype=torch.int64)
    counts = tensor.new_empty(tensor.numel() if return_counts else 0, dtype=torch.int64)
    return tensor.new_empty(tensor.numel()), inverse, counts


def _unique_consecutive(
    tensor: Any,
    return_inverse: bool = False,  # noqa: FBT001, FBT002 - torch's signature
    return_counts: bool = False,  # noqa: FBT001, FBT002
    dim: int | None = None,
) -> Any:
    return None if dim is not None else _unique(tensor, True, return_inverse, return_counts)  # noqa: FBT003


def _bincount(tensor: Any, weights: Any = None, minlength: int = 0) -> Any:
    if minlength == 0:
        return None
    dtype = torch.int64 if weights is None else torch.float64
    return tensor.new_empty(minlength, dtype=dtype)


def _pack_padded_sequence(tensor: Any, lengths: Any, batch_first: bool) -> Any:  # noqa: FBT001
    if isinstance(lengths, FakeTensor):
        return None
    longest = tensor.shape[1 if batch_first else 0]
    with unset_fake_temporarily():
        known = [min(length, longest) for length in lengths.tolist()]
        sizes = [sum(length > step for length in known) for step in range(max(known))]
        batch_sizes = torch.tensor(sizes, device="cpu")
    return tensor.new_empty((sum(known), *tensor.shape[2:])), batch_sizes


def _pack_padded_sequence_backward(
    gradient: Any,
    input_size: Any,
    _batch_sizes: Any,
    _batch_first: bool,  # noqa: FBT001 - torch's signature
) -> Any:
    return gradient.new_zeros(input_size)


def _first_mask(indices: Any) -> int | None:
    for position, index in enumerate(indices or ()):
        if isinstance(index, torch.Tensor) and index.dtype in {torch.bool, torch.uint8}:
            return position
    return None


_RESULTS: dict[str, Callable[..., Any]] = {
    "nonzero": _nonzero,
    "masked_select": _masked_select,
    "index": _index,
    "index_put": _index_put,
    "index_put_": _index_put,
    "_index_put_impl_": _index_put,
    "_unique2": _unique,
    "unique_consecutive": _unique_consecutive,
    "bincount": _bincount,
    "_pack_padded_sequence": _pack_padded_sequence,
    "_pack_padded_sequence_backward": _pack_padded_sequence_backward,
}
