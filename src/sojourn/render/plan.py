"""A plan as text: a table that fits 100 columns and reads without colour, and what explains it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sojourn.catalog.models import STALE_AFTER
from sojourn.forecast.memory import Verdict
from sojourn.planning.ranking import Basis, Candidate
from sojourn.printable import printable
from sojourn.render.table import at_full_width
from sojourn.units import (
    GIB,
    format_brief_duration,
    format_bytes,
    format_count,
    format_duration,
    format_units,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sojourn.forecast.changes import Kept
    from sojourn.forecast.curve import MemoryCurve
    from sojourn.forecast.memory import MemoryForecast, Range
    from sojourn.planning.fit import WayToFit
    from sojourn.planning.option import Option
    from sojourn.planning.plan import Plan

VERDICT_WORDS = {
    Verdict.FITS: "fits",
    Verdict.TIGHT: "tight",
    Verdict.DOES_NOT_FIT: "does not fit",
    Verdict.UNKNOWN: "unknown",
}
_STYLES = {
    Verdict.FITS: "green",
    Verdict.TIGHT: "yellow",
    Verdict.DOES_NOT_FIT: "red",
    Verdict.UNKNOWN: "dim",
}
_TIME_HEADINGS = {
    Basis.RUN: "whole job",
    Basis.EPOCH: "an epoch",
    Basis.STEP: "a step",
    Basis.RATE: "whole job",
}
_PER = {Basis.RUN: "", Basis.EPOCH: "an epoch", Basis.STEP: "a step", Basis.RATE: ""}
_UNKNOWN = "unknown"
# For what does not fit: what it would take there is of no use.
_NOTHING = "-"
_STALE = "*"
_RATE = "rate_units_per_hour"
# From here on no digit is shown after the point, so that a column keeps its width.
_WHOLE_GIB = 100
_BAR_CELLS = 24
_TOP_LINES = 5


def plan_text(plan: Plan, *, detailed: bool) -> RenderableType:
    """Return the plan as a table, what the peak is made of, and the recommendation."""
    parts: list[RenderableType] = [at_full_width(_table(plan))]
    subject = _subject(plan)
    if subject is not None and subject.memory is not None:
        parts += [Text(""), *_peak_lines(subject, subject.memory)]
    if detailed and subject is not None and subject.curve is not None:
        parts += _top_lines(subject.curve)
    if (shown := plan.recommended or subject) is not None:
        parts += [_host_line(shown), *_time_lines(shown)]
    parts += _way_lines(plan, detailed=detailed)
    parts += [Text(line, style="dim") for line in small_print(plan)]
    parts += [Text(""), Text(_traced(plan), style="dim")]
    if plan.may_fit:  # else it is the error that comes with it
        parts.append(Text(plan.because, style="bold"))
    return Group(*parts)


def plan_words(plan: Plan) -> str:
    """Return the plan as plain text, for where Python shows an object: `print`, its own prompt."""
    page = io.StringIO()
    console = Console(file=page, color_system=None, highlight=False)
    console.print(plan_text(plan, detailed=False), soft_wrap=True)
    why = "" if plan.may_fit else plan.because
    return printable(f"{page.getvalue()}{why}".rstrip())


def _top_lines(curve: MemoryCurve) -> list[Text]:
    """Say which lines of the user's code hold most at the peak."""
    lines = [Text("Of that, by the line that asked for it:")]
    for share in curve.top_lines[:_TOP_LINES]:
        where = share.line or "no line of the script's"
        lines.append(Text(f"  {format_bytes(share.size_bytes):>10}  {share.role:<11} {where}"))
    return lines


def _way_lines(plan: Plan, *, detailed: bool) -> list[Text]:
    """Say what would make the job fit, once for all runtime types where it takes the same."""
    names: dict[str, list[str]] = {}
    codes: dict[str, str] = {}
    for option in plan.options:
        for way in option.ways_to_fit:
            names.setdefault(_way_words(option, way, plan.basis), []).append(option.runtime_type.id)
            codes.setdefault(way.change, way.code)
    lines = [Text(f"On {', '.join(ids)} it {words}.") for words, ids in names.items()]
    if detailed:
        lines += [Text(f"\n# {change}\n{code}", style="cyan") for change, code in codes.items()]
    return lines


