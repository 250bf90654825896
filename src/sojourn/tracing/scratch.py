"""What operators allocate and free again below dispatch: copies, accumulators, sorted indices.

Dispatch sees one operator with its inputs and outputs; the kernel behind it may take more for as
long as it runs. Sizes are bytes, by the shapes of PyTorch's CUDA sources, each named where it is
used. What stays under a few MiB whatever the shapes (reductions, normalisations, scans) is left
out: a forecast's band holds it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_FLOAT_BYTES = 4
_INDEX_BYTES = 8
_HALF = (torch.float16, torch.bfloat16)
# Rows of queries that flash handles at once.
_FLASH_ROWS = 128
_FLASH_NARROW_HEAD = 128
# Rows and columns that the memory-efficient kernel handles at once, and the head size up to which
# it keeps its output in registers.
_EFFICIENT_BLOCK = 64
_EFFICIENT_REGISTER_HEAD = 128
# Tokens up to which an embedding's gradient is summed without sorting them.
_UNSORTED_TOKENS = 3072
# Elements of a slice up to which it is sorted in place.
_SORTED_IN_PLACE = 4096


def scratch_bytes(name: str, args: Any, kwargs: Any) -> int:
    """Return what the operator of that name takes while it runs, beside its outputs; often 0."""
    size_bytes = _SCRATCH.get(name)
    return size_bytes(*args, **kwargs) if size_bytes is not None else 0


def _flash_backward(
    grad: Any, query: Any, key: Any, _value: Any, out: Any, *_args: Any, **_kwargs: Any
) -> int:
    """The gradient of the query, summed up in single precision, and a row sum.

    Where keys have fewer heads than queries, their gradients are made for every query head first.
    Source: PyTorch, ATen/native/transformers/cuda/flash_attn/flash_api.cpp, mha_bwd.
    """
    batch, heads, length, head_size = query.shape
    rows = batch * heads * _rounded(length, _FLASH_ROWS)
    step = 32 if head_size <= _FLASH_NARROW_HEAD else 64
    accumulated = rows * (_rounded(head_size, step) + 1) * _FLOAT_BYTES
    expanded = 0
    if key.shape[1] != heads:
        expanded = 2 * batch * heads * key.shape[2] * head_size * key.element_size()
    return accumulated + expanded + _copy_as_tokens(grad) + _copy_as_tokens(out)


def _efficient_forward(query: Any, _key: Any, value: Any, *_args: Any, **_kwargs: Any) -> int:
    """The output in single precision, where heads are too wide for registers.

    Source: PyTorch, ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h,
    kNeedsOutputAccumulatorBuffer.
    """
    if query.dtype not in _HALF or value.shape[-1] <= _EFFICIENT_REGISTER_HEAD:
        return 0
    return int(query.shape[:3].numel() * value.shape[-1] * _FLOAT_BYTES)


def _efficient_backward(
    grad: Any, query: Any, _key: Any, value: Any, *_args: Any, **_kwargs: Any
) -> int:
    """Half precision: the query's gradient in single precision. Single: a product for a row sum.

    Source: PyTorch, ATen/native/transformers/cuda/attention_backward.cu (delta, workspace) and
    mem_eff_attention/kernel_backward.h (kKernelComputesDelta, workspace_elements_gq).
    """
    batch, heads, length, head_size = query.shape
    delta = batch * heads * length * _FLOAT_BYTES
    if query.dtype in _HALF:
        padded = _rounded(length, _EFFICIENT_BLOCK) * _rounded(head_size, _EFFICIENT_BLOCK)
        return int(delta + batch * heads * padded * _FLOAT_BYTES + _copy_as_tokens(grad))
    product = batch * heads * length * value.shape[-1] * _FLOAT_BYTES
    return int(delta + product + _copy_as_tokens(grad))


def _embedding_backward(grad: Any, indices: Any, *_args: Any) -> int:
    """Sorted tokens and where they came from, and a row of single precision for each token.

    Source: PyTorch, ATen/native/cuda/Embedding.cu (embedding_dense_backward_cuda) and
    EmbeddingBackwardKernel.cu (six index vectors live beside grad_weight_per_segment).
    """
    tokens = indices.numel()
    copy_bytes = 0 if grad.is_contiguous() else grad.numel() * grad.element_size()
    if tokens <= _UNSORTED_TOKENS:
        return int(copy_bytes)
    row_bytes = grad.shape[-1] * max(_FLOAT_BYTES, grad.element_size())
    return int(copy_bytes + tokens * (6 * indices.element_size() + row_bytes))


def _index(tensor: Any, indices: Any) -> int:
    """A mask becomes the list of what it selects: as many numbers as it has dimensions, each.

    Source: PyTorch, ATen/native/IndexingUtils.h, expandTensors.
    """
    del tensor
    return sum(
        mask.numel() * mask.dim() * _INDEX_BYTES
        for mask in indices or ()
        if isinstance(mask, torch.Tensor) and mask.dtype in {torch.bool, torch.uint8}
    )


def _index_put(
    tensor: Any,
    indices: Any,
    values: Any,
    accumulate: bool = False,  # noqa: FBT001, FBT002 - torch's signature
    *_args: Any,
) -> int:
    """Adding to what is indexed sorts the indices: linear, sorted, origin, range, and CUB's two.

    Source: PyTorch, ATen/native/cuda/Indexing.cu, index_put_with_sort_kernel.
    """
    masks_bytes = _index(tensor, indices)
    if not accumulate:
        return masks_bytes
    given = [index for index in indices or () if isinstance(index, torch.Tensor)]
    if masks_bytes:
        positions = max(index.numel() for index in given)
    else:
        positions = prod(torch.broadcast_shapes(*(index.shape for index in given)))
    copy_bytes = 0 if values.is_contiguous() else values.numel() * values.element_size()
    return int(masks_bytes + positions * 6 * _INDEX_BYTES + copy_bytes)


def _sort(tensor: Any, *args: Any, dim: int | None = None, **_kwargs: Any) -> int:
    """A range beside the indices, and CUB's second copy of keys and indices.

    Source: PyTorch, ATen/native/cuda/SortStable.cu, launch_stable_sort_kernel.
    """
    given = (dim, *args)
    dimension = next((value for value in given if type(value) is int), -1)
    if not tensor.dim() or tensor.shape[dimension] <= _SORTED_IN_PLACE:
        return 0
    return int(tensor.numel() * (2 * _INDEX_BYTES + tensor.element_size()))


def _copy_as_tokens(tensor: Any) -> int:
    """Bytes of a copy of (batch, heads, length, size), if it does not lie by tokens already."""
    if tensor.transpose(1, 2).is_contiguous():
        return 0
    return int(tensor.numel() * tensor.element_size())


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step


_SCRATCH: dict[str, Callable[..., int]] = {
    "_scaled_dot_product_flash_attention_backward": _flash_backward,
    "_scaled_dot_product_efficient_attention": _efficient_forward,
    "_scaled_dot_product_efficient_attention_backward": _efficient_backward,
    "embedding_dense_backward": _embedding_backward,
    "index": _index,
    "index_put": _index_put,
    "index_put_": _index_put,
    "_index_put_impl_": _index_put,
    "sort": _sort,
}
