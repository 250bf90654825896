"""Ways to make a job fit a card that it is too large for: which there are, and which hold.

Each is traced again with the change around the script, never guessed. First come single changes;
where none is sure to fit, smaller micro-batches and pairs of changes. They are ranked by what they
cost in time: forecast from their own traces where that can be done for all, else by rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from sojourn.forecast.changes import TRACED_PASSES, Changes, Variant
from sojourn.forecast.memory import Range, Verdict
from sojourn.forecast.trace import Phase, Role
from sojourn.planning import snippets
from sojourn.planning.batch import micro_batches
from sojourn.planning.fit import (
    WayToFit,
    epoch_growth_bytes,
    forecast_no_step,
    forecast_on,
    with_growth,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sojourn.forecast.memory import MemoryForecast
    from sojourn.forecast.step_time import StepTime
    from sojourn.forecast.trace import Trace
    from sojourn.planning.fit import Case, ForecastStep, Retrace

# What a step takes longer, as a share: only an order to rank by, not a forecast. Matrix products in
# half precision run at twice the rate and more where a card has tensor cores (compute capability
# 7.0 and up); computing blocks again adds a forward pass to the three that a step is worth.
_RELEASED, _ACCUMULATED, _IN_8_BITS, _CHECKPOINTED = 0.0, 0.02, 0.03, 0.33
_AUTOCAST, _AUTOCAST_WITHOUT_TENSOR_CORES = -0.4, 0.05
_TENSOR_CORES_SINCE = (7, 0)
_BFLOAT16_SINCE = (8, 0)
_SAFE_SHARE = 0.97
# The family of kernels, of those that a step's time is told by, that runs once a step.
_OPTIMIZER = "optimizer"
_RANK = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.DOES_NOT_FIT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A change that may help, before it is traced; `slower_by` is what it is ranked by."""

    changes: Changes
    change: str
    code: str
    slower_by: float

    def __and__(self, other: Way) -> Way:
        """Return both changes at once."""
        given = {
            name: getattr(other.changes, name)
            for name in Changes.__slots__
            if getattr(other.changes, name) != getattr(Changes(), name)
        }
        return Way(
            changes=replace(self.changes, **given),
            change=f"{self.change}, and {other.change}",
            code=f"{self.code}\n{other.code}",
            slower_by=(1 + self.slower_by) * (1 + other.slower_by) - 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A way and the forecast of its own trace."""

    way: Way
    forecast: MemoryForecast
    time: StepTime

    @property
    def fits(self) -> bool:
        """Whether it is sure to."""
        return self.forecast.verdict is Verdict.FITS


def first_variants(cases: Sequence[Case]) -> list[Variant]:
    """Return what `find_ways_to_fit` asks for first, so that it may be traced along with more."""
    return _wanted(cases, [single_ways(case) for case in cases])


def find_ways_to_fit(
    cases: Sequence[Case], retrace: Retrace, forecast_step: ForecastStep = forecast_no_step
) -> list[tuple[WayToFit, ...]]:
    """Find changes under which each job fits its card better than it does as it is.

    Args:
        cases: Jobs on cards that they do not fit, or only just.
        retrace: Traces the changed script; asked twice at most.
        forecast_step: Says how long a step of the changed script takes.

    Returns:
        For each case its ways, what costs least time first.
    """
    first = [single_ways(case) for case in cases]
    try_all = partial(_try_all, retrace=retrace, forecast_step=forecast_step)
    singles = try_all(cases, first)
    again = [
        [] if any(tried.fits for tried in found) else further_ways(case, found)
        for case, found in zip(cases, singles, strict=True)
    ]
    pairs = try_all(cases, again) if any(again) else [[] for _ in cases]
    return [_ranked([*a, *b]) for a, b in zip(singles, pairs, strict=True)]


def _ranked(found: Sequence[Tried]) -> tuple[WayToFit, ...]:
    known = {id(tried): tried.time.step_s.expected for tried in found if tried.time.step_s}
    is_known = len(known) == len(found)
    return tuple(
        WayToFit(
            change=tried.way.change,
            code=tried.way.code,
            verdict=tried.forecast.verdict,
            peak_reserved_bytes=tried.forecast.peak_reserved_bytes,
            step_time=tried.time,
        )
        for tried in sorted(
            found, key=lambda tried: known[id(tried)] if is_known else tried.way.slower_by
        )
    )


def _try_all(
    cases: Sequence[Case],
    ways: Sequence[Sequence[Way]],
    *,
    retrace: Retrace,
    forecast_step: ForecastStep,
) -> list[list[Tried]]:
    """Trace all ways of all cases in one go."""
    distinct = _wanted(cases, ways)
    traces = dict(zip(distinct, retrace(distinct), strict=True)) if distinct else {}
    return [
        [
            tried
            for way in own
            if (tried := _judged(case, way, traces[_variant(case, way)], forecast_step)) is not None
        ]
        for case, own in zip(cases, ways, strict=True)
    ]


def _wanted(cases: Sequence[Case], ways: Sequence[Sequence[Way]]) -> list[Variant]:
    """Return what to trace, each case's first ways first."""
    wanted = [
        _variant(case, way)
        for rank in zip_longest(*ways)
        for case, way in zip(cases, rank, strict=True)
        if way is not None
    ]
    return list(dict.fromkeys(wanted))


def _variant(case: Case, way: Way) -> Variant:
    return Variant(compute_capability=case.capability, changes=way.changes)


def _judged(case: Case, way: Way, trace: Trace | None, forecast_step: ForecastStep) -> Tried | None:
    """Return what came of a way; None if it could not be traced, or is no help."""
    forecast = None if trace is None else forecast_on(trace, case.accelerator)
    if trace is None or forecast is None:
        return None
    # What goes on growing even so: of what has no name nothing can be let go.
    kept = trace.traits.kept if way.changes.released else case.kept
    growth_bytes = epoch_growth_bytes(replace(case.trace, steps=trace.steps), kept)
    forecast = with_growth(forecast, growth_bytes)
    if _RANK[forecast.verdict] >= _RANK[case.forecast.verdict]:
        return None
    time = whole_step(forecast_step(trace, case.accelerator), way.changes.accumulate)
    return Tried(way=way, forecast=forecast, time=time)


def whole_step(traced: StepTime, accumulate: int) -> StepTime:
    """Return the time of a step that accumulates, from one of which fewer passes were traced.

    Its passes take so many times longer, the optimizer's own part does not.
    """
    step_s = traced.step_s
    if accumulate == 1 or step_s is None or step_s.expected <= 0:
        return traced
    once_s = min(traced.by_family_s.get(_OPTIMIZER, 0.0), step_s.expected)
    times = accumulate / TRACED_PASSES
    factor = ((step_s.expected - once_s) * times + once_s) / step_s.expected
    by_family = {
        family: seconds if family == _OPTIMIZER else seconds * times
        for family, seconds in traced.by_family_s.items()
    }
    whole = Range(
        low=step_s.low * factor, expected=step_s.expected * factor, high=step_s.high * factor
    )
    return replace(traced, step_s=whole, by_family_s=by_family)


def single_ways(case: Case) -> list[Way]:
    """Return the changes that suit a job, each by itself; letting go of what is kept with each."""
    released = _released(case)
    others = [
        *_autocast(case),
        *_accumulated(case),
        *(_in_8_bits(case) if released or _optimizer_matters(case) else ()),
        *_checkpointed(case),
    ]
    if released is None:
        return others
    before = forecast_on(case.trace, case.accelerator)
    if before is not None and before.verdict is Verdict.FITS:
        return [released]  # it would fit, but for what it keeps
    return [released, *(released & way for way in others)]


def _released(case: Case) -> Way | None:
    named = tuple(kept for kept in case.kept if kept.holder)
    if not named:
        return None
    words = "; ".join(
        f"move what {kept.holder} keeps off the card ({kept.line})"
        if kept.is_large
        else f"let {kept.holder} keep values without their graph ({kept.line})"
        for kept in named
    )
    return Way(
        changes=Changes(released=named, looks_for_kept=True),
        change=words,
        code="\n".join(snippets.release_code(kept) for kept in named),
        slower_by=_RELEASED,
    )


def _autocast(case: Case) -> Iterable[Way]:
    if case.trace.traits.is_half:
        return
    capability = _capability(case)
    dtype = "bfloat16" if capability >= _BFLOAT16_SINCE else "float16"
    is_faster = capability >= _TENSOR_CORES_SINCE
    yield Way(
        changes=Changes(autocast=dtype),
        change=f"mixed precision ({dtype})",
        code=snippets.autocast_code(dtype, case.trace.traits),
        slower_by=_AUTOCAST if is_faster else _AUTOCAST_WITHOUT_TENSOR_CORES,
    )


def _capability(case: Case) -> tuple[int, int]:
    major, _, minor = case.capability.partition(".")
    return int(major), int(minor)


def _accumulated(case: Case, *, below: int | None = None) -> list[Way]:
    """Return the largest micro-batch that should fit, smaller than `below` if that is given."""
    batch_size = case.trace.batch_size
    if not batch_size or not case.trace.is_batch_size_known_to_loader:
        return []
    sizes = [size for size in micro_batches(batch_size) if below is None or size < below]
    if not sizes:
        return []
    size = next((size for size in sizes if _should_fit(case, size)), sizes[-1])
    accumulate = batch_size // size
    return [
        Way(
            changes=Changes(batch_size=size, accumulate=accumulate),
            change=f"micro-batch {size}, accumulate {accumulate}",
            code=snippets.accumulation_code(size, accumulate, case.trace.traits),
            slower_by=_ACCUMULATED,
        )
    ]


def _should_fit(case: Case, micro_batch: int) -> bool:
    """Estimate whether a micro-batch is worth a trace, by the parts of the peak.

    Gradients live through the forward pass as well when they are accumulated.
    """
    forecast = case.forecast
    parts = forecast.peak.by_role_bytes
    lasting = 2 * parts[Role.PARAMETERS] + parts[Role.OPTIMIZER]
    varying = max(0.0, forecast.peak_reserved_bytes.high - case.growth_bytes - lasting)
    share = micro_batch / (case.trace.batch_size or 1)
    return lasting + varying * share <= forecast.usable_bytes * _SAFE_SHARE


def _in_8_bits(case: Case) -> Iterable[Way]:
    traits = case.trace.traits
    if not {"Adam", "AdamW"}.intersection(traits.optimizers):
        return
    yield Way(
        changes=Changes(optimizer="AdamW8bit"),
        change="Adam's state in 8 bits",
        code=snippets.optimizer_code(traits),
        slower_by=_IN_8_BITS,
    )


def _optimizer_matters(case: Case) -> bool:
    """Whether the job might fit if the optimizer kept nothing; if not, less state is no way.

    What else is there at the peak is there with any optimizer, outside of its own step.
    """
    forecast = case.forecast
    if forecast.peak.phase is Phase.OPTIMIZER:
        return True
    others_bytes = forecast.peak_allocated_bytes - forecast.peak.by_role_bytes[Role.OPTIMIZER]
    return others_bytes <= forecast.usable_bytes


def _checkpointed(case: Case) -> Iterable[Way]:
    traits = case.trace.traits
    can = traits.has_checkpoint_switch or traits.blocks or traits.chain is not None
    if traits.is_checkpointed or not can:
        return
    yield Way(
        changes=Changes(is_checkpointed=True),
        change="gradient checkpointing",
        code=snippets.checkpoint_code(traits),
        slower_by=_CHECKPOINTED,
    )


def further_ways(case: Case, found: Sequence[Tried]) -> list[Way]:
    """Return smaller micro-batches, and pairs of changes, for where no single one is sure."""
    cut = list(_accumulated(case))
    smaller = [way for first in cut for way in _accumulated(case, below=first.changes.batch_size)]
    smallest = [w for first in smaller for w in _accumulated(case, below=first.changes.batch_size)]
    autocast, checkpointed = list(_autocast(case)), list(_checkpointed(case))
    pairs = [a & b for a in autocast for b in [*checkpointed, *smaller]]
    pairs += [a & b for a in _in_8_bits(case) for b in [*checkpointed, *smaller]]
    pairs += [a & b for a in checkpointed for b in smaller]
    ways = [*smaller, *pairs, *smallest]
    released = _released(case)
    if released is not None:
        ways = [released & way for way in ways]
    known = {tried.way.changes for tried in found}
    return [way for way in ways if way.changes not in known]
