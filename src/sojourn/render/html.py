"""Results as HTML: self-contained, everything escaped, readable without scripts."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Verdict
from sojourn.render.plan import VERDICT_WORDS, small_print
from sojourn.units import format_brief_duration, format_bytes, format_count, format_units

if TYPE_CHECKING:
    from sojourn.forecast.memory import Range
    from sojourn.planning.job import JobForecast
    from sojourn.planning.option import Option
    from sojourn.planning.plan import Plan

_COLOURS = {
    Verdict.FITS: "#2e7d32",
    Verdict.TIGHT: "#b26a00",
    Verdict.DOES_NOT_FIT: "#c62828",
    Verdict.UNKNOWN: "#757575",
}
_HEADINGS = (
    "runtime",
    "accelerator",
    "memory",
    "verdict",
    "largest batch",
    "an epoch",
    "whole job",
    "units",
    "units/h",
    "with a change",
)
_UNKNOWN = "unknown"


def plan_html(plan: Plan) -> str:
    """Return the plan as one HTML fragment: a table with a bar for each card's memory."""
    heading = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in _HEADINGS)
    rows = "".join(_row(option, plan) for option in plan.options)
    return (
        "<div style='font-family:sans-serif'>"
        f"<p><b>{escape(plan.target)}</b>: {escape(plan.because)}</p>"
        f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_peak(plan)}{_notes(plan)}</div>"
    )


def _peak(plan: Plan) -> str:
    """Say where the peak is and what it is made of, on the recommended runtime type."""
    option = plan.recommended
    if option is None or option.memory is None:
        return ""
    peak = option.memory.peak
    parts = ", ".join(
        f"{role.value} {format_bytes(size)}"
        for role, size in sorted(peak.by_role_bytes.items(), key=lambda item: -item[1])
        if size
    )
    where = f" at {peak.line}" if peak.line else ""
    return f"<p>{escape(f'Peak in the {peak.phase} phase{where}: {parts}.')}</p>"


def _notes(plan: Plan) -> str:
    trace = plan.trace
    batch = f"batch {trace.batch_size}, " if trace.batch_size else ""
    steps = format_count(trace.steps, "optimizer step")
    made = f"{steps} traced, {batch}torch {trace.torch}; nothing was rented."
    lines = [made, *small_print(plan)]
    return "<ul>" + "".join(f"<li><small>{escape(line)}</small></li>" for line in lines) + "</ul>"


def plan_page(plan: Plan) -> str:
    """Return the plan as a whole HTML page."""
    title = escape(f"Plan for {plan.target}")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{title}</title></head><body>{plan_html(plan)}</body></html>\n"
    )


def _row(option: Option, plan: Plan) -> str:
    rate = option.job.rate_units_per_hour
    is_recommended = plan.recommended is not None and option is plan.recommended
    name = escape(option.runtime_type.id)
    verdict = VERDICT_WORDS[option.overall]
    batch = "" if option.max_batch_size is None else str(option.max_batch_size)
    cells = (
        f"<b>{name}</b>" if is_recommended else name,
        escape(option.accelerator.name if option.accelerator else "none"),
        _bar(option),
        f"<span style='color:{_COLOURS[option.overall]}'>{escape(verdict)}</span>",
        batch,
        *map(escape, _costs(option.job, option.overall)),
        _UNKNOWN if rate is None else f"{rate:.2f}",
        _ways(option),
    )
    title = escape(option.reason, quote=True)
    return f"<tr title='{title}'>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _costs(job: JobForecast, verdict: Verdict) -> tuple[str, str, str]:
    """Return an epoch's time, the whole job's, and its units; nothing for what does not fit."""
    if verdict is Verdict.DOES_NOT_FIT:
        return "", "", ""
    return (
        _duration(job.epoch_s),
        _duration(job.run_s),
        _UNKNOWN if job.compute_units is None else format_units(job.compute_units.expected),
    )


def _duration(value: Range | None) -> str:
    return _UNKNOWN if value is None else format_brief_duration(value.expected)


def _ways(option: Option) -> str:
    """Say what makes the job fit, and what it then takes."""
    lines = []
    for way in option.ways_to_fit:
        _, run, units = _costs(way.job, way.verdict) if way.job else ("", _UNKNOWN, _UNKNOWN)
        cost = "" if run == _UNKNOWN else f": {run}, {units} units"
        lines.append(f"<small>{escape(way.change + cost)}</small>")
    return "<br>".join(lines)


def _bar(option: Option) -> str:
    memory = option.memory
    if memory is None:
        return escape(option.reason)
    needs, usable = memory.peak_reserved_bytes, memory.usable_bytes
    expected = min(100.0, 100 * needs.expected / usable)
    high = max(0.0, min(100.0, 100 * needs.high / usable) - expected)
    colour = _COLOURS[memory.verdict]
    words = f"{format_bytes(needs.expected)} of {format_bytes(usable)}"
    return (
        "<div style='width:16em;background:#ddd;display:flex;height:1em'>"
        f"<div style='width:{expected:.1f}%;background:{colour}'></div>"
        f"<div style='width:{high:.1f}%;background:{colour};opacity:.4'></div></div>"
        f"<small>{escape(words)}</small>"
    )
