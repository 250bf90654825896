"""What a card refuses and shape rules let pass: operands of different types, in torch's own words.

A script that mixes them up fails with its first batch on a card; to say that it fits would send its
user there. Only what torch's rules do not look at themselves is looked at here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

# torch's names for types: of tensors, and of the C++ types behind them.
_NAMES = {
    torch.float64: ("Double", "double"),
    torch.float32: ("Float", "float"),
    torch.float16: ("Half", "c10::Half"),
    torch.bfloat16: ("BFloat16", "c10::BFloat16"),
    torch.complex128: ("ComplexDouble", "c10::complex<double>"),
    torch.complex64: ("ComplexFloat", "c10::complex<float>"),
    torch.int64: ("Long", "long"),
    torch.int32: ("Int", "int"),
    torch.int16: ("Short", "short"),
    torch.int8: ("Char", "signed char"),
    torch.uint8: ("Byte", "unsigned char"),
    torch.bool: ("Bool", "bool"),
}


def refuse_as_on_card(name: str, args: Any) -> None:
    """Fail where the CUDA kernel of that operator would, for its operands' types or shapes.

    Raises:
        RuntimeError: with torch's message.
    """
    check = _CHECKS.get(name)
    if check is not None:
        check(*args)


def _name(tensor: Any) -> str:
    return _NAMES.get(tensor.dtype, (str(tensor.dtype),))[0]


def _inner_name(tensor: Any) -> str:
    return _NAMES.get(tensor.dtype, (str(tensor.dtype),))[-1]


def _check_product(first: Any, second: Any) -> None:
    """Source: PyTorch, ATen/native/LinearAlgebra.cpp, TORCH_META_FUNC(mm) and (addmm)."""
    if first.dim() == second.dim() == 2 and first.shape[1] != second.shape[0]:  # noqa: PLR2004
        shapes = " and ".join(f"{t.shape[0]}x{t.shape[1]}" for t in (first, second))
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({shapes})")


def _check_multipliable(tensor: Any, kernel: str) -> None:
    """Source: PyTorch, ATen/native/cuda/Blas.cpp, the types that its kernels are made for."""
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        raise RuntimeError(f"\"{kernel}\" not implemented for '{_name(tensor)}'")


def _check_mm(first: Any, second: Any, *_: Any) -> None:
    _check_product(first, second)
    if first.dtype is not second.dtype:
        names = f"{_inner_name(first)} != {_inner_name(second)}"
        raise RuntimeError(f"expected mat1 and mat2 to have the same dtype, but got: {names}")
    _check_multipliable(first, "addmm_cuda")


def _check_addmm(added: Any, first: Any, second: Any, *_: Any) -> None:
    for which, other in (("self", added), ("mat1", first)):
        if other.dtype is not second.dtype:
            raise RuntimeError(
                f"{which} and mat2 must have the same dtype, but got {_name(other)} and "
                f"{_name(second)}"
            )
    _check_product(first, second)
    _check_multipliable(first, "addmm_cuda")


def _check_bmm(first: Any, second: Any, *_: Any) -> None:
    if first.dtype is not second.dtype:
        raise RuntimeError(f"expected scalar type {_name(first)} but found {_name(second)}")
    _check_multipliable(first, "baddbmm_cuda")


def _check_mv(matrix: Any, vector: Any, *_: Any) -> None:
    # torch makes an empty result of the vector's type to add to.
    _check_addmv(vector, matrix, vector)


def _check_addmv(added: Any, matrix: Any, vector: Any, *_: Any) -> None:
    if not added.dtype is matrix.dtype is vector.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {_name(added)}, "
            f"{_name(matrix)}, and {_name(vector)}"
        )


def _check_convolution(tensor: Any, weight: Any, *_: Any) -> None:
    """Source: PyTorch, ATen/native/Convolution.cpp, check_input_same_type_as_parameters."""
    if tensor.dtype is not weight.dtype:
        raise RuntimeError(
            f"Input type (torch.cuda.{_name(tensor)}Tensor) and weight type "
            f"(torch.cuda.{_name(weight)}Tensor) should be the same"
        )


def _check_nll_loss(_scores: Any, target: Any, *_: Any) -> None:
    """Source: PyTorch, ATen/native/cuda/NLLLoss.cu, AT_DISPATCH_NLL_LOSS_INDEX_TYPES."""
    if target.dtype not in {torch.int64, torch.uint8}:
        kernel = "nll_loss_forward_reduce_cuda_kernel_2d_index"
        raise RuntimeError(f"\"{kernel}\" not implemented for '{_name(target)}'")


_CHECKS: dict[str, Callable[..., None]] = {
    "addmm": _check_addmm,
    "addmv": _check_addmv,
    "bmm": _check_bmm,
    "convolution": _check_convolution,
    "mm": _check_mm,
    "mv": _check_mv,
    "nll_loss_forward": _check_nll_loss,
}