def _way_words(option: Option, way: WayToFit, basis: Basis) -> str:
    size = format_bytes(way.peak_reserved_bytes.high)
    fits = "fits" if way.verdict is Verdict.FITS else "may just fit"
    words = f"{fits} with {way.change} (up to {size})"
    candidate = Candidate(option=option, way=way)
    seconds, units = candidate.seconds_on(basis), candidate.units_on(basis)
    if seconds is None:
        return words
    paid = "" if units is None else f", {format_units(units)} units"
    return f"{words}: {format_brief_duration(seconds)}{paid} {_PER[basis]}".rstrip()


def _time_lines(option: Option) -> list[Text]:
    """Say what the whole job is made of, as far as it is known."""
    job, name = option.job, option.runtime_type.id
    if job.step_s is None:
        return []
    parts = [f"{format_brief_duration(job.step_s.expected)} a step"]
    if job.epoch_s is not None and job.steps_per_epoch is not None:
        parts.append(
            f"{format_brief_duration(job.epoch_s.expected)} an epoch of "
            f"{format_count(job.steps_per_epoch, 'step')}"
        )
    if job.epochs is not None:
        parts.append(format_count(job.epochs, "epoch"))
    if job.sessions is not None and job.run_s is not None:
        low, high = (format_brief_duration(s) for s in (job.run_s.low, job.run_s.high))
        parts.append(f"{low} to {high} in {format_count(job.sessions, 'session')}")
    lines = [Text(f"On {name} it takes {', '.join(parts)}.")]
    if job.usd is not None and job.usd.high > 0:
        lines.append(Text(f"That is {job.usd.low:.2f} to {job.usd.high:.2f} USD."))
    return lines


def small_print(plan: Plan) -> list[str]:
    """Return what a reader should know before trusting the table, a line each."""
    lines: dict[str, list[str]] = {}
    for option in plan.options:
        if option.reason:
            lines.setdefault(option.reason, []).append(option.runtime_type.id)
    notes = [f"{', '.join(names)}: {reason}." for reason, names in lines.items()]
    notes += _time_notes(plan)
    if any(_RATE in option.stale for option in plan.options):
        notes.append(
            f"{_STALE} older than {STALE_AFTER.days} days: your panel may show another rate."
        )
    notes += [f"{note[0].upper()}{note[1:]}." for note in plan.notes]
    notes += [_kept_words(kept, plan.growth_bytes) for kept in plan.kept]
    notes += [f"Assumed: {line}." for line in plan.trace.assumptions]
    return notes


def _time_notes(plan: Plan) -> list[str]:
    """Say what bounds the job's time, why it is not known, and what is not counted."""
    lines: dict[str, list[str]] = {}
    for option in plan.options:
        if not option.is_possible:
            continue
        words = [option.job.feed_words, *option.notes, _why_no_time(option, plan.basis)]
        for line in filter(None, words):
            lines.setdefault(line, []).append(option.runtime_type.id)
    return [f"{', '.join(names)}: {line}." for line, names in lines.items()]


def _why_no_time(option: Option, basis: Basis) -> str:
    """Return why the job's whole time is not known, "" where it is, or was said already."""
    key = {Basis.RUN: "run", Basis.EPOCH: "run", Basis.STEP: "epoch"}.get(basis, "step")
    why = option.job.reasons.get(f"{key}_seconds", "")
    if not why or why == option.reason:
        return ""
    what = {"run": "the whole job's time", "epoch": "an epoch's time"}.get(key, "a step's time")
    return f"{what} is not known, as {why}"


def _kept_words(kept: Kept, growth_bytes: int) -> str:
    holder = kept.holder or "Something in the script"
    words = f"{holder} keeps {format_bytes(kept.step_bytes)} more with each step ({kept.line}); "
    if not growth_bytes:
        return f"{words}none of it is counted, as it is not known how long an epoch is."
    return f"{words}the forecasts count it up to the end of an epoch."


def _subject(plan: Plan) -> Option | None:
    """Return the option whose peak is shown: the recommended one, else the largest card's."""
    known = [option for option in plan.options if option.memory is not None]
    if plan.recommended is not None and plan.recommended.memory is not None:
        return plan.recommended
    return max(known, key=lambda o: o.memory.usable_bytes if o.memory else 0, default=None)


