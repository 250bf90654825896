"""Forecasts on runtime types, ranked, with one recommended and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Verdict
from sojourn.planning.because import because
from sojourn.planning.fit import forecast_no_step
from sojourn.planning.option import Asked, Option, make_option
from sojourn.planning.ranking import (
    Basis,
    Candidate,
    basis_of,
    best_as_it_is,
    better_with_change,
    candidates_of,
    ranked,
)
from sojourn.planning.study import study_cards
from sojourn.planning.terms import NO_TERMS, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
    from sojourn.forecast.changes import Kept, Variant
    from sojourn.forecast.correction import Correction
    from sojourn.forecast.scaling import Traced
    from sojourn.forecast.step_time import StepTime
    from sojourn.forecast.trace import Trace
    from sojourn.planning.fit import ForecastStep, Retrace

__all__ = ["Option", "Plan", "make_plan", "trace_nothing_more"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """Where a job can run, for how long and at what cost. `options` come best first.

    `recommended` is the best of them for the script as it is, None if none carries it under the
    terms. `changed` is what beats that with a way to fit. `basis` says by what costs are compared.
    `kept` is what the script holds on to from step to step, and `growth_bytes` how much that is by
    an epoch's end, which the forecasts count; 0 where it is not known how long an epoch is.
    `notes` are about the figures that were reckoned with.
    """

    target: str
    trace: Trace
    options: tuple[Option, ...]
    recommended: Option | None
    because: str
    kept: tuple[Kept, ...] = ()
    growth_bytes: int = 0
    changed: Candidate | None = None
    basis: Basis = Basis.RATE
    terms: Terms = NO_TERMS
    notes: tuple[str, ...] = ()

    @property
    def may_fit(self) -> bool:
        """Whether anything that was looked at carries the job, or may, as far as is known."""
        return any(option.overall is not Verdict.DOES_NOT_FIT for option in self.options)

    def _repr_html_(self) -> str:
        from sojourn.render.html import plan_html

        return plan_html(self)

    def __repr__(self) -> str:
        from sojourn.render.plan import plan_words

        return plan_words(self)


def trace_nothing_more(variants: Sequence[Variant]) -> Sequence[Trace | None]:
    """Be a `Retrace` that has no other trace to give."""
    return [None] * len(variants)


def make_plan(
    *,
    target: str,
    runtime_types: Sequence[RuntimeType],
    catalog: Catalog,
    trace_for: Callable[[str], Traced],
    retrace: Retrace = trace_nothing_more,
    forecast_step: ForecastStep = forecast_no_step,
    terms: Terms = NO_TERMS,
    today: date | None = None,
    corrections: Mapping[str, Correction] | None = None,
    notes: Sequence[str] = (),
) -> Plan:
    """Forecast a job on each runtime type and choose.

    Args:
        target: The script, as the user named it.
        runtime_types: Which to look at.
        catalog: Where their accelerators stand.
        trace_for: Gives the job's trace for a card of a compute capability such as "7.5".
        retrace: Gives traces of the job with changes to it, for ways to fit.
        forecast_step: Gives the time of a traced step on an accelerator.
        terms: How many epochs, and what there is to spend.
        today: From which the age of figures counts; None: none is called old.
        corrections: What probes of this job measured, by the accelerator's id.
        notes: What is to be said of the figures.
    """
    cards = {row.id: catalog.accelerator_of(row) for row in runtime_types}
    known = {card.id: card for card in cards.values() if card is not None}
    studies = study_cards(known.values(), trace_for, retrace, forecast_step)
    times = _step_times(known, trace_for, forecast_step)
    asked = Asked(catalog=catalog, terms=terms, today=today, corrections=corrections or {})
    options = [
        make_option(
            row,
            asked,
            trace_for(_capability(cards[row.id])).trace,
            study=studies.get(row.accelerator or ""),
            time=times.get(row.accelerator or ""),
        )
        for row in runtime_types
    ]
    basis = basis_of(options)
    ordered = _ranked_options(options, terms, basis)
    recommended = best_as_it_is(ordered, terms)
    trace = trace_for(_first_capability(options)).trace
    changed = better_with_change(
        candidates_of(ordered),
        None if recommended is None else Candidate(option=recommended),
        terms,
        basis,
    )
    return Plan(
        target=target,
        trace=trace,
        options=ordered,
        recommended=recommended,
        because=because(trace, ordered, terms, basis, recommended=recommended, changed=changed),
        kept=next((study.kept for study in studies.values()), ()),
        growth_bytes=max((study.growth_bytes for study in studies.values()), default=0),
        changed=changed,
        basis=basis,
        terms=terms,
        notes=tuple(notes),
    )


def _ranked_options(options: Iterable[Option], terms: Terms, basis: Basis) -> tuple[Option, ...]:
    as_they_are = [Candidate(option=option) for option in options]
    return tuple(candidate.option for candidate in ranked(as_they_are, terms, basis))


def _step_times(
    accelerators: Mapping[str, Accelerator],
    trace_for: Callable[[str], Traced],
    forecast_step: ForecastStep,
) -> dict[str, StepTime]:
    """Return the time of a step on each accelerator that torch drives through CUDA."""
    traces = {
        name: trace_for(_capability(accelerator)).trace
        for name, accelerator in accelerators.items()
        if accelerator.is_cuda
    }
    return {
        name: forecast_step(trace, accelerators[name])
        for name, trace in traces.items()
        if trace.uses_device
    }


def _capability(accelerator: Accelerator | None) -> str:
    return (accelerator.compute_capability if accelerator else None) or "8.0"


def _first_capability(options: Sequence[Option]) -> str:
    capabilities = (o.accelerator.compute_capability for o in options if o.accelerator)
    return next((capability for capability in capabilities if capability), "8.0")
