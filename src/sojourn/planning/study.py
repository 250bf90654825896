"""A job on each card once, however many runtime types have it: forecast, batch, ways to fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.curve import MemoryCurve, memory_curve
from sojourn.forecast.growth import WORTH_NAMING_BYTES, suspected_growth_bytes
from sojourn.forecast.memory import MemoryForecast, Verdict
from sojourn.planning.batch import agrees, find_max_batch_size, trace_max_batch_sizes, trial_of
from sojourn.planning.fit import Case, forecast_no_step, forecast_on, with_growth
from sojourn.planning.ways import find_ways_to_fit, first_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.changes import Kept
    from sojourn.forecast.scaling import Traced
    from sojourn.planning.fit import ForecastStep, Retrace, WayToFit


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is known of a job on one card.

    `kept` is what the script keeps from step to step, `growth_bytes` how much that is by the end of
    an epoch (0 if its length is not known); it is in the forecast. `max_batch_size` is in samples,
    None where it is not known.
    """

    forecast: MemoryForecast
    curve: MemoryCurve
    kept: tuple[Kept, ...]
    growth_bytes: int
    max_batch_size: int | None
    ways_to_fit: tuple[WayToFit, ...]


def study_cards(
    accelerators: Iterable[Accelerator],
    trace_for: Callable[[str], Traced],
    retrace: Retrace,
    forecast_step: ForecastStep = forecast_no_step,
) -> dict[str, Study]:
    """Study a job on each card that the catalog knows well enough, by the card's id."""
    distinct = {accelerator.id: accelerator for accelerator in accelerators}
    cases = [case for a in distinct.values() if (case := _case(a, trace_for)) is not None]
    cases = _with_kept(cases, retrace)
    unfit = [case for case in cases if case.forecast.verdict is not Verdict.FITS]
    scaled = [_Scaled.of(group) for group in _groups(cases)]
    # In one go, so that torch is imported once; those who ask again get what is there.
    trials = [sized.trial for sized in scaled if sized.trial is not None]
    if wanted := list(dict.fromkeys([*first_variants(unfit), *trials])):
        retrace(wanted)
    sizes = {id_: size for sized in scaled for id_, size in sized.checked(retrace).items()}
    ways = find_ways_to_fit(unfit, retrace, forecast_step)
    ways_of = {case.accelerator.id: found for case, found in zip(unfit, ways, strict=True)}
    return {
        case.accelerator.id: Study(
            forecast=case.forecast,
            curve=memory_curve(case.trace, compute_capability=case.capability),
            kept=case.kept,
            growth_bytes=case.growth_bytes,
            max_batch_size=sizes[case.accelerator.id],
            ways_to_fit=ways_of.get(case.accelerator.id, ()),
        )
        for case in cases
    }


def _case(accelerator: Accelerator, trace_for: Callable[[str], Traced]) -> Case | None:
    if not accelerator.is_cuda or accelerator.compute_capability is None:
        return None
    traced = trace_for(accelerator.compute_capability)
    forecast = forecast_on(traced.trace, accelerator) if traced.trace.uses_device else None
    if forecast is None:
        return None
    return Case(accelerator=accelerator, traced=traced, forecast=forecast)


def _with_kept(cases: Sequence[Case], retrace: Retrace) -> list[Case]:
    """Look for what the script keeps from step to step where two steps raise the suspicion."""
    suspect = next(
        (c for c in cases if suspected_growth_bytes(c.trace) >= WORTH_NAMING_BYTES), None
    )
    if suspect is None:
        return list(cases)
    changes = Changes(looks_for_kept=True)
    (trace,) = retrace([Variant(compute_capability=suspect.capability, changes=changes)])
    kept = () if trace is None else trace.traits.kept
    known = [replace(case, kept=kept) for case in cases]
    return [replace(case, forecast=with_growth(case.forecast, case.growth_bytes)) for case in known]


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases that share a trace together."""
    groups: dict[int, list[Case]] = {}
    for case in cases:
        # What stands beside the events may have been put in anew for each.
        groups.setdefault(id(case.trace.events), []).append(case)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class _Scaled:
    """The largest batch on each card of a group as the scale has it, and what to try it with."""

    group: list[Case]
    sizes: dict[str, int]
    largest: Case
    trial: Variant | None

    @classmethod
    def of(cls, group: list[Case]) -> _Scaled:
        scale = group[0].traced.scale
        if scale is None:
            return cls(group, {}, group[0], None)
        sizes = {
            case.accelerator.id: find_max_batch_size(
                scale,
                case.accelerator,
                near=case.trace.batch_size or 1,
                growth_bytes=case.growth_bytes,
            )
            for case in group
        }
        largest = max(group, key=lambda case: sizes[case.accelerator.id])
        return cls(group, sizes, largest, trial_of(largest, sizes[largest.accelerator.id]))

    def checked(self, retrace: Retrace) -> Mapping[str, int | None]:
        """Return the sizes if the trial agrees, else those that tracing gives."""
        trial = None if self.trial is None else retrace([self.trial])[0]
        size = max(1, self.sizes.get(self.largest.accelerator.id, 0))
        if self.sizes and agrees(self.largest, trial, size=size):
            return self.sizes
        found = trace_max_batch_sizes(self.group, retrace)
        return {case.accelerator.id: size for case, size in zip(self.group, found, strict=True)}