def _traced(plan: Plan) -> str:
    trace = plan.trace
    batch = f"batch {trace.batch_size}" if trace.batch_size else "no batch size seen"
    return (
        f"{plan.target}: {format_count(trace.steps, 'optimizer step')} traced in "
        f"{format_duration(trace.seconds)} on this machine, {batch}, torch {trace.torch}; "
        "nothing was rented. What is not known is left out."
    )


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("  runtime", no_wrap=True)
    table.add_column("needs … of, GiB", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("max batch", _TIME_HEADINGS[plan.basis], "units", "units/h"):
        table.add_column(heading, justify="right", no_wrap=True)
    for option in plan.options:
        is_taken = option is plan.recommended
        table.add_row(
            f"{'>' if is_taken else ' '} {option.runtime_type.id}",
            _needs_of_usable(option.memory) if option.memory else "",
            Text(_verdict_words(option), style=_STYLES[option.overall]),
            "" if option.max_batch_size is None else str(option.max_batch_size),
            *_cost_cells(option, plan.basis),
            style="bold" if is_taken else "",
        )
    return table


def _cost_cells(option: Option, basis: Basis) -> tuple[str, str, str]:
    """Return how long, how many units, and the rate."""
    rate = option.job.rate_units_per_hour
    mark = _STALE if _RATE in option.stale else ""
    hourly = _UNKNOWN if rate is None else f"{rate:.2f}{mark}"
    if option.overall is Verdict.DOES_NOT_FIT:
        return _NOTHING, _NOTHING, hourly
    candidate = Candidate(option=option)
    seconds, units = candidate.seconds_on(basis), candidate.units_on(basis)
    is_costed = units is not None and (basis is not Basis.RATE or units == 0)
    return (
        _UNKNOWN if seconds is None else format_brief_duration(seconds),
        format_units(units) if units is not None and is_costed else _UNKNOWN,
        hourly,
    )


def _needs_of_usable(memory: MemoryForecast) -> str:
    """Write expected, high and usable memory in GiB: "32.7 … 38.9 of 39.1"."""
    needs = memory.peak_reserved_bytes
    return f"{_gib(needs.expected)} … {_gib(needs.high)} of {_gib(memory.usable_bytes)}"


def _gib(size_bytes: float) -> str:
    size = size_bytes / GIB
    if size < 1 / 10:
        return f"{size:.2f}"
    return f"{size:.1f}" if size < _WHOLE_GIB else f"{size:.0f}"


def _verdict_words(option: Option) -> str:
    host = option.host_memory.verdict
    if host is Verdict.DOES_NOT_FIT and option.verdict is not Verdict.DOES_NOT_FIT:
        return "host too small"
    if host is Verdict.TIGHT and option.verdict is Verdict.FITS:
        return "host is tight"
    return VERDICT_WORDS[option.verdict]


def _needs(value: Range) -> str:
    return (
        f"{format_bytes(value.expected)} ({format_bytes(value.low)} … {format_bytes(value.high)})"
    )


def _host_line(option: Option) -> Text:
    """Say what the script takes of the host's memory, if it is known what there is."""
    host = option.host_memory
    there = "" if host.usable_bytes is None else f" of {format_bytes(host.usable_bytes)}"
    return Text(f"On its host the script takes {_needs(host.peak_bytes)}{there}.")


def _peak_lines(option: Option, memory: MemoryForecast) -> list[Text]:
    peak = memory.peak
    where = f" at {peak.line}" if peak.line else ""
    lines = [Text(f"On {option.runtime_type.id} the peak is in the {peak.phase} phase{where}:")]
    shares = {role.value: size for role, size in peak.by_role_bytes.items() if size}
    cached = memory.peak_reserved_bytes.expected - memory.peak_allocated_bytes
    shares["cached"] = max(0, round(cached))
    largest = max(shares.values(), default=1)
    for name, size in sorted(shares.items(), key=lambda item: -item[1]):
        if not size:
            continue
        bar = "█" * max(1, round(_BAR_CELLS * size / largest))
        lines.append(Text(f"  {name:<11} {format_bytes(size):>10}  {bar}"))
    return lines
