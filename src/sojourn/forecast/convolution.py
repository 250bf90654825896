"""Workspace of cuDNN's convolution kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.trace import Pass

if TYPE_CHECKING:
    from sojourn.forecast.trace import Convolution

_ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float64": 8}
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Bytes of temporary workspace of one kernel."""

    low: int
    expected: int
    high: int


def convolution_workspace(call: Convolution, compute_capability: str) -> Workspace:
    """Workspace of one convolution kernel on a card of that compute capability.

    Tensor-core kernels read channels last. Where the tensors lie otherwise, cuDNN copies them into
    the workspace: the input and the weight in the forward pass, the output's gradient too backward.
    """
    item_bytes = _ITEM_BYTES.get(call.dtype, _FLOAT_BYTES)
    source, result, weight = (
        math.prod(shape) * item_bytes
        for shape in (call.input_shape, call.output_shape, call.weight_shape)
    )
    high = source + result + weight
    uses_tensor_cores = compute_capability >= "8.0" or call.dtype == "float16"
    if call.is_channels_last or not uses_tensor_cores:
        return Workspace(low=0, expected=0, high=high)
    expected = source + weight if call.kernel is Pass.FORWARD else high
    return Workspace(low=0, expected=expected, high=high)
