"""Why a runtime type is recommended, in one sentence: its cost beside what others would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.forecast.memory import Verdict
from sojourn.planning.ranking import Basis, Candidate
from sojourn.planning.terms import Preference
from sojourn.units import format_brief_duration, format_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.catalog.models import RuntimeType
    from sojourn.forecast.memory import Range
    from sojourn.forecast.trace import Trace
    from sojourn.planning.option import Option
    from sojourn.planning.terms import Terms

_PER = {Basis.RUN: "", Basis.EPOCH: " an epoch", Basis.STEP: " a step"}


def because(
    trace: Trace,
    options: Sequence[Option],
    terms: Terms,
    basis: Basis,
    *,
    recommended: Option | None,
    changed: Candidate | None,
) -> str:
    """Say why, in one sentence.

    Args:
        trace: The script's.
        options: All that were looked at, best first.
        terms: What was asked.
        basis: By what costs are compared.
        recommended: What is recommended as it is.
        changed: What beats it with a change to the script.
    """
    if recommended is None:
        return f"{_why_none(options, terms)}{_with_change(changed, None, basis)}."
    taken = Candidate(option=recommended)
    if recommended.overall is Verdict.TIGHT:
        return f"{_why_tight(taken, terms, basis)}{_with_change(changed, taken, basis)}."
    if not trace.uses_device:
        return _because_no_device(options, recommended)
    name = recommended.runtime_type.id
    word = _superlative(taken, terms, basis)
    return (
        f"{name} is the {word} that the job is sure to fit ({takes(taken, basis)})"
        f"{_constraints(taken, terms)}{_too_small(options, recommended)}"
        f"{_faster(options, taken, terms, basis)}"
        f"{_with_change(changed, taken, basis)}."
    )


def _superlative(taken: Candidate, terms: Terms, basis: Basis) -> str:
    """Return "cheapest", or "fastest" where that was asked and times are known."""
    is_timed = taken.seconds_on(basis) is not None
    return "fastest" if terms.prefer is Preference.FASTEST and is_timed else "cheapest"


def takes(taken: Candidate, basis: Basis) -> str:
    """Say what is paid and how long it takes: "3.10 units (2.60 … 3.90), 2 h 54 m"."""
    seconds = taken.seconds_on(basis)
    if basis is Basis.RATE or seconds is None:
        return price_words(taken.option.runtime_type, taken.job.rate_units_per_hour)
    per, units = _PER[basis], taken.units_on(basis)
    if units is None:
        paid = "units unknown"
    else:
        paid = f"{format_units(units)} units" if units else "no units"
    if basis is Basis.RUN and units and taken.job.compute_units is not None:
        paid += f" ({_span(taken.job.compute_units)})"
    return f"{paid}, {format_brief_duration(seconds)}{per}{_of_quota(taken, basis)}"


def _of_quota(taken: Candidate, basis: Basis) -> str:
    quota_s = taken.option.runtime_type.weekly_quota_s
    return "" if quota_s is None or basis is not Basis.RUN else f" of {quota_s / 3600:g} h a week"


def _span(value: Range) -> str:
    return f"{format_units(value.low)} … {format_units(value.high)}"


def price_words(runtime_type: RuntimeType, rate: float | None) -> str:
    """Say what an hour costs."""
    quota_s = runtime_type.weekly_quota_s
    if rate is None:
        return "its rate is not known"
    if rate == 0:
        return "free" if quota_s is None else f"free, {quota_s / 3600:g} hours a week"
    return f"{rate:g} units an hour"


def _why_none(options: Sequence[Option], terms: Terms) -> str:
    barred = [option for option in options if option.is_possible and _is_barred(option)]
    if barred:
        return _why_barred(barred[0], terms)
    if any(option.overall is Verdict.UNKNOWN for option in options):
        return "Nothing that was looked at is known to carry the job"
    return "No runtime type that was looked at carries the job as it is"


def _is_barred(option: Option) -> bool:
    return Candidate(option=option).breaks_constraint


def _why_barred(nearest: Option, terms: Terms) -> str:
    """Say which constraint bars what would fit: of the best that breaks one."""
    name, job = nearest.runtime_type.id, nearest.job
    barred = []
    if job.affordable is False:
        barred.append("what there is to spend should carry it")
    if job.ends_before_deadline is False and terms.deadline_s is not None:
        barred.append(f"it should end within {format_brief_duration(terms.deadline_s)}")
    cost = takes(Candidate(option=nearest), Basis.RUN)
    where = " and ".join(barred)
    return f"The job fits, but nowhere is it so that {where}: {name} takes {cost}"


def _why_tight(taken: Candidate, terms: Terms, basis: Basis) -> str:
    option = taken.option
    of_what = "host memory " if option.verdict is Verdict.FITS else ""
    word = _superlative(taken, terms, basis)
    return (
        f"Nothing is sure to carry the job; {option.runtime_type.id} is the {word} that is "
        f"expected to ({takes(taken, basis)}), with little {of_what}to spare"
        f"{_constraints(taken, terms)}"
    )


def _constraints(taken: Candidate, terms: Terms) -> str:
    """Say whether the wallet and the deadline hold, where they were given."""
    words = ""
    if terms.wallet_units is not None and taken.job.rate_units_per_hour != 0:
        wallet = f"{format_units(terms.wallet_units)} units"
        words += (
            f", within your {wallet}"
            if taken.job.affordable
            else f", and it is not certain that your {wallet} carry it"
        )
    if terms.deadline_s is not None:
        deadline = format_brief_duration(terms.deadline_s)
        words += (
            f", and ends within {deadline}"
            if taken.job.ends_before_deadline
            else f", and it is not certain to end within {deadline}"
        )
    return words


def _too_small(options: Sequence[Option], recommended: Option) -> str:
    rate = recommended.job.rate_units_per_hour
    cheaper = [
        option.runtime_type.id
        for option in options
        if option.overall in {Verdict.TIGHT, Verdict.DOES_NOT_FIT}
        and option.job.rate_units_per_hour is not None
        and rate is not None
        and option.job.rate_units_per_hour < rate
    ]
    if not cheaper:
        return ""
    return f"; it is too large, or may be, for the cheaper {', '.join(sorted(cheaper))}"


def _faster(options: Sequence[Option], taken: Candidate, terms: Terms, basis: Basis) -> str:
    """Say what the fastest would take, where that is another; "" where time ranks first anyhow."""
    taken_s = taken.seconds_on(basis)
    if terms.prefer is Preference.FASTEST or taken_s is None:
        return ""
    sure = [
        candidate
        for option in options
        if (candidate := Candidate(option=option)).overall is Verdict.FITS
        and not candidate.breaks_constraint
        and candidate.units_on(basis) is not None
    ]
    seconds = {id(found): s for found in sure if (s := found.seconds_on(basis)) is not None}
    timed = [found for found in sure if id(found) in seconds]
    fastest = min(timed, key=lambda found: seconds[id(found)], default=taken)
    if seconds.get(id(fastest), taken_s) >= taken_s:
        return ""
    return f"; the fastest, {fastest.option.runtime_type.id}, takes {takes(fastest, basis)}"


def _with_change(changed: Candidate | None, taken: Candidate | None, basis: Basis) -> str:
    """Say what a change to the script would bring, and by how much it beats what is taken."""
    if changed is None or changed.way is None:
        return ""
    name = changed.option.runtime_type.id
    words = f"; with {changed.way.change} it takes {takes(changed, basis)} on {name}"
    if taken is None:
        return words
    return f"{words}: {_difference(changed, taken, basis)}"


def _difference(changed: Candidate, taken: Candidate, basis: Basis) -> str:
    parts = []
    units, before = changed.units_on(basis), taken.units_on(basis)
    if units is not None and before is not None:
        word = "less" if units <= before else "more"
        parts.append(f"{format_units(abs(before - units))} units {word}")
    seconds, before_s = changed.seconds_on(basis), taken.seconds_on(basis)
    if seconds is not None and before_s is not None:
        word = "less" if seconds <= before_s else "more"
        parts.append(f"{format_brief_duration(abs(before_s - seconds))} {word}")
    return f"{' and '.join(parts)}{_PER.get(basis, '')}"


def _because_no_device(options: Sequence[Option], recommended: Option) -> str:
    """Say that the script needs no accelerator, and what one would cost for nothing."""
    name = recommended.runtime_type.id
    needless = "The script puts nothing on an accelerator, so that it needs none"
    price = price_words(recommended.runtime_type, recommended.job.rate_units_per_hour)
    if recommended.accelerator is not None:
        return (
            f"{needless}; of what was looked at, {name} is the cheapest ({price}). One without an "
            "accelerator would do."
        )
    return f"{needless}, and {name} is the cheapest ({price}){_saving(options, recommended)}."


def _saving(options: Sequence[Option], recommended: Option) -> str:
    """Compare with the dearest accelerator that was looked at, "" if there is none."""
    rates = {
        option.runtime_type.id: option.job.rate_units_per_hour or 0.0
        for option in options
        if option.accelerator is not None
    }
    dearest = max(rates, key=rates.__getitem__, default="")
    rate = recommended.job.rate_units_per_hour
    if not dearest or not rates[dearest]:
        return ""
    if rate:
        return f"; {dearest} would cost {rates[dearest] / rate:.0f} times as much"
    return f"; {dearest} would cost {rates[dearest]:g} units an hour"
