"""What a probe measured on a card, and how later forecasts of the same job there follow from it.

A probe takes real steps of the unmodified job. Its figures hold for that job, which is the script's
text, its arguments and its batch size, on that accelerator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sojourn.catalog.models import Accelerator

# Where the job waits for its data for more of a step than this, the step says nothing of the card.
_MOST_WAITING = 0.1
# No forecast is off by more; with a larger factor what follows from it would be infinite.
_MOST_OFF = 1e6
# Letters of a job's key.
_KEY_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What real steps of a job took.

    `device` is the card's name as torch gives it, `memory_bytes` its total memory. `steps` were
    taken in `seconds`, the script's start included. `step_s` is the median of a step after the
    first few, `waited_s` how much of it the script waited for batches; None where there were too
    few steps. `fits` is False where the device's memory ran out.
    """

    device: str
    memory_bytes: int
    compute_capability: str
    torch: str
    steps: int
    seconds: float
    peak_reserved_bytes: int
    peak_allocated_bytes: int
    step_s: float | None
    waited_s: float | None
    fits: bool = True

    @property
    def waits_for_data(self) -> bool:
        """Whether its steps take as long as their batches, and not as long as the card needs."""
        if not self.step_s or self.waited_s is None:
            return False
        return self.waited_s > _MOST_WAITING * self.step_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """By how much a job came out otherwise than forecast, on an accelerator.

    `job` is what `job_key` gives, `accelerator` a catalog id. The ratios are measured / expected,
    None where one of them is unknown. `fits` is False where the job ran out of memory there.
    `measured_on` is a day, `YYYY-MM-DD`.
    """

    job: str
    accelerator: str
    measured_on: str
    steps: int
    memory_ratio: float | None
    step_ratio: float | None
    fits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """A probe's figures beside the forecast for the same job on the same accelerator.

    `peak_reserved_bytes` and `step_s` are the forecast, None where there is none; `reason` then
    says why. `correction` is what was kept for later plans, None if nothing was. `steps_wanted` is
    how many steps were to be taken.
    """

    target: str
    accelerator: Accelerator
    batch_size: int | None
    steps_wanted: int
    measured: Measured
    peak_reserved_bytes: Range | None
    step_s: Range | None
    correction: Correction | None
    reason: str = ""


def is_believable(ratio: float) -> bool:
    """Whether a forecast may be off by that factor; NaN is none."""
    return 1 / _MOST_OFF <= ratio <= _MOST_OFF


def job_key(code: str, arguments: Sequence[str], batch_size: int | None) -> str:
    """Return what tells a job from others. No text of the script's or its arguments is in it."""
    said = json.dumps([code, list(arguments), batch_size])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_LENGTH]


def make_correction(
    measured: Measured,
    *,
    job: str,
    accelerator: str,
    measured_on: str,
    peak_reserved_bytes: Range | None,
    step_s: Range | None,
) -> Correction:
    """Compare what was measured with what was forecast."""
    memory_bytes = float(measured.peak_reserved_bytes) if measured.fits else None
    step = None if measured.waits_for_data or not measured.fits else measured.step_s
    return Correction(
        job=job,
        accelerator=accelerator,
        measured_on=measured_on,
        steps=measured.steps,
        memory_ratio=_ratio(memory_bytes, peak_reserved_bytes),
        step_ratio=_ratio(step, step_s),
        fits=measured.fits,
    )


def find_correction(
    corrections: Iterable[Correction], *, job: str, accelerator: str
) -> Correction | None:
    """Return the latest for a job on an accelerator."""
    fitting = [c for c in corrections if (c.job, c.accelerator) == (job, accelerator)]
    return max(fitting, key=lambda correction: correction.measured_on, default=None)


def with_correction(
    corrections: Iterable[Correction], correction: Correction
) -> tuple[Correction, ...]:
    """Return all corrections with a new one, which takes the place of an older one of its kind."""
    key = (correction.job, correction.accelerator)
    return (*(c for c in corrections if (c.job, c.accelerator) != key), correction)


def apply_correction(forecast: Range, ratio: float | None) -> Range:
    """Move a forecast by what was measured; the band keeps its width, relative to the middle.

    Args:
        forecast: Of the same job on the same accelerator.
        ratio: One of a `Correction`'s; None leaves the forecast as it is.
    """
    if ratio is None:
        return forecast
    return Range(
        low=forecast.low * ratio, expected=forecast.expected * ratio, high=forecast.high * ratio
    )


def _ratio(measured: float | None, forecast: Range | None) -> float | None:
    if not measured or forecast is None or forecast.expected <= 0:
        return None
    ratio = measured / forecast.expected
    return ratio if is_believable(ratio) else None
