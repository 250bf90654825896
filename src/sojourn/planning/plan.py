"""Forecasts on runtime types, ranked, with one recommended and the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.host import forecast_host
from sojourn.forecast.memory import MemoryForecast, Verdict
from sojourn.planning.study import Study, study_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
    from sojourn.forecast.changes import Kept, Variant
    from sojourn.forecast.curve import MemoryCurve
    from sojourn.forecast.host import HostForecast
    from sojourn.forecast.trace import Trace, Traced
    from sojourn.planning.fit import Retrace, WayToFit

_RANK = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.UNKNOWN: 2, Verdict.DOES_NOT_FIT: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One runtime type and what the job would do there.

    `memory` is None where nothing can be said, and `reason` then says why; `curve` is where that
    memory goes. `max_batch_size` is in samples, None where it is unknown how the job scales.
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

    @property
    def is_possible(self) -> bool:
        """Whether the job may run there as it is."""
        return self.overall in {Verdict.FITS, Verdict.TIGHT}

    @property
    def overall(self) -> Verdict:
        """The worse of the device's and the host's verdicts; an unknown host says nothing."""
        host = self.host_memory.verdict
        if host is Verdict.UNKNOWN:
            return self.verdict
        return max(self.verdict, host, key=_RANK.__getitem__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a job can run. `options` come best first; `recommended` is None if nothing fits.

    `kept` is what the script holds on to from step to step, and `growth_bytes` how much that is by
    an epoch's end, which the forecasts count; 0 where it is not known how long an epoch is.
    """

    target: str
    trace: Trace
    options: tuple[Option, ...]
    recommended: Option | None
    because: str
    kept: tuple[Kept, ...] = ()
    growth_bytes: int = 0

    @property
    def may_fit(self) -> bool:
        """Whether anything that was looked at carries the job, or may, as far as is known."""
        return any(option.overall is not Verdict.DOES_NOT_FIT for option in self.options)

    def _repr_html_(self) -> str:
        from sojourn.render.html import plan_html

        return plan_html(self)


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
) -> Plan:
    """Forecast a job on each runtime type and choose.

    Args:
        target: The script, as the user named it.
        runtime_types: Which to look at.
        catalog: Where their accelerators stand.
        trace_for: Gives the job's trace for a card of a compute capability such as "7.5".
        retrace: Gives traces of the job with changes to it, for ways to fit.
    """
    cards = {row.id: catalog.accelerator_of(row) for row in runtime_types}
    studies = study_cards([card for card in cards.values() if card], trace_for, retrace)
    options = [_option(row, cards[row.id], trace_for, studies) for row in runtime_types]
    ranked = tuple(sorted(options, key=_order))
    recommended = next((option for option in ranked if option.is_possible), None)
    trace = trace_for(_first_capability(options)).trace
    return Plan(
        target=target,
        trace=trace,
        options=ranked,
        recommended=recommended,
        because=_because(trace, ranked, recommended),
        kept=next((study.kept for study in studies.values()), ()),
        growth_bytes=max((study.growth_bytes for study in studies.values()), default=0),
    )


def _first_capability(options: Sequence[Option]) -> str:
    capabilities = (o.accelerator.compute_capability for o in options if o.accelerator)
    return next((capability for capability in capabilities if capability), "8.0")


def _order(option: Option) -> tuple[int, int, float, int, str]:
    rate = option.runtime_type.rate_units_per_hour
    return (
        0 if option.is_possible else 1,
        _RANK[option.overall],
        math.inf if rate is None else rate,
        # At one rate: a runtime without a card before one whose card would lie idle.
        0 if option.accelerator is None else 1,
        option.runtime_type.id,
    )


