"""The models of library memory meet the measured sizes that they were taken from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sojourn.forecast.workspace import (
    RnnShape,
    context_bytes,
    cublas_workspace_bytes,
    rnn_reserve_bytes,
    rnn_workspace_bytes,
)
from sojourn.units import MIB

# pytorch/pytorch issue 2895: 4 layers, hidden 320, input 123, batch 100, 250 steps, fp32.
MEASURED = RnnShape(
    mode="LSTM",
    tokens=25_000,
    samples=100,
    input_size=123,
    hidden_size=320,
    layers=4,
    directions=1,
    item_bytes=4,
)


@pytest.mark.parametrize(
    ("mode", "reserve_bytes", "workspace_bytes"),
    [("LSTM", 736_000_000, 17_730_560), ("GRU", 864_000_000, 13_169_920)],
)
def test_cudnn_sizes_are_met_to_the_byte(
    mode: str, reserve_bytes: int, workspace_bytes: int
) -> None:
    shape = replace(MEASURED, mode=mode)
    assert rnn_reserve_bytes(shape) == reserve_bytes
    assert rnn_workspace_bytes(shape) == workspace_bytes


def test_half_precision_halves_the_reserve_and_two_directions_double_it() -> None:
    assert rnn_reserve_bytes(replace(MEASURED, item_bytes=2)) == 368_000_000
    assert rnn_reserve_bytes(replace(MEASURED, directions=2)) == 2 * 736_000_000


def test_hopper_has_the_larger_cublas_workspace() -> None:
    assert cublas_workspace_bytes("8.0") == 8_519_680
    assert cublas_workspace_bytes("9.0") == 32 * MIB


def test_a_card_that_is_not_known_gets_the_largest_context() -> None:
    assert context_bytes("13.1") == max(context_bytes(c) for c in ("7.5", "8.9", "9.0", "12.0"))
