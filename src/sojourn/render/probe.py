"""A probe, as text and as the contract's JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sojourn.render.table import at_full_width
from sojourn.units import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from sojourn.forecast.correction import ProbeReport
    from sojourn.forecast.memory import Range

PROBE_SCHEMA = "sojourn.probe/1"
_UNKNOWN = "unknown"


def probe_document(report: ProbeReport) -> dict[str, Any]:
    """Return a probe as a JSON document."""
    measured, correction = report.measured, report.correction
    return {
        "schema": PROBE_SCHEMA,
        "target": report.target,
        "accelerator": report.accelerator.id,
        "device": measured.device,
        "torch": measured.torch,
        "batch_size": report.batch_size,
        "fits": measured.fits,
        "steps": measured.steps,
        "seconds": measured.seconds,
        "measured": {
            "peak_reserved_bytes": measured.peak_reserved_bytes,
            "peak_allocated_bytes": measured.peak_allocated_bytes,
            "step_seconds": measured.step_s,
            "waited_seconds": measured.waited_s,
        },
        "forecast": {
            "peak_reserved_bytes": _range_document(report.peak_reserved_bytes, whole=True),
            "step_seconds": _range_document(report.step_s, whole=False),
        },
        "correction": {
            "memory_ratio": correction.memory_ratio if correction else None,
            "step_ratio": correction.step_ratio if correction else None,
        },
        "reason": report.reason or None,
    }


def _range_document(forecast: Range | None, *, whole: bool) -> dict[str, float] | None:
    if forecast is None:
        return None
    values = {"low": forecast.low, "expected": forecast.expected, "high": forecast.high}
    return {key: round(value) for key, value in values.items()} if whole else values


def probe_text(report: ProbeReport) -> RenderableType:
    """Return what was measured beside what was forecast, and what became of it."""
    measured = report.measured
    taken = format_count(measured.steps, "optimizer step")
    size = f", batches of {report.batch_size}" if report.batch_size else ""
    head = f"{measured.device}: {taken} of {report.target} in {format_duration(measured.seconds)}"
    return Group(
        Text(f"{head}{size}"),
        at_full_width(_table(report)),
        *(Text(line, style="dim") for line in _notes(report)),
    )


def _table(report: ProbeReport) -> Table:
    measured = report.measured
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in ("measured", "forecast", "low", "high", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    peak = float(measured.peak_reserved_bytes) if measured.fits else None
    memory = _row(peak, report.peak_reserved_bytes, format_bytes)
    if not measured.fits:
        memory[0] = f"did not fit {format_bytes(measured.memory_bytes)}"
    table.add_row("memory reserved", *memory)
    table.add_row("step", *_row(measured.step_s, report.step_s, _seconds))
    return table


def _row(measured: float | None, forecast: Range | None, show: Callable[[float], str]) -> list[str]:
    said = _UNKNOWN if measured is None else show(measured)
    if forecast is None:
        return [said, _UNKNOWN, "", "", ""]
    difference = "" if measured is None else f"{measured / forecast.expected - 1:+.0%}"
    return [said, *map(show, (forecast.expected, forecast.low, forecast.high)), difference]


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _notes(report: ProbeReport) -> list[str]:
    measured, correction = report.measured, report.correction
    notes = []
    if measured.fits and measured.steps < report.steps_wanted:
        notes.append(f"The script ended, or its time was up, after {measured.steps} steps.")
    if measured.step_s and measured.waits_for_data and measured.waited_s is not None:
        notes.append(
            f"Of each step it waited {_seconds(measured.waited_s)} for its batches: its time says "
            "nothing of the card, and no correction of it is kept."
        )
    if report.reason:
        notes.append(f"{report.reason[0].upper()}{report.reason[1:]}")
    if correction is not None:
        notes.append(f"Kept for later plans of this job on {report.accelerator.id}.")
    return notes
