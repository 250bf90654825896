"""A plan as text and as the contract's JSON document `sojourn.plan/1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sojourn.forecast.memory import Verdict
from sojourn.forecast.trace import Role
from sojourn.render.table import at_full_width
from sojourn.units import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sojourn.forecast.changes import Kept
    from sojourn.forecast.curve import CurvePoint, MemoryCurve
    from sojourn.forecast.memory import MemoryForecast, Range
    from sojourn.planning.fit import WayToFit
    from sojourn.planning.plan import Option, Plan

SCHEMA = "sojourn.plan/1"
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
_BAR_CELLS = 24
_TOP_LINES = 5


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as a JSON document. What is not forecast is null."""
    trace = plan.trace
    return {
        "schema": SCHEMA,
        "target": plan.target,
        "trace": {
            "seconds": trace.seconds,
            "steps": trace.steps,
            "batch_size": trace.batch_size,
            "samples_per_epoch": trace.samples_per_epoch,
            "torch": trace.torch,
            "assumptions": list(trace.assumptions),
            "host_memory_bytes": trace.host_memory_bytes,
            "kept": [_kept_document(kept) for kept in plan.kept],
        },
        "options": [_option_document(option) for option in plan.options],
        "recommended": plan.recommended.runtime_type.id if plan.recommended else None,
        "because": plan.because,
    }


def _kept_document(kept: Kept) -> dict[str, Any]:
    return {"line": kept.line, "holder": kept.holder or None, "step_bytes": kept.step_bytes}


def _option_document(option: Option) -> dict[str, Any]:
    host = option.host_memory
    return {
        "runtime": option.runtime_type.id,
        "accelerator": option.accelerator.name if option.accelerator else None,
        "verdict": option.verdict,
        "reason": option.reason or None,
        "device_memory": _memory_document(option.memory, option.curve) if option.memory else None,
        "host_memory": {
            "usable_bytes": host.usable_bytes,
            "expected_bytes": round(host.peak_bytes.expected),
            "peak_bytes": _range_document(host.peak_bytes),
            "by": dict(host.by_part_bytes),
            "verdict": host.verdict,
        },
        "max_batch_size": option.max_batch_size,
        "step_seconds": None,
        "epoch_seconds": None,
        "run_seconds": None,
        "rate_units_per_hour": option.runtime_type.rate_units_per_hour,
        "compute_units": None,
        "usd": None,
        "sessions": None,
        "affordable": None,
        "ways_to_fit": [_way_document(way) for way in option.ways_to_fit],
    }


def _memory_document(memory: MemoryForecast, curve: MemoryCurve | None) -> dict[str, Any]:
    by = {role.value: memory.peak.by_role_bytes[role] for role in Role}
    return {
        "usable_bytes": memory.usable_bytes,
        "peak_reserved_bytes": _range_document(memory.peak_reserved_bytes),
        "peak_allocated_bytes": memory.peak_allocated_bytes,
        "at": {"phase": memory.peak.phase, "line": memory.peak.line},
        "by": {**by, "context": memory.context_bytes},
        "curve": [_point_document(point) for point in curve.points] if curve else [],
        "top_lines": [
            {"line": share.line, "bytes": share.size_bytes, "role": share.role}
            for share in (curve.top_lines if curve else ())
        ],
    }


def _point_document(point: CurvePoint) -> dict[str, Any]:
    by = {role.value: size for role, size in point.by_role_bytes.items() if size}
    return {"event": point.event, "phase": point.phase, "by": by}


def _range_document(value: Range) -> dict[str, int]:
    return {"low": round(value.low), "expected": round(value.expected), "high": round(value.high)}


def _way_document(way: WayToFit) -> dict[str, Any]:
    return {
        "change": way.change,
        "code": way.code,
        "verdict": way.verdict,
        "peak_reserved_bytes": _range_document(way.peak_reserved_bytes),
        "step_seconds": None,
    }


def plan_text(plan: Plan, *, detailed: bool) -> RenderableType:
    """Return the plan as a table, what the peak is made of, and the recommendation."""
    parts: list[RenderableType] = [at_full_width(_table(plan))]
    subject = _subject(plan)
    if subject is not None and subject.memory is not None:
        parts += [Text(""), *_peak_lines(subject, subject.memory)]
    if detailed and subject is not None and subject.curve is not None:
        parts += _top_lines(subject.curve)
    if (shown := plan.recommended or subject) is not None:
        parts.append(_host_line(shown))
    parts += _way_lines(plan, detailed=detailed)
    parts += [Text(line, style="dim") for line in small_print(plan)]
    parts += [Text(""), Text(_traced(plan), style="dim")]
    if plan.may_fit:  # else it is the error that comes with it
        parts.append(Text(plan.because, style="bold"))
    return Group(*parts)


