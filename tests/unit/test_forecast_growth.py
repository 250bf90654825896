"""The suspicion that a script keeps memory from step to step, on traces written by hand."""

from __future__ import annotations

from sojourn.forecast.growth import suspected_growth_bytes
from sojourn.forecast.trace import Alloc, Event, Free, Phase, Role, Trace


def alloc(
    block: int, line: str, role: Role = Role.ACTIVATIONS, phase: Phase = Phase.FORWARD
) -> Alloc:
    return Alloc(block=block, size_bytes=1000, role=role, phase=phase, line=line)


def trace_of(first: list[Event], second: list[Event]) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1,
        batch_size=8,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(*first, *second, alloc(99, "train.py:30", phase=Phase.EVALUATION)),
        step_ends=(len(first), len(first) + len(second)),
    )


def test_what_both_steps_made_and_neither_let_go_is_suspect() -> None:
    trace = trace_of([alloc(0, "train.py:5")], [alloc(1, "train.py:5")])
    assert suspected_growth_bytes(trace) == 1000


def test_what_the_second_step_replaced_is_not() -> None:
    trace = trace_of([alloc(0, "train.py:5")], [alloc(1, "train.py:5"), Free(block=0)])
    assert suspected_growth_bytes(trace) == 0


def test_a_cache_that_is_filled_once_is_not() -> None:
    trace = trace_of([alloc(0, "train.py:5")], [alloc(1, "train.py:6")])
    assert suspected_growth_bytes(trace) == 0


def test_state_and_what_was_there_before_training_is_not() -> None:
    first: list[Event] = [
        alloc(0, "train.py:5", phase=Phase.SETUP),
        alloc(1, "train.py:6", Role.OPTIMIZER),
        alloc(2, "train.py:7", Role.GRADIENTS, Phase.BACKWARD),
    ]
    second: list[Event] = [
        alloc(3, "train.py:5"),
        alloc(4, "train.py:6", Role.OPTIMIZER),
        alloc(5, "train.py:7"),
    ]
    assert suspected_growth_bytes(trace_of(first, second)) == 0


def test_what_comes_after_the_last_step_does_not_count() -> None:
    trace = trace_of([alloc(0, "train.py:30")], [alloc(1, "train.py:5")])
    assert suspected_growth_bytes(trace) == 0
