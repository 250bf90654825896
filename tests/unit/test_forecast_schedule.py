"""What feeding a job takes on another machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sojourn.forecast.schedule import Loading

LOADING = Loading(seconds_per_batch=0.1, measured_batches=10, workers=4)


@pytest.mark.parametrize(
    ("workers", "vcpus", "expected"), [(0, 2, 10), (1, 2, 10), (2, 2, 20), (4, 2, 20), (4, 8, 40)]
)
def test_as_many_load_as_there_are_workers_and_processors(
    workers: int, vcpus: int, expected: float
) -> None:
    rate = replace(LOADING, workers=workers).batches_per_s(vcpus=vcpus)
    assert rate == pytest.approx(expected)


def test_loading_that_takes_no_time_bounds_nothing() -> None:
    assert replace(LOADING, seconds_per_batch=0.0).batches_per_s(vcpus=2) is None
