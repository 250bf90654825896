"""A probe from end to end: measure, forecast the same job on the same card, keep the difference."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sojourn.catalog import find_accelerator_of_device
from sojourn.catalog.models import Accelerator
from sojourn.errors import TraceError
from sojourn.forecast.correction import ProbeReport, job_key, make_correction
from sojourn.planning.fit import forecast_on
from sojourn.runs.corrections import keep_correction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from sojourn.catalog.models import Catalog
    from sojourn.forecast.correction import Correction, Measured
    from sojourn.forecast.memory import Range
    from sojourn.forecast.trace import Trace


def probe_job(
    *,
    target: str,
    code: str,
    arguments: Sequence[str],
    steps: int,
    measure: Callable[[], Measured],
    trace_for: Callable[[str], Trace],
    step_time_for: Callable[[Trace, Accelerator], Range | None] = lambda _trace, _card: None,
    catalog: Catalog,
    corrections: Path,
    today: date,
) -> ProbeReport:
    """Measure a job and keep by how much it came out otherwise than forecast.

    Args:
        target: The script, as the user named it; `code` is its text.
        code: See `target`.
        arguments: What it gets in `sys.argv[1:]`.
        steps: How many steps are measured, which `measure` takes.
        measure: See `steps`.
        trace_for: Gives the job's trace for a card of a compute capability such as "7.5".
        step_time_for: Forecasts the seconds of a step on a card, loading left out.
        catalog: Where the card is looked up.
        corrections: The file to keep the difference in.
        today: The day that the figures are of.

    Raises:
        TraceError: nothing could be measured. That nothing could be forecast is in the report.
        UsageError: what was measured cannot be kept.
    """
    measured = measure()
    card = _accelerator(catalog, measured)
    report = _not_forecast(target, card, steps, measured)
    try:
        trace = trace_for(measured.compute_capability)
    except TraceError as error:
        return replace(report, reason=f"there is no forecast: {error.message}")
    report = replace(report, batch_size=trace.batch_size)
    forecast = forecast_on(trace, card) if trace.uses_device else None
    if forecast is not None:
        report = replace(
            report,
            peak_reserved_bytes=forecast.peak_reserved_bytes,
            step_s=step_time_for(trace, card),
            reason="",
        )
    job = job_key(code, arguments, trace.batch_size)
    correction = _correction(report, job, today)
    keep_correction(corrections, correction)
    return replace(report, correction=correction)


def _not_forecast(target: str, card: Accelerator, steps: int, measured: Measured) -> ProbeReport:
    return ProbeReport(
        target=target,
        accelerator=card,
        batch_size=None,
        steps_wanted=steps,
        measured=measured,
        peak_reserved_bytes=None,
        step_s=None,
        correction=None,
        reason="there is no forecast: nothing was traced on the device",
    )


def _correction(report: ProbeReport, job: str, today: date) -> Correction:
    return make_correction(
        report.measured,
        job=job,
        accelerator=report.accelerator.id,
        measured_on=today.isoformat(),
        peak_reserved_bytes=report.peak_reserved_bytes,
        step_s=report.step_s,
    )


def _accelerator(catalog: Catalog, measured: Measured) -> Accelerator:
    """Return the card as the catalog knows it, or as torch describes it."""
    known = find_accelerator_of_device(catalog, measured.device, measured.memory_bytes)
    if known is not None:
        return known
    return Accelerator(
        id="-".join(re.findall(r"[a-z0-9]+", measured.device.lower())) or "unknown",
        name=measured.device,
        memory_bytes=measured.memory_bytes,
        compute_capability=measured.compute_capability,
    )
