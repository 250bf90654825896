"""Whether a job fits a card, as it is or with what it keeps from step to step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sojourn.forecast.memory import MemoryForecast, Range, Verdict, forecast_memory, verdict_of
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.changes import Kept, Variant
    from sojourn.forecast.scaling import Traced
    from sojourn.forecast.trace import Trace
    from sojourn.planning.job import JobForecast

UNKNOWN_STEP_TIME = StepTime(step_s=None, reason="how long a step takes was not forecast")


class ForecastStep(Protocol):
    """Forecasts how long a step of a traced job takes on an accelerator."""

    def __call__(self, trace: Trace, accelerator: Accelerator, /) -> StepTime:
        """Return it, with the reason where it cannot be known."""
        ...


def forecast_no_step(_trace: Trace, _accelerator: Accelerator) -> StepTime:
    """Be a `ForecastStep` that knows nothing."""
    return UNKNOWN_STEP_TIME


class Retrace(Protocol):
    """Traces the script with changes around it."""

    def __call__(self, variants: Sequence[Variant], /) -> Sequence[Trace | None]:
        """Return traces in the order of `variants`, what matters most first.

        None for what cannot be traced, or not in the time that is left.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WayToFit:
    """A change to the script under which it fits, and what it then takes, in bytes.

    `code` are the lines to write; `change` says it in a few words. `step_time` is that of an
    optimizer step with as many samples as before; `job` is what the whole job takes on a runtime
    type, None as long as only the card is looked at.
    """

    change: str
    code: str
    verdict: Verdict
    peak_reserved_bytes: Range
    step_time: StepTime = UNKNOWN_STEP_TIME
    job: JobForecast | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job on a card: its trace and forecast, and what it was found to keep from step to step."""

    accelerator: Accelerator
    traced: Traced
    forecast: MemoryForecast
    kept: tuple[Kept, ...] = ()

    @property
    def trace(self) -> Trace:
        """The trace of the script as it is."""
        return self.traced.trace

    @property
    def capability(self) -> str:
        """The card's compute capability."""
        return self.accelerator.compute_capability or ""

    @property
    def growth_bytes(self) -> int:
        """What is kept by an epoch's end, beyond what the trace holds."""
        return epoch_growth_bytes(self.trace, self.kept)


def forecast_on(trace: Trace, accelerator: Accelerator) -> MemoryForecast | None:
    """Forecast device memory; None where the catalog does not know the card well enough."""
    if accelerator.memory_bytes is None or accelerator.compute_capability is None:
        return None
    return forecast_memory(
        trace,
        memory_bytes=accelerator.memory_bytes,
        compute_capability=accelerator.compute_capability,
    )


def epoch_growth_bytes(trace: Trace, kept: Sequence[Kept]) -> int:
    """Return what is kept by the end of an epoch beyond the traced steps; 0 if that is not known.

    What is kept is taken to be let go once an epoch, as lists of losses and outputs are; one that
    is never let go takes that much more with each.
    """
    if not kept or not trace.samples_per_epoch or not trace.batch_size:
        return 0
    steps = trace.samples_per_epoch // trace.batch_size
    return sum(item.step_bytes for item in kept) * max(0, steps - trace.steps)


def with_growth(forecast: MemoryForecast, more_bytes: int) -> MemoryForecast:
    """Return the forecast for when so much more is kept as activations, with its verdict."""
    if not more_bytes:
        return forecast
    peak = forecast.peak
    by_role = {**peak.by_role_bytes}
    by_role[Role.ACTIVATIONS] += more_bytes
    reserved = Range(
        low=forecast.peak_reserved_bytes.low,
        expected=forecast.peak_reserved_bytes.expected + more_bytes,
        high=forecast.peak_reserved_bytes.high + more_bytes,
    )
    return replace(
        forecast,
        peak_reserved_bytes=reserved,
        peak_allocated_bytes=forecast.peak_allocated_bytes + more_bytes,
        peak=replace(peak, by_role_bytes=by_role),
        verdict=verdict_of(reserved, forecast.usable_bytes),
    )
