"""The curve over a step and the lines at the peak, on traces written by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sojourn.forecast.curve import memory_curve
from sojourn.forecast.memory import forecast_memory
from sojourn.forecast.trace import Alloc, Event, Free, Phase, Role, Trace
from sojourn.units import GIB, MIB


def alloc(
    block: int, size_bytes: int, phase: Phase, line: str, role: Role = Role.ACTIVATIONS
) -> Alloc:
    return Alloc(block=block, size_bytes=size_bytes, role=role, phase=phase, line=line)


def trace_of(*events: Event, step_ends: tuple[int, ...] = ()) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1 * GIB,
        batch_size=8,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=events,
        step_ends=step_ends,
    )


# Two steps: the first makes the optimizer's state, the second has the peak, in its forward pass.
TWO_STEPS = trace_of(
    alloc(0, 100 * MIB, Phase.SETUP, "train.py:3", Role.PARAMETERS),
    alloc(1, 300 * MIB, Phase.FORWARD, "train.py:10"),
    alloc(2, 100 * MIB, Phase.BACKWARD, "train.py:11", Role.GRADIENTS),
    Free(block=1),
    alloc(3, 200 * MIB, Phase.OPTIMIZER, "train.py:12", Role.OPTIMIZER),
    Free(block=2),
    alloc(4, 150 * MIB, Phase.FORWARD, "train.py:9"),
    alloc(5, 300 * MIB, Phase.FORWARD, "train.py:10"),
    alloc(6, 50 * MIB, Phase.FORWARD, "train.py:10"),
    Free(block=5),
    alloc(7, 8 * MIB, Phase.OPTIMIZER, "", Role.OPTIMIZER),
    alloc(8, 2 * MIB, Phase.EVALUATION, "train.py:20"),
    step_ends=(6, 11),
)


def test_the_lines_at_the_peak_come_largest_first_with_what_is_live_then_only() -> None:
    curve = memory_curve(TWO_STEPS, compute_capability="8.0")
    assert [(share.line, share.role, share.size_bytes) for share in curve.top_lines] == [
        ("train.py:10", Role.ACTIVATIONS, 350 * MIB),
        ("train.py:12", Role.OPTIMIZER, 200 * MIB),
        ("train.py:9", Role.ACTIVATIONS, 150 * MIB),
        ("train.py:3", Role.PARAMETERS, 100 * MIB),
    ]


def test_the_curve_is_of_the_step_that_holds_the_peak() -> None:
    points = memory_curve(TWO_STEPS, compute_capability="8.0").points
    assert [point.event for point in points] == [6, 7, 8, 9, 10]
    assert points[0].phase is Phase.FORWARD
    assert points[0].by_role_bytes[Role.ACTIVATIONS] == 150 * MIB
    assert points[-1].phase is Phase.OPTIMIZER


def test_the_curve_s_highest_point_is_the_forecast_s_peak() -> None:
    forecast = forecast_memory(TWO_STEPS, memory_bytes=16 * GIB, compute_capability="8.0")
    points = memory_curve(TWO_STEPS, compute_capability="8.0").points
    highest = max(points, key=lambda point: sum(point.by_role_bytes.values()))
    assert highest.by_role_bytes == forecast.peak.by_role_bytes


def test_a_block_of_no_line_of_the_user_s_is_named_none() -> None:
    curve = memory_curve(trace_of(alloc(0, 5 * MIB, Phase.SETUP, "")), compute_capability="8.0")
    assert [share.line for share in curve.top_lines] == [None]


def test_a_trace_of_nothing_has_no_curve() -> None:
    curve = memory_curve(trace_of(), compute_capability="8.0")
    assert (curve.points, curve.top_lines) == ((), ())


@given(st.lists(st.integers(min_value=1, max_value=64), min_size=1, max_size=400))
def test_a_long_curve_is_thinned_and_keeps_its_highest_point(sizes_mib: list[int]) -> None:
    events: list[Event] = []
    for block, size in enumerate(sizes_mib):
        events.append(alloc(block, size * MIB, Phase.FORWARD, "train.py:1"))
        if block % 3:
            events.append(Free(block=block))
    points = memory_curve(trace_of(*events), compute_capability="8.0").points
    forecast = forecast_memory(trace_of(*events), memory_bytes=64 * GIB, compute_capability="8.0")
    assert len(points) <= 120
    assert [point.event for point in points] == sorted({point.event for point in points})
    assert forecast.peak.by_role_bytes in [point.by_role_bytes for point in points]
