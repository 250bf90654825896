"""What a probe measured takes the place of what was forecast for that job on that card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.forecast.correction import Correction
from sojourn.forecast.memory import Range, Verdict
from sojourn.forecast.scaling import Traced
from sojourn.forecast.schedule import Schedule
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.planning.plan import Option, make_plan
from sojourn.units import GIB

CATALOG = Catalog(
    accelerators={
        name: Accelerator(
            id=name, name=name.upper(), memory_bytes=15 * GIB, compute_capability="7.5"
        )
        for name in ("t4", "other")
    },
    runtime_types={
        f"x/{name}": RuntimeType(
            id=f"x/{name}",
            name=name,
            provider="x",
            accelerator=name,
            rate_units_per_hour=1.0,
        )
        for name in ("t4", "other")
    },
    subscriptions={},
)
TRACE = Trace(
    target="a.py",
    torch="2.13.0",
    steps=2,
    seconds=0.0,
    host_memory_bytes=1,
    batch_size=64,
    samples_per_epoch=6400,
    is_batch_size_known_to_loader=True,
    compute_capability="8.0",
    asked_capability=False,
    assumptions=(),
    events=(
        Alloc(
            block=0,
            size_bytes=10 * GIB,
            role=Role.ACTIVATIONS,
            phase=Phase.FORWARD,
            line="a.py:1",
        ),
    ),
    schedule=Schedule(steps_per_epoch=100, epochs=36, evaluation_batches=0),
)
MEASURED = Correction(
    job="j",
    accelerator="t4",
    measured_on="2026-11-20",
    steps=20,
    memory_ratio=0.9,
    step_ratio=2.0,
)


def one_second(_trace: Trace, _accelerator: Accelerator) -> StepTime:
    return StepTime(step_s=Range(low=0.8, expected=1.0, high=1.2), by_family_s={"matmul": 1.0})


def planned(correction: Correction | None) -> dict[str, Option]:
    plan = make_plan(
        target="a.py",
        runtime_types=tuple(CATALOG.runtime_types.values()),
        catalog=CATALOG,
        trace_for=lambda _: Traced(trace=TRACE, scale=None),
        forecast_step=one_second,
        corrections={correction.accelerator: correction} if correction else {},
    )
    return {option.runtime_type.id: option for option in plan.options}


def expected_units(option: Option) -> float:
    assert option.job.compute_units is not None
    return option.job.compute_units.expected


def test_memory_and_time_are_moved_by_what_was_measured_and_cost_with_them() -> None:
    before, after = planned(None)["x/t4"], planned(MEASURED)["x/t4"]
    assert before.memory is not None
    assert after.memory is not None
    assert after.memory.peak_reserved_bytes.expected == pytest.approx(
        0.9 * before.memory.peak_reserved_bytes.expected
    )
    assert expected_units(after) == pytest.approx(2 * expected_units(before))
    assert "corrected by what a probe measured on 2026-11-20" in after.reason


def test_other_cards_keep_their_forecast() -> None:
    assert planned(MEASURED)["x/other"] == planned(None)["x/other"]


def test_what_was_seen_to_run_out_of_memory_does_not_fit() -> None:
    failed = replace(MEASURED, memory_ratio=None, step_ratio=None, fits=False)
    option = planned(failed)["x/t4"]
    assert option.verdict is Verdict.DOES_NOT_FIT
    assert "ran out of its memory" in option.reason


def test_more_than_was_forecast_may_no_longer_fit() -> None:
    assert planned(None)["x/t4"].verdict is Verdict.FITS
    assert planned(replace(MEASURED, memory_ratio=1.6))["x/t4"].verdict is Verdict.DOES_NOT_FIT


def test_what_was_not_measured_stays() -> None:
    unmeasured = replace(MEASURED, memory_ratio=None, step_ratio=None)
    before, after = planned(None)["x/t4"], planned(unmeasured)["x/t4"]
    assert (after.memory, after.job) == (before.memory, before.job)
