"""Workspace of cuDNN's convolution kernels.

cuDNN's fast kernels read channels last and, from single precision, numbers rounded to TF32. Where
the tensors lie otherwise they are copied into the workspace first, so that it is nearly always a
whole number of copies of input, output and weight; which number, its heuristics decide. Those
decisions were asked of the library itself, card by card, and are kept as small decision trees in
`convolution_table`; bench/convolutions tells how. Where runs were measured, with TF32, what those
bear out is expected, and the library's answers are the bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sojourn.forecast.convolution_table import TREES
from sojourn.forecast.trace import Pass

if TYPE_CHECKING:
    from sojourn.forecast.trace import Convolution

# How many copies of (input, output, weight) a workspace holds. The table's leaves are numbers into
# this tuple.
COPIES = ((0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2, 2))

# The same for kernels that round to TF32, as measured runs bear it out: what lies channels last is
# read as it is; with channels first the forward pass's kernels read that too, and those of both
# gradients have one large tensor turned. cuDNN 9.10 and 9.20 say that forward kernels turn their
# input as well, and gradient kernels both tensors; with that, two measured VGG come out 5 and 9 %
# too high, with this 1.5 %.
_TURNED = {
    Pass.FORWARD: (0, 0, 0),
    Pass.BACKWARD_DATA: (1, 0, 1),
    Pass.BACKWARD_WEIGHT: (1, 0, 1),
}

# The cards that cuDNN was asked about, each standing for those from its capability on.
_KNOWN = ("9.0", "8.9", "8.6", "8.0", "7.5")
_LEAF_LENGTH = 4
_HALVES = {"float16", "bfloat16"}
_ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
_ALIGNMENT_LIMIT = 64
# Ampere. Source: NVIDIA A100 tensor core GPU architecture, white paper.
_FIRST_WITH_TF32 = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Bytes of temporary workspace of one kernel."""

    low: int
    expected: int
    high: int


# Layers repeat, steps do, and a forecast replays both three times.
@lru_cache(maxsize=1 << 14)
def convolution_workspace(call: Convolution, compute_capability: str) -> Workspace:
    """Return the workspace of one convolution kernel.

    Args:
        call: The kernel's call.
        compute_capability: Of the card it runs on, as NVIDIA writes it: "7.5".

    Returns:
        Expected is what measured runs bear out, else what cuDNN's heuristics mostly choose for
        calls like this one; the bounds are the ends of what they choose in 90 % of cases. Where
        torch measures candidates first (`torch.backends.cudnn.benchmark`), the largest of them is
        what counts.
    """
    item_bytes = _ITEM_BYTES.get(call.dtype, 4)
    sizes = [
        math.prod(shape) * item_bytes
        for shape in (call.input_shape, call.output_shape, call.weight_shape)
    ]
    leaf = _leaf_of(call, compute_capability)
    low, expected, high, benchmarked = (_bytes(COPIES[index], sizes) for index in leaf)
    if call.is_benchmarked:
        expected = benchmarked
    elif _rounds_to_tf32(call, compute_capability):
        expected = 0 if call.is_channels_last else _bytes(_TURNED[call.kernel], sizes)
    return Workspace(low=min(low, expected, high), expected=expected, high=max(low, expected, high))


def features_of(
    *,
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    stride: int,
    groups: int,
) -> tuple[float, ...]:
    """Return what the trees ask about a convolution: channels and their alignment, sizes, window.

    Shapes are (N, C, ...) and (O, I/groups, ...), in elements.
    """
    inner, outer = input_shape[1] // groups, output_shape[1] // groups
    return (
        input_shape[0],
        inner,
        outer,
        groups,
        math.prod(weight_shape[2:]),
        stride,
        math.prod(output_shape[2:]),
        math.prod(input_shape[2:]),
        math.log2(max(1, math.prod(input_shape))),
        math.log2(max(1, math.prod(output_shape))),
        _power_of_two_in(inner),
        _power_of_two_in(outer),
    )


def _leaf_of(call: Convolution, compute_capability: str) -> tuple[int, int, int, int]:
    node: Any = TREES[_key(call, compute_capability)]
    features = features_of(
        input_shape=call.input_shape,
        weight_shape=call.weight_shape,
        output_shape=call.output_shape,
        stride=max(call.stride),
        groups=call.groups,
    )
    while not _is_leaf(node):
        feature, threshold, at_most, above = node
        node = at_most if features[feature] <= threshold else above
    low, expected, high, benchmarked = node
    return low, expected, high, benchmarked


def _rounds_to_tf32(call: Convolution, compute_capability: str) -> bool:
    is_allowed = call.dtype == "float32" and call.allows_tf32
    return is_allowed and _version(compute_capability) >= _FIRST_WITH_TF32


def _is_leaf(node: Any) -> bool:
    return len(node) == _LEAF_LENGTH and all(isinstance(part, int) for part in node)


def _key(call: Convolution, compute_capability: str) -> str:
    known = (name for name in _KNOWN if _version(name) <= _version(compute_capability))
    capability = next(known, _KNOWN[-1])
    if call.dtype in _HALVES:
        precision = "half"
    else:
        precision = "tf32" if call.allows_tf32 and call.dtype == "float32" else "fp32"
    layout = "nhwc" if call.is_channels_last else "nchw"
    return f"{capability}/{precision}/{layout}/{call.kernel.value}"


def _version(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))


def _bytes(copies: tuple[int, int, int], sizes: list[int]) -> int:
    return sum(count * size for count, size in zip(copies, sizes, strict=True))


def _power_of_two_in(number: int) -> int:
    return min(number & -number, _ALIGNMENT_LIMIT) if number else 0
