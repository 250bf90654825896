"""Host memory by hand: what a rented runtime adds to what was seen, and the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sojourn.forecast.host import SYSTEM_BYTES, HostForecast, forecast_host
from sojourn.forecast.memory import Verdict
from sojourn.forecast.trace import (
    Alloc,
    HostUse,
    LoaderUse,
    Phase,
    Role,
    Trace,
    dump_trace,
    load_trace,
)
from sojourn.units import GIB, MIB

BLOCK = Alloc(block=0, size_bytes=1, role=Role.ACTIVATIONS, phase=Phase.FORWARD, line="a.py:1")
LOADER = LoaderUse(
    workers=4,
    batches_ahead=2,
    is_persistent=False,
    is_pinned=False,
    batch_bytes=3 * MIB,
    objects_bytes=0,
)


def traced(*loaders: LoaderUse, on_device: bool = True) -> Trace:
    return Trace(
        target="a.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=3 * GIB,
        batch_size=8,
        samples_per_epoch=None,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(BLOCK,) if on_device else (),
        host=HostUse(before_bytes=1 * GIB, loaders=loaders),
    )


def on_colab(trace: Trace, *, has_card: bool = True) -> HostForecast:
    return forecast_host(trace, memory_bytes=13_636_521_165, has_card=has_card)


def test_what_the_script_took_is_told_from_what_was_there_before() -> None:
    parts = on_colab(traced()).by_part_bytes
    assert parts["script"] == 2 * GIB
    assert parts["workers"] == parts["pinned"] == 0


def test_a_cuda_build_of_torch_is_counted_whatever_traced() -> None:
    forecast = on_colab(traced())
    assert 600 * MIB < forecast.by_part_bytes["libraries"] < 800 * MIB
    assert forecast.peak_bytes.low < forecast.peak_bytes.expected < forecast.peak_bytes.high


def test_no_context_where_there_is_no_card_or_nothing_on_it() -> None:
    assert on_colab(traced()).by_part_bytes["context"] > 0
    assert on_colab(traced(on_device=False)).by_part_bytes["context"] == 0
    assert on_colab(traced(), has_card=False).by_part_bytes["context"] == 0


def test_workers_take_their_own_and_the_batches_they_have_ready() -> None:
    assert on_colab(traced(LOADER)).by_part_bytes["workers"] == 4 * (16 + 2 * 3) * MIB


def test_workers_may_copy_the_objects_that_they_count() -> None:
    plain = on_colab(traced(LOADER)).peak_bytes
    copied = on_colab(traced(replace(LOADER, objects_bytes=GIB))).peak_bytes
    assert copied.low == plain.low
    assert copied.expected == plain.expected + 2 * GIB
    assert copied.high == plain.high + 4 * GIB


def test_loaders_take_turns_unless_their_workers_stay() -> None:
    one = on_colab(traced(LOADER)).by_part_bytes["workers"]
    assert on_colab(traced(LOADER, LOADER)).by_part_bytes["workers"] == one
    staying = replace(LOADER, is_persistent=True)
    assert on_colab(traced(staying, LOADER)).by_part_bytes["workers"] == 2 * one


def test_pinned_batches_are_rounded_up_to_a_power_of_two() -> None:
    pinned = replace(LOADER, is_pinned=True)
    forecast = on_colab(traced(pinned))
    assert forecast.by_part_bytes["pinned"] == 2 * 4 * MIB
    assert on_colab(traced(pinned), has_card=False).by_part_bytes["pinned"] == 0


@pytest.mark.parametrize(
    ("memory_bytes", "verdict"),
    [
        (16 * GIB, Verdict.FITS),
        (5 * GIB + SYSTEM_BYTES, Verdict.FITS),
        (4 * GIB + SYSTEM_BYTES, Verdict.TIGHT),
        (3 * GIB + SYSTEM_BYTES, Verdict.DOES_NOT_FIT),
        (1 * GIB, Verdict.DOES_NOT_FIT),
        (None, Verdict.UNKNOWN),
    ],
)
def test_the_verdict_follows_from_the_band(memory_bytes: int | None, verdict: Verdict) -> None:
    forecast = forecast_host(traced(), memory_bytes=memory_bytes, has_card=True)
    assert forecast.verdict is verdict


def test_without_a_card_a_script_that_uses_one_is_not_judged() -> None:
    assert on_colab(traced(), has_card=False).verdict is Verdict.UNKNOWN
    assert on_colab(traced(on_device=False), has_card=False).verdict is Verdict.FITS


def test_what_was_seen_of_the_host_is_kept_with_the_trace() -> None:
    trace = traced(LOADER)
    assert load_trace(dump_trace(trace)) == trace
