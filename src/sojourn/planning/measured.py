"""What a probe measured of this job on a card, put in the place of what was forecast there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sojourn.forecast.correction import apply_correction
from sojourn.forecast.memory import Verdict, verdict_of

if TYPE_CHECKING:
    from sojourn.forecast.correction import Correction
    from sojourn.forecast.memory import MemoryForecast
    from sojourn.forecast.step_time import StepTime


def corrected_memory(forecast: MemoryForecast, correction: Correction | None) -> MemoryForecast:
    """Return the forecast as it was measured, with the verdict that follows.

    What ran out of memory does not fit, whatever was forecast.
    """
    if correction is None:
        return forecast
    reserved = apply_correction(forecast.peak_reserved_bytes, correction.memory_ratio)
    verdict = verdict_of(reserved, forecast.usable_bytes)
    return replace(
        forecast,
        peak_reserved_bytes=reserved,
        verdict=verdict if correction.fits else Verdict.DOES_NOT_FIT,
    )


def corrected_time(time: StepTime, correction: Correction | None) -> StepTime:
    """Return a step's time as it was measured. Evaluation, which a probe does not see, stays."""
    if correction is None or correction.step_ratio is None or time.step_s is None:
        return time
    ratio = correction.step_ratio
    return replace(
        time,
        step_s=apply_correction(time.step_s, ratio),
        by_family_s={family: seconds * ratio for family, seconds in time.by_family_s.items()},
    )


def correction_words(correction: Correction) -> str:
    """Say that the forecast was corrected, and by what."""
    if not correction.fits:
        return f"a probe of {correction.measured_on} ran out of its memory"
    return f"corrected by what a probe measured on {correction.measured_on}"
