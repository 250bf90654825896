"""Workspace of convolutions: what cuDNN's heuristics were found to choose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sojourn.forecast.convolution import COPIES, convolution_workspace
from sojourn.forecast.convolution_table import TREES
from sojourn.forecast.trace import Convolution, Pass, Phase

# 3x3 over 64 channels of 56x56, a batch of 64: input and output take 49 MiB each as float32.
CALL = Convolution(
    kernel=Pass.FORWARD,
    phase=Phase.FORWARD,
    line="train.py:1",
    input_shape=(64, 64, 56, 56),
    weight_shape=(64, 64, 3, 3),
    output_shape=(64, 64, 56, 56),
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    groups=1,
    dtype="float32",
    is_channels_last=False,
    allows_tf32=True,
    is_benchmarked=False,
)
INPUT_BYTES = 64 * 64 * 56 * 56 * 4
WEIGHT_BYTES = 64 * 64 * 3 * 3 * 4


def test_a_tf32_kernel_of_the_forward_pass_reads_its_input_as_it_is_or_turned() -> None:
    found = convolution_workspace(CALL, "8.0")
    # cuDNN 9.10 itself says 51,527,696 B for this call on an A100; measured runs had none.
    assert (found.expected, found.high) == (0, INPUT_BYTES + WEIGHT_BYTES)


@pytest.mark.parametrize("kernel", [Pass.BACKWARD_DATA, Pass.BACKWARD_WEIGHT])
def test_a_tf32_kernel_of_a_gradient_has_one_large_tensor_turned(kernel: Pass) -> None:
    call = replace(CALL, kernel=kernel)
    assert convolution_workspace(call, "8.0").expected == INPUT_BYTES + WEIGHT_BYTES
    assert convolution_workspace(replace(call, is_channels_last=True), "8.0").expected == 0


def test_a_card_without_tf32_needs_no_copies() -> None:
    assert convolution_workspace(CALL, "7.5").expected == 0


def test_without_tf32_allowed_an_ampere_card_needs_none_either() -> None:
    assert convolution_workspace(replace(CALL, allows_tf32=False), "8.0").expected == 0


def test_half_precision_that_lies_channels_last_needs_no_copies() -> None:
    call = replace(CALL, dtype="float16", is_channels_last=True)
    assert convolution_workspace(call, "8.0").expected == 0


def test_half_precision_that_lies_channels_first_is_copied_in_and_out() -> None:
    call = replace(CALL, dtype="float16")
    assert convolution_workspace(call, "8.0").expected == INPUT_BYTES + WEIGHT_BYTES // 2


def test_benchmarking_takes_the_largest_candidate() -> None:
    plain = convolution_workspace(CALL, "8.0")
    benchmarked = convolution_workspace(replace(CALL, is_benchmarked=True), "8.0")
    assert benchmarked.expected > plain.expected
    assert benchmarked.high >= benchmarked.expected


@pytest.mark.parametrize("kernel", list(Pass))
@pytest.mark.parametrize("capability", ["6.0", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "12.0"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_every_card_type_and_layout_has_ordered_bounds(
    kernel: Pass, capability: str, dtype: str, layout: str
) -> None:
    call = replace(CALL, kernel=kernel, dtype=dtype, is_channels_last=layout == "nhwc")
    found = convolution_workspace(call, capability)
    assert 0 <= found.low <= found.expected <= found.high


def test_convolutions_of_one_and_three_dimensions_have_a_forecast() -> None:
    line = replace(
        CALL, input_shape=(8, 4, 1, 99), weight_shape=(4, 4, 1, 3), output_shape=(8, 4, 1, 99)
    )
    volume = replace(
        CALL,
        input_shape=(2, 4, 8, 8, 8),
        weight_shape=(4, 4, 3, 3, 3),
        output_shape=(2, 4, 8, 8, 8),
        stride=(1, 1, 1),
        padding=(1, 1, 1),
        dilation=(1, 1, 1),
    )
    assert convolution_workspace(line, "8.0").high >= 0
    assert convolution_workspace(volume, "8.0").high >= 0


def leaves(node: Any) -> list[tuple[int, ...]]:
    if all(isinstance(part, int) for part in node):
        return [node]
    _, _, at_most, above = node
    return [*leaves(at_most), *leaves(above)]


def test_every_leaf_of_the_table_names_copies() -> None:
    for key, tree in TREES.items():
        assert all(0 <= index < len(COPIES) for leaf in leaves(tree) for index in leaf), key
