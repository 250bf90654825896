"""From a trace to a verdict, on traces written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import TraceError
from sojourn.forecast.memory import Verdict, forecast_memory
from sojourn.forecast.scaling import BatchScale
from sojourn.forecast.trace import (
    Alloc,
    Convolution,
    Event,
    Free,
    Op,
    Pass,
    Phase,
    Role,
    Trace,
    dump_trace,
    load_trace,
)
from sojourn.forecast.workspace import context_bytes
from sojourn.units import GIB, MIB


def alloc(
    block: int,
    size_bytes: int,
    role: Role = Role.ACTIVATIONS,
    *,
    line: str = "train.py:1",
    estimated: bool = False,
) -> Alloc:
    return Alloc(
        block=block,
        size_bytes=size_bytes,
        role=role,
        phase=Phase.FORWARD,
        line=line,
        estimated=estimated,
    )


def trace_of(*events: Event, batch_size: int | None = 8) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1 * GIB,
        batch_size=batch_size,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=("one",),
        events=events,
    )


def matmul(thread: int) -> Op:
    return Op(
        kind="matmul",
        phase=Phase.FORWARD,
        line="train.py:2",
        input_shape=(4, 4),
        weight_shape=(4, 4),
        output_shape=(4, 4),
        item_bytes=4,
        thread=thread,
    )


def convolution() -> Convolution:
    return Convolution(
        kernel=Pass.BACKWARD_WEIGHT,
        phase=Phase.BACKWARD,
        line="train.py:2",
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


def test_what_is_far_below_the_card_fits() -> None:
    forecast = forecast_memory(
        trace_of(alloc(0, 1 * GIB)), memory_bytes=16 * GIB, compute_capability="7.5"
    )
    assert forecast.verdict is Verdict.FITS
    assert forecast.usable_bytes == 16 * GIB - context_bytes("7.5")
    assert forecast.peak_reserved_bytes.expected == 1 * GIB


def test_what_is_over_the_card_does_not_fit_and_says_what_it_would_need() -> None:
    forecast = forecast_memory(
        trace_of(alloc(0, 10 * GIB), alloc(1, 10 * GIB)),
        memory_bytes=16 * GIB,
        compute_capability="7.5",
    )
    assert forecast.verdict is Verdict.DOES_NOT_FIT
    assert forecast.peak_reserved_bytes.expected == 20 * GIB


def test_an_estimated_size_that_may_come_out_larger_makes_it_tight() -> None:
    usable = 16 * GIB - context_bytes("7.5")
    sure = trace_of(alloc(0, int(usable * 0.9)))
    estimated = trace_of(alloc(0, int(usable * 0.9), Role.WORKSPACE, estimated=True))
    verdicts = [
        forecast_memory(trace, memory_bytes=16 * GIB, compute_capability="7.5").verdict
        for trace in (sure, estimated)
    ]
    assert verdicts == [Verdict.FITS, Verdict.TIGHT]


def test_the_peak_names_its_line_and_what_it_is_made_of() -> None:
    forecast = forecast_memory(
        trace_of(
            alloc(0, 100 * MIB, Role.PARAMETERS, line="train.py:3"),
            alloc(1, 500 * MIB, line="train.py:7"),
            Free(block=1),
            alloc(2, 300 * MIB, line="train.py:9"),
        ),
        memory_bytes=16 * GIB,
        compute_capability="8.0",
    )
    assert forecast.peak.line == "train.py:7"
    assert forecast.peak.by_role_bytes[Role.PARAMETERS] == 100 * MIB
    assert forecast.peak.by_role_bytes[Role.ACTIVATIONS] == 500 * MIB
    assert forecast.peak_allocated_bytes == 600 * MIB


def test_each_thread_that_multiplies_keeps_one_cublas_workspace() -> None:
    forecast = forecast_memory(
        trace_of(matmul(0), matmul(0), matmul(1)), memory_bytes=16 * GIB, compute_capability="8.0"
    )
    assert forecast.peak.by_role_bytes[Role.WORKSPACE] == 2 * 8_519_680


def test_convolution_workspace_goes_when_the_kernel_is_done() -> None:
    forecast = forecast_memory(
        trace_of(convolution(), convolution()), memory_bytes=16 * GIB, compute_capability="8.0"
    )
    input_bytes, weight_bytes = 64 * 64 * 56 * 56 * 4, 64 * 64 * 3 * 3 * 4
    assert forecast.peak.by_role_bytes[Role.WORKSPACE] == input_bytes + weight_bytes
    assert forecast.peak_reserved_bytes.high > forecast.peak_reserved_bytes.expected


@given(st.lists(st.integers(min_value=1, max_value=200 * MIB), min_size=1, max_size=30))
def test_low_is_not_over_expected_nor_expected_over_high(sizes: list[int]) -> None:
    events = [alloc(i, size, estimated=i % 3 == 0) for i, size in enumerate(sizes)]
    forecast = forecast_memory(
        trace_of(*events, convolution()), memory_bytes=2 * GIB, compute_capability="8.0"
    )
    peak = forecast.peak_reserved_bytes
    assert peak.low <= peak.expected <= peak.high


def test_a_trace_survives_being_written_and_read() -> None:
    trace = trace_of(alloc(0, 5), matmul(0), convolution(), Free(block=0), batch_size=None)
    assert load_trace(dump_trace(trace)) == trace


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "sojourn.trace/2"}', '{"schema": "sojourn.trace/1"}']
)
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match="not a trace"):
        load_trace(text)


@given(st.integers(min_value=1, max_value=500))
def test_two_batch_sizes_give_every_other(batch_size: int) -> None:
    def traced(batch: int) -> Trace:
        return trace_of(alloc(0, 1000 + 70 * batch), matmul(0), Free(block=0), batch_size=batch)

    scale = BatchScale(traced(8), traced(4))
    assert scale.is_possible
    assert scale.at(batch_size).events == traced(batch_size).events


def test_blocks_may_go_in_another_order() -> None:
    def traced(batch: int, first: int) -> Trace:
        blocks = (alloc(0, 10 * batch), alloc(1, 5))
        return trace_of(*blocks, Free(block=first), Free(block=1 - first), batch_size=batch)

    scale = BatchScale(traced(8, 0), traced(4, 1))
    assert scale.is_possible
    assert scale.at(16).events == traced(16, 0).events


def test_traces_that_took_different_ways_do_not_scale() -> None:
    first = trace_of(alloc(0, 10), batch_size=8)
    assert not BatchScale(first, trace_of(alloc(0, 5), alloc(1, 5), batch_size=4)).is_possible
    assert not BatchScale(first, trace_of(matmul(0), batch_size=4)).is_possible
    assert not BatchScale(first, trace_of(Free(block=0), batch_size=4)).is_possible
    assert not BatchScale(first, first).is_possible
