"""Option: one runtime type, and what the job would do there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sojourn.catalog.models import STALE_AFTER
from sojourn.forecast.host import forecast_host
from sojourn.forecast.memory import Verdict
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Role
from sojourn.planning.batch import is_search_end
from sojourn.planning.cost import rate_for
from sojourn.planning.job import NO_FORECAST, JobForecast, Lease, forecast_job
from sojourn.planning.measured import corrected_memory, corrected_time, correction_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
    from sojourn.forecast.correction import Correction
    from sojourn.forecast.curve import MemoryCurve
    from sojourn.forecast.host import HostForecast
    from sojourn.forecast.memory import MemoryForecast
    from sojourn.forecast.trace import Trace
    from sojourn.planning.fit import WayToFit
    from sojourn.planning.study import Study
    from sojourn.planning.terms import Terms

RANK = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.UNKNOWN: 2, Verdict.DOES_NOT_FIT: 3}
# Of which figures of a runtime type the age is shown.
_DATED = ("rate_units_per_hour", "session_limit_s", "weekly_quota_s", "vcpus", "host_memory_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One runtime type and what the job would do there.

    `memory` is None where nothing can be said, and `reason` then says why; `curve` is where that
    memory goes. `max_batch_size` is in samples, None where it is unknown how the job scales. `job`
    is the whole job as the script is, and each way to fit has its own. `stale` names the figures
    of the runtime type that are older than `STALE_AFTER`.
    """

    runtime_type: RuntimeType
    accelerator: Accelerator | None
    verdict: Verdict
    reason: str
    memory: MemoryForecast | None
    host_memory: HostForecast
    max_batch_size: int | None
    ways_to_fit: tuple[WayToFit, ...] = ()
    curve: MemoryCurve | None = None
    job: JobForecast = NO_FORECAST
    session_limit_s: float | None = None
    stale: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out of the figures, and what bounds them, in words."""
        batch_size = self.max_batch_size
        if batch_size is None or not is_search_end(batch_size):
            return self.job.notes
        return (*self.job.notes, f"batches above {batch_size} samples were not tried, and may fit")

    @property
    def is_possible(self) -> bool:
        """Whether the job may run there as it is."""
        return self.overall in {Verdict.FITS, Verdict.TIGHT}

    @property
    def overall(self) -> Verdict:
        """The worse of the device's and the host's verdicts; an unknown host says nothing."""
        return self.overall_of(self.verdict)

    def overall_of(self, verdict: Verdict) -> Verdict:
        """Return the worse of a verdict of the device's and the host's."""
        host = self.host_memory.verdict
        if host is Verdict.UNKNOWN:
            return verdict
        return max(verdict, host, key=RANK.__getitem__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What all options of a plan share.

    `today` tells which figures are old; None: none is. `corrections` are what probes of this job
    measured, by the accelerator's id.
    """

    catalog: Catalog
    terms: Terms
    today: date | None
    corrections: Mapping[str, Correction] = field(default_factory=dict)


def make_option(
    runtime_type: RuntimeType,
    asked: Asked,
    trace: Trace,
    *,
    study: Study | None,
    time: StepTime | None,
) -> Option:
    """Put together what is known of a job on a runtime type.

    Args:
        runtime_type: Where it would run.
        asked: What holds for the whole plan.
        trace: For its accelerator.
        study: Of the job on that accelerator; None where nothing can be said.
        time: Of a step on it; None where it was not asked for.
    """
    accelerator = asked.catalog.accelerator_of(runtime_type)
    correction = asked.corrections.get(runtime_type.accelerator or "")
    memory = corrected_memory(study.forecast, correction) if study else None
    verdict, reason = _verdict(runtime_type, accelerator, trace, memory)
    if correction is not None and memory is not None:
        reason = "; ".join(filter(None, (reason, correction_words(correction))))
    lease = _lease(runtime_type, accelerator, asked)
    checkpoint_bytes = _checkpoint_bytes(study.forecast) if study else None

    def job_of(step_time: StepTime) -> JobForecast:
        measured = corrected_time(step_time, correction)
        return forecast_job(trace, measured, lease, asked.terms, checkpoint_bytes=checkpoint_bytes)

    ways = study.ways_to_fit if study else ()
    return Option(
        runtime_type=runtime_type,
        accelerator=accelerator,
        verdict=verdict,
        reason=reason,
        memory=memory,
        host_memory=forecast_host(
            trace,
            memory_bytes=runtime_type.host_memory_bytes,
            has_card=accelerator is not None and accelerator.is_cuda,
        ),
        max_batch_size=study.max_batch_size if study else None,
        ways_to_fit=tuple(replace(way, job=job_of(way.step_time)) for way in ways),
        curve=study.curve if study else None,
        job=job_of(time or _no_time(trace, accelerator)),
        session_limit_s=lease.session_limit_s,
        stale=_stale(runtime_type, asked.today),
    )


def _verdict(
    runtime_type: RuntimeType,
    accelerator: Accelerator | None,
    trace: Trace,
    memory: MemoryForecast | None,
) -> tuple[Verdict, str]:
    if memory is not None:
        many = runtime_type.count > 1
        return (
            memory.verdict,
            f"counted as one of its {runtime_type.count} cards" if many else "",
        )
    if not trace.uses_device and (accelerator is None or accelerator.is_cuda):
        return Verdict.FITS, "the script puts nothing on an accelerator"
    return Verdict.UNKNOWN, _why_unknown(trace, accelerator)


def _why_unknown(trace: Trace, accelerator: Accelerator | None) -> str:
    if not trace.uses_device and accelerator is None:
        return ""
    if accelerator is None:
        return "the script was traced with a GPU; without one it may take another path"
    if not accelerator.is_cuda:
        return "a torch script needs torch_xla to run on a TPU"
    return "" if accelerator.memory_bytes is not None else "the card's memory is not known"


def _no_time(trace: Trace, accelerator: Accelerator | None) -> StepTime:
    is_for_processor = accelerator is None or accelerator.is_cuda
    if not trace.uses_device and is_for_processor:
        why = "the script computes on the processor, whose time is not forecast"
    else:
        why = _why_unknown(trace, accelerator)
    return StepTime(step_s=None, reason=why)


def _lease(runtime_type: RuntimeType, accelerator: Accelerator | None, asked: Asked) -> Lease:
    subscription = asked.terms.subscription
    return Lease(
        runtime_type=runtime_type,
        rate_units_per_hour=rate_for(runtime_type, subscription),
        session_limit_s=asked.catalog.session_limit_s(runtime_type, subscription),
        device=accelerator.name if accelerator else "processor",
    )


def _checkpoint_bytes(forecast: MemoryForecast) -> int:
    """Return what a checkpoint holds: parameters and the optimizer's state."""
    by_role: Mapping[Role, int] = forecast.peak.by_role_bytes
    return by_role[Role.PARAMETERS] + by_role[Role.OPTIMIZER]


def _stale(runtime_type: RuntimeType, today: date | None) -> tuple[str, ...]:
    if today is None:
        return ()
    sources = runtime_type.sources
    return tuple(
        figure
        for figure in _DATED
        if figure in sources and sources[figure].is_older_than(STALE_AFTER, today=today)
    )
