"""What one operator does on the device: which family of kernel, how much it computes and moves.

Bytes are those of the tensors that it reads and writes, each once, unless a comment says why not.
Convolutions are in `convolutions`, which knows what runs below the operator; recurrent layers are
in `kernels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from sojourn.forecast.kernels import Family, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sojourn.forecast.kernels import Phase
    from sojourn.tracing.kernel_log import KernelLog

_PRECISIONS = {
    torch.float32: Precision.FP32,
    torch.float16: Precision.FP16,
    torch.bfloat16: Precision.BF16,
}
# They move nothing: views that torch does not call views, and what only asks for memory.
_NOTHING = {
    *("_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
    *("resize_", "set_", "lift_fresh", "record_stream", "_local_scalar_dense", "detach_"),
    *("_has_compatible_shallow_copy_type", "is_same_size", "sym_size", "sym_stride", "device"),
}
# They write, and read nothing.
_FILLS = {
    *("zero_", "fill_", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like"),
    *("new_zeros", "new_ones", "new_full", "arange", "randn", "rand", "randn_like", "rand_like"),
    *("bernoulli_", "uniform_", "normal_", "exponential_", "random_", "scalar_tensor", "randint"),
}
_COPIES = {
    *("_to_copy", "copy_", "clone", "cat", "stack", "constant_pad_nd", "roll", "flip", "repeat"),
    *(
        "slice_backward",
        "select_backward",
        "as_strided_scatter",
        "slice_scatter",
        "unfold_backward",
    ),
    *("contiguous", "pixel_shuffle", "im2col", "col2im", "split_with_sizes_copy"),
}
_REDUCTIONS = {
    *("sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "var", "var_mean", "std"),
    *("prod", "norm", "linalg_vector_norm", "_softmax", "_softmax_backward_data", "_log_softmax"),
    *("_log_softmax_backward_data", "logsumexp", "nll_loss_forward", "nll_loss_backward"),
    *("nll_loss2d_forward", "nll_loss2d_backward", "cumsum", "cumprod", "topk", "sort", "any"),
    *("all", "max_pool2d_with_indices", "max_pool2d_with_indices_backward", "avg_pool2d"),
    *("avg_pool2d_backward", "_adaptive_avg_pool2d", "_adaptive_avg_pool2d_backward"),
    *("max_pool3d_with_indices", "max_pool3d_with_indices_backward", "avg_pool3d"),
    *("avg_pool3d_backward", "_foreach_norm", "count_nonzero", "median", "mode", "kthvalue"),
}
# Of these only the rows that are asked for are read from the first tensor.
_PICKS = {"embedding", "index", "index_select", "gather", "take", "take_along_dim"}
# These change as much of the first tensor as there is in the last.
_PLACES = {
    *("index_put", "index_put_", "_index_put_impl_", "index_add", "index_add_", "index_copy"),
    *("scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce", "index_copy_"),
}
_NORMALIZATIONS = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "instance_norm")
# These take their statistics in one pass over what they normalise and apply them in another.
# Source: PyTorch, ATen/native/cuda/Normalization.cuh and group_norm_kernel.cu.
_TWO_PASSES = ("batch_norm", "group_norm")
# Tensors that one launch of a foreach kernel takes, by how many lists it has; elements of a block,
# and blocks of a launch. Source: PyTorch, ATen/native/cuda/MultiTensorApply.cuh.
_TENSORS_PER_LAUNCH = (110, 64, 48, 36, 30)
_CHUNK_ELEMENTS = 65536
_BLOCKS_PER_LAUNCH = 320
# Which lists a fused optimizer writes, beside the parameters: its states.
# Source: PyTorch, ATen/native/native_functions.yaml.
_FUSED_WRITES = {
    "_fused_adam_": (0, 2, 3, 4),
    "_fused_adamw_": (0, 2, 3, 4),
    "_fused_sgd_": (0, 2),
    "_fused_adagrad_": (0, 2),
}
_MATMULS = {"mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "addbmm", "dot", "_scaled_mm"}
# Matrix products of attention's backward pass for each two of its forward pass.
# Source: Dao, "FlashAttention-2" (arXiv 2307.08691), section 4.1: 2.5 times the forward's.
_ATTENTION_BACKWARD = 2.5
_MATRIX = 2
_OWN_NAMESPACES = {"aten", "prims", "prim", "torchvision", "inductor", "_c10d_functional"}


def note_operator(  # noqa: PLR0917 - all of a call
    log: KernelLog, phase: Phase, func: Any, name: str, args: Any, kwargs: Any, output: Any
) -> None:
    """Write down what one operator, run on fake tensors, does on the card.

    Args:
        log: Where it goes.
        phase: Where the script is.
        func: The operator.
        name: Its name, without namespace and overload.
        args: Its arguments.
        kwargs: And those with names.
        output: What it gave.
    """
    if func.is_view or name in _NOTHING:
        return
    if func.namespace not in _OWN_NAMESPACES:
        _note_custom(log, phase, func, args, output)
    elif name in _MATMULS:
        _note_matmul(log, phase, name, args, output)
    elif name in _ATTENTION:
        _ATTENTION[name](log, phase, name, args, kwargs)
    elif name.startswith(("_foreach_", "_fused_", "_amp_foreach_")):
        note_foreach(log, phase, name, args, output)
    else:
        _note_moving(log, phase, name, args, kwargs, output)


def bytes_of(tensor: Any) -> int:
    """Return the bytes that reading a tensor touches: where it is expanded, what lies below."""
    size = tensor.numel() * tensor.element_size()
    if size and 0 in tensor.stride():
        for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
            if stride == 0:
                size //= length
    return int(size)


def precision_of(tensor: Any, *, allows_tf32: bool) -> Precision:
    """Return what a product of such tensors computes in."""
    precision = _PRECISIONS.get(tensor.dtype, Precision.OTHER)
    return Precision.TF32 if precision is Precision.FP32 and allows_tf32 else precision


def matmul_allows_tf32() -> bool:
    """Whether torch's flags let products of fp32 matrices round to TF32."""
    try:
        return bool(torch.backends.cuda.matmul.allow_tf32)
    except RuntimeError:
        # The older and the newer way of saying so were mixed.
        return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"