def _option(
    runtime_type: RuntimeType,
    accelerator: Accelerator | None,
    trace_for: Callable[[str], Traced],
    studies: Mapping[str, Study],
) -> Option:
    capability = accelerator.compute_capability if accelerator else None
    trace = trace_for(capability or "8.0").trace
    study = studies.get(accelerator.id) if accelerator else None
    verdict, reason = Verdict.UNKNOWN, _why_unknown(trace, accelerator)
    if study is not None:
        verdict, reason = study.forecast.verdict, ""
        if runtime_type.count > 1:
            reason = f"counted as one of its {runtime_type.count} cards"
    elif not trace.uses_device and (accelerator is None or accelerator.is_cuda):
        verdict, reason = Verdict.FITS, "the script puts nothing on an accelerator"
    return Option(
        runtime_type=runtime_type,
        accelerator=accelerator,
        verdict=verdict,
        reason=reason,
        memory=study.forecast if study else None,
        host_memory=forecast_host(
            trace,
            memory_bytes=runtime_type.host_memory_bytes,
            has_card=accelerator is not None and accelerator.is_cuda,
        ),
        max_batch_size=study.max_batch_size if study else None,
        ways_to_fit=study.ways_to_fit if study else (),
        curve=study.curve if study else None,
    )


def _why_unknown(trace: Trace, accelerator: Accelerator | None) -> str:
    if not trace.uses_device and accelerator is None:
        return ""
    if accelerator is None:
        return "the script was traced with a GPU; without one it may take another path"
    if not accelerator.is_cuda:
        return "a torch script needs torch_xla to run on a TPU"
    return "" if accelerator.memory_bytes is not None else "the card's memory is not known"


def _price(runtime_type: RuntimeType) -> str:
    rate, quota_s = runtime_type.rate_units_per_hour, runtime_type.weekly_quota_s
    if rate is None:
        return "its rate is not known"
    if rate == 0 and quota_s is not None:
        return f"free, {quota_s / 3600:g} hours a week"
    return f"{rate:g} units an hour"


def _because(trace: Trace, options: Sequence[Option], recommended: Option | None) -> str:
    if recommended is None:
        if any(option.overall is Verdict.UNKNOWN for option in options):
            return "Nothing that was looked at is known to carry the job."
        return "No runtime type that was looked at carries the job as it is."
    name = recommended.runtime_type.id
    rate = recommended.runtime_type.rate_units_per_hour
    price = _price(recommended.runtime_type)
    if recommended.overall is Verdict.TIGHT:
        of_what = "host memory " if recommended.verdict is Verdict.FITS else ""
        return (
            f"Nothing is sure to carry the job; {name} is the cheapest that is expected to "
            f"({price}), with little {of_what}to spare."
        )
    if not trace.uses_device:
        return _because_no_device(options, recommended)
    cheaper = [
        option
        for option in options
        if option.overall in {Verdict.TIGHT, Verdict.DOES_NOT_FIT}
        and option.runtime_type.rate_units_per_hour is not None
        and rate is not None
        and option.runtime_type.rate_units_per_hour < rate
    ]
    reason = f"{name} is the cheapest that the job is sure to fit ({price})"
    if not cheaper:
        return f"{reason}."
    names = ", ".join(sorted(option.runtime_type.id for option in cheaper))
    return f"{reason}; it is too large, or may be, for the cheaper {names}."


def _because_no_device(options: Sequence[Option], recommended: Option) -> str:
    """Say that the script needs no accelerator, and what one would cost for nothing."""
    name = recommended.runtime_type.id
    needless = "The script puts nothing on an accelerator, so that it needs none"
    if recommended.accelerator is not None:
        return (
            f"{needless}; of what was looked at, {name} is the cheapest "
            f"({_price(recommended.runtime_type)}). One without an accelerator would do."
        )
    price, saving = _price(recommended.runtime_type), _saving(options, recommended)
    return f"{needless}, and {name} is the cheapest ({price}){saving}."


def _saving(options: Sequence[Option], recommended: Option) -> str:
    """Compare with the dearest accelerator that was looked at, "" if there is none."""
    rates = {
        option.runtime_type.id: option.runtime_type.rate_units_per_hour or 0.0
        for option in options
        if option.accelerator is not None
    }
    dearest = max(rates, key=rates.__getitem__, default="")
    rate = recommended.runtime_type.rate_units_per_hour
    if not dearest or not rates[dearest]:
        return ""
    if rate:
        return f"; {dearest} would cost {rates[dearest] / rate:.0f} times as much"
    return f"; {dearest} would cost {rates[dearest]:g} units an hour"
