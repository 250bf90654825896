"""What a call takes of one processor, whoever else uses the machine."""

from __future__ import annotations

import time

import pytest

from sojourn.tracing.clock import Clock, Cost, typical_s


def cost(wall_s: float, cpu_s: float, queued_s: float | None) -> Cost:
    return Cost(wall_s=wall_s, cpu_s=cpu_s, queued_s=queued_s)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        # It queued for most of the time.
        ([cost(1.0, 0.2, 0.8), cost(0.4, 0.2, 0.2)], 0.2),
        # It waited for a disk.
        ([cost(1.0, 0.2, 0.0), cost(1.2, 0.2, 0.2)], 1.0),
        # It ran on two processors.
        ([cost(1.0, 2.0, 0.0)], 2.0),
        # The queue before the call is none of its own.
        ([cost(0.2, 0.2, 0.5)], 0.2),
        # Nobody says how long it queued: the quickest did so least.
        ([cost(1.0, 0.2, None), cost(0.3, 0.2, None)], 0.3),
        # Too short for a coarse clock: the middle one, by the clock on the wall.
        ([cost(0.001, 0.0, 0.0), cost(0.002, 0.01, 0.0), cost(0.003, 0.0, 0.0)], 0.003),
    ],
)
def test_others_are_left_out_and_waiting_is_not(costs: list[Cost], expected: float) -> None:
    assert typical_s(costs) == pytest.approx(expected)


def test_a_clock_times_what_it_calls() -> None:
    def wait(seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    result, sleeping = Clock().time(wait, 0.03)
    assert result == "done"
    assert sleeping.wall_s >= 0.03
    assert sleeping.cpu_s < 0.02
    # It may have queued just before or after, which is taken off as well.
    assert typical_s([sleeping] * 4) >= 0.03 - (sleeping.queued_s or 0.0)