def _top_lines(curve: MemoryCurve) -> list[Text]:
    """Say which lines of the user's code hold most at the peak."""
    lines = [Text("Of that, by the line that asked for it:")]
    for share in curve.top_lines[:_TOP_LINES]:
        where = share.line or "no line of the script's"
        lines.append(Text(f"  {format_bytes(share.size_bytes):>10}  {share.role:<11} {where}"))
    return lines


def _way_lines(plan: Plan, *, detailed: bool) -> list[Text]:
    """Say what would make the job fit, once for all runtime types that have the same card."""
    names: dict[WayToFit, list[str]] = {}
    for option in plan.options:
        for way in option.ways_to_fit:
            names.setdefault(way, []).append(option.runtime_type.id)
    lines = []
    for way, ids in names.items():
        size = format_bytes(way.peak_reserved_bytes.high)
        fits = "fits" if way.verdict is Verdict.FITS else "may just fit"
        lines.append(Text(f"On {', '.join(ids)} it {fits} with {way.change} (up to {size})."))
    if detailed:
        codes = {way.change: way.code for way in names}
        lines += [Text(f"\n# {change}\n{code}", style="cyan") for change, code in codes.items()]
    return lines


def small_print(plan: Plan) -> list[str]:
    """Return what a reader should know before trusting the table, a line each."""
    lines: dict[str, list[str]] = {}
    for option in plan.options:
        if option.reason:
            lines.setdefault(option.reason, []).append(option.runtime_type.id)
    notes = [f"{', '.join(names)}: {reason}." for reason, names in lines.items()]
    notes += [_kept_words(kept, plan.growth_bytes) for kept in plan.kept]
    notes += [f"Assumed: {line}." for line in plan.trace.assumptions]
    return notes


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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("runtime", "accelerator", "usable", "needs (low … high)", "", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("largest batch", justify="right", no_wrap=True)
    table.add_column("units/h", justify="right", no_wrap=True)
    for option in plan.options:
        rate = option.runtime_type.rate_units_per_hour
        memory = option.memory
        table.add_row(
            option.runtime_type.id,
            option.accelerator.name if option.accelerator else "none",
            format_bytes(memory.usable_bytes) if memory else "",
            _needs(memory.peak_reserved_bytes) if memory else "",
            _bar(memory) if memory else Text(""),
            Text(_verdict_words(option), style=_STYLES[option.overall]),
            "" if option.max_batch_size is None else str(option.max_batch_size),
            "unknown" if rate is None else f"{rate:.2f}",
        )
    return table


def _verdict_words(option: Option) -> str:
    words = VERDICT_WORDS[option.verdict]
    if option.host_memory.verdict is Verdict.DOES_NOT_FIT:
        return f"{words}, but not the host's memory"
    if option.host_memory.verdict is Verdict.TIGHT and option.verdict is Verdict.FITS:
        return f"{words}; the host's memory is tight"
    return words


def _needs(value: Range) -> str:
    return (
        f"{format_bytes(value.expected)} ({format_bytes(value.low)} … {format_bytes(value.high)})"
    )


def _host_line(option: Option) -> Text:
    """Say what the script takes of the host's memory, if it is known what there is."""
    host = option.host_memory
    there = "" if host.usable_bytes is None else f" of {format_bytes(host.usable_bytes)}"
    return Text(f"On its host the script takes {_needs(host.peak_bytes)}{there}.")


def _bar(memory: MemoryForecast) -> Text:
    """Draw expected against usable: full blocks for expected, light ones up to the high bound."""
    scale = _BAR_CELLS / memory.usable_bytes
    expected = min(_BAR_CELLS, round(memory.peak_reserved_bytes.expected * scale))
    high = min(_BAR_CELLS, round(memory.peak_reserved_bytes.high * scale))
    drawn = "█" * expected + "▒" * (high - expected)
    return Text(drawn.ljust(_BAR_CELLS, "·"), style=_STYLES[memory.verdict])


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