def note_foreach(log: KernelLog, phase: Phase, name: str, args: Any, output: Any) -> None:
    """Write down an operator over lists of tensors: few launches for all of them."""
    lists = [_tensors(value) for value in args if isinstance(value, (list, tuple))]
    lists = [found for found in lists if found]
    if not lists:
        return
    read = sum(bytes_of(tensor) for found in lists for tensor in found)
    if name in _FUSED_WRITES:
        numbers = _FUSED_WRITES[name]
        written = sum(
            bytes_of(tensor)
            for number in numbers
            if number < len(args) and isinstance(args[number], (list, tuple))
            for tensor in _tensors(args[number])
        )
    elif name.endswith("_"):
        written = sum(bytes_of(tensor) for tensor in lists[0])
    else:
        written = sum(bytes_of(tensor) for tensor in _tensors(output))
    if name in {"_foreach_zero_", "_foreach_fill_"}:
        read = 0
    log.note(
        *(name, Family.OPTIMIZER, phase, Precision.FP32, 0, read, written),
        _foreach_launches(lists),
    )


def note_transfer(log: KernelLog, phase: Phase, tensor: Any) -> None:
    """Write down a copy between the host and the device."""
    size_bytes = bytes_of(tensor)
    log.note("copy_", Family.TRANSFER, phase, Precision.OTHER, 0, size_bytes, 0)


