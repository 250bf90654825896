"""What a probe measured, and how forecasts follow from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sojourn.forecast.correction import (
    Correction,
    Measured,
    apply_correction,
    find_correction,
    job_key,
    make_correction,
    with_correction,
)
from sojourn.forecast.memory import Range

MEASURED = Measured(
    device="Tesla T4",
    memory_bytes=15_637_413_888,
    compute_capability="7.5",
    torch="2.13.0",
    steps=20,
    seconds=40.0,
    peak_reserved_bytes=5_500,
    peak_allocated_bytes=5_000,
    step_s=0.3,
    waited_s=0.01,
)
FORECAST = Range(low=4_000, expected=5_000, high=6_000)
STEP = Range(low=0.15, expected=0.2, high=0.25)


def corrected(measured: Measured, step_s: Range | None = STEP) -> Correction:
    return make_correction(
        measured,
        job="j",
        accelerator="t4",
        measured_on="2026-11-25",
        peak_reserved_bytes=FORECAST,
        step_s=step_s,
    )


def test_a_correction_is_measured_over_expected() -> None:
    correction = corrected(MEASURED)
    assert correction.memory_ratio == pytest.approx(1.1)
    assert correction.step_ratio == pytest.approx(1.5)
    assert corrected(MEASURED, step_s=None).step_ratio is None


def test_a_step_that_waits_for_its_data_says_nothing_of_the_card() -> None:
    correction = corrected(replace(MEASURED, waited_s=0.1))
    assert correction.memory_ratio == pytest.approx(1.1)
    assert correction.step_ratio is None


def test_a_factor_that_no_forecast_is_off_by_is_none() -> None:
    assert corrected(replace(MEASURED, step_s=2e9)).step_ratio is None
    assert corrected(replace(MEASURED, peak_reserved_bytes=10**300)).memory_ratio is None


def test_a_job_that_did_not_fit_has_no_ratios() -> None:
    correction = corrected(replace(MEASURED, fits=False))
    assert (correction.fits, correction.memory_ratio, correction.step_ratio) == (False, None, None)


def test_a_forecast_that_is_corrected_keeps_the_shape_of_its_band() -> None:
    assert apply_correction(FORECAST, None) == FORECAST
    assert apply_correction(FORECAST, 1.5) == Range(low=6_000, expected=7_500, high=9_000)


def test_the_expected_value_of_the_same_job_is_then_what_was_measured() -> None:
    moved = apply_correction(FORECAST, corrected(MEASURED).memory_ratio)
    assert moved.expected == pytest.approx(MEASURED.peak_reserved_bytes)


def test_a_later_probe_takes_the_place_of_an_earlier_one_and_of_no_other() -> None:
    old, other = corrected(MEASURED), replace(corrected(MEASURED), accelerator="l4")
    new = replace(old, memory_ratio=0.9, measured_on="2026-12-01")
    kept = with_correction([old, other], new)
    assert kept == (other, new)
    assert find_correction(kept, job="j", accelerator="t4") == new
    assert find_correction(kept, job="j", accelerator="l4") == other
    assert find_correction(kept, job="k", accelerator="t4") is None
    assert find_correction([new, old], job="j", accelerator="t4") == new


def test_a_job_is_its_text_its_arguments_and_its_batch_size() -> None:
    keys = {
        job_key("code", (), 32),
        job_key("code ", (), 32),
        job_key("code", ("--lr", "1"), 32),
        job_key("code", ("--lr 1",), 32),
        job_key("code", (), 64),
        job_key("code", (), None),
    }
    assert len(keys) == 6
    assert job_key("code", (), 32) == job_key("code", [], 32)
    assert "secret" not in job_key("secret", ("secret",), 1)