def _foreach_launches(lists: list[list[Any]]) -> int:
    tensors = lists[0]
    limit = _TENSORS_PER_LAUNCH[min(len(lists), len(_TENSORS_PER_LAUNCH)) - 1]
    chunks = sum(-(-tensor.numel() // _CHUNK_ELEMENTS) for tensor in tensors)
    return max(-(-len(tensors) // limit), -(-chunks // _BLOCKS_PER_LAUNCH))


def _note_custom(log: KernelLog, phase: Phase, func: Any, args: Any, output: Any) -> None:
    read = sum(bytes_of(tensor) for tensor in _flat_tensors(args))
    written = sum(bytes_of(tensor) for tensor in _flat_tensors((output,)))
    log.note(str(func), Family.CUSTOM, phase, Precision.OTHER, 0, read, written)


def _note_matmul(log: KernelLog, phase: Phase, name: str, args: Any, output: Any) -> None:
    tensors = [value for value in args[:3] if isinstance(value, torch.Tensor)]
    first, second = tensors[-2], tensors[-1]
    inner = first.shape[-1]
    rows = first.shape[-2] if first.dim() >= _MATRIX else 1
    width = second.shape[-1] if second.dim() >= _MATRIX else 1
    groups = first.shape[0] if first.dim() > _MATRIX else 1
    read = sum(bytes_of(tensor) for tensor in tensors)
    log.note(
        name,
        Family.MATMUL,
        phase,
        precision_of(first, allows_tf32=matmul_allows_tf32()),
        2 * groups * rows * inner * width,
        read,
        bytes_of(output) if isinstance(output, torch.Tensor) else 0,
        1,
        (groups, rows, width, inner),
        item_bytes=first.element_size(),
    )


def _attention(
    log: KernelLog,
    phase: Phase,
    name: str,
    tensors: tuple[Any, Any, Any],
    *,
    is_causal: bool,
    share: float,
    passes: int,
) -> None:
    """Two products for each query and key; half of them where keys that come later are left out.

    `share` is how often the forward pass's products are computed, `passes` how often its tensors
    are read and written.
    """
    query, key, value = tensors
    batch, heads, length, head_size = query.shape
    keys = key.shape[-2]
    flops = 2 * batch * heads * length * keys * (head_size + value.shape[-1])
    moved = sum(bytes_of(tensor) for tensor in tensors)
    log.note(
        name,
        Family.ATTENTION,
        phase,
        precision_of(query, allows_tf32=matmul_allows_tf32()),
        int(flops * share / (2 if is_causal else 1)),
        moved * passes,
        bytes_of(query) * passes,
        1 if share == 1 else 3,  # a backward pass also sums rows and converts what it summed
        (batch * heads, length, keys, head_size),
        item_bytes=query.element_size(),
    )


def _forward_at(causal: int) -> Callable[..., None]:
    """Return what notes a forward pass that has `is_causal` at that place of its arguments."""

    def note(log: KernelLog, phase: Phase, name: str, args: Any, kwargs: Any) -> None:
        given = args[causal] if len(args) > causal else kwargs.get("is_causal", False)
        tensors = tuple(args[:3])
        _attention(log, phase, name, tensors, is_causal=bool(given), share=1, passes=1)

    return note


def _backward_at(causal: int) -> Callable[..., None]:
    def note(log: KernelLog, phase: Phase, name: str, args: Any, kwargs: Any) -> None:
        given = args[causal] if len(args) > causal else kwargs.get("is_causal", False)
        tensors = tuple(args[1:4])
        share = _ATTENTION_BACKWARD
        _attention(log, phase, name, tensors, is_causal=bool(given), share=share, passes=2)

    return note


# Where each has `is_causal`. Source: PyTorch, ATen/native/native_functions.yaml.
_ATTENTION: dict[str, Callable[..., None]] = {
    "_scaled_dot_product_flash_attention": _forward_at(4),
    "_scaled_dot_product_efficient_attention": _forward_at(6),
    "_scaled_dot_product_cudnn_attention": _forward_at(6),
    "_scaled_dot_product_flash_attention_backward": _backward_at(11),
    "_scaled_dot_product_efficient_attention_backward": _backward_at(11),
}


def _note_moving(  # noqa: PLR0917 - all of a call
    log: KernelLog, phase: Phase, name: str, args: Any, kwargs: Any, output: Any
) -> None:
    """Write down what is limited by the bytes that it moves."""
    given, results = _flat_tensors((args, kwargs)), _flat_tensors((output,))
    if not results and not given:
        return
    written = sum(bytes_of(tensor) for tensor in results)
    read = 0 if name in _FILLS else sum(bytes_of(tensor) for tensor in given)
    launches = 1
    if any(part in name for part in _NORMALIZATIONS):
        family = Family.NORMALIZATION
        if any(part in name for part in _TWO_PASSES):
            read += sum(bytes_of(tensor) for tensor in given if tensor.dim() > _MATRIX)
            launches = 2
    elif name in _PICKS:
        family = Family.INDEXING
        read = written + sum(bytes_of(tensor) for tensor in given[1:])
    elif name in _PLACES:
        family = Family.INDEXING
        placed = sum(bytes_of(tensor) for tensor in given[1:])
        copied = 0 if name.endswith("_") else bytes_of(given[0])
        read, written, launches = copied + 2 * placed, copied + placed, 3
    elif name == "embedding_dense_backward":
        family, launches = Family.INDEXING, 4
    elif name in _COPIES or name in _FILLS:
        family = Family.COPY
    elif name.removesuffix("_") in _REDUCTIONS:
        family = Family.REDUCTION
    else:
        family = Family.ELEMENTWISE
    first = (results or given)[0]
    precision = _PRECISIONS.get(first.dtype, Precision.OTHER)
    log.note(
        *(name, family, phase, precision, 0, read, written, launches),
        item_bytes=first.element_size(),
    )


def _tensors(values: Any) -> list[Any]:
    found = values if isinstance(values, (list, tuple)) else (values,)
    return [value for value in found if isinstance(value, torch.Tensor)]


def _flat_tensors(values: Iterable[Any]) -> list[Any]:
    """Return the tensors in nested lists and dicts of arguments."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(_flat_tensors(value))
        elif isinstance(value, dict):
            found.extend(_flat_tensors(value.values()))
    return found
