"""Runs, as a table and as the contract's JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sojourn.render.table import at_full_width
from sojourn.runs.journal import format_instant
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from sojourn.runs.history import RunSummary

RUN_SCHEMA = "sojourn.run/1"
RUNS_SCHEMA = "sojourn.runs/1"
LOGS_SCHEMA = "sojourn.logs/1"

_UNKNOWN = "-"


def run_document(summary: RunSummary) -> dict[str, Any]:
    """Return one run as a JSON document."""
    return {"schema": RUN_SCHEMA, **_fields(summary)}


def runs_document(summaries: Sequence[RunSummary]) -> dict[str, Any]:
    """Return all runs as a JSON document, oldest first."""
    return {"schema": RUNS_SCHEMA, "runs": [_fields(summary) for summary in summaries]}


def log_document(run: str, text: str) -> dict[str, Any]:
    """Return a run's output as a JSON document."""
    return {"schema": LOGS_SCHEMA, "run": run, "text": text}


def run_text(summary: RunSummary) -> RenderableType:
    """Return one line about a run that has ended well."""
    took = format_duration(summary.seconds or 0.0)
    where = f"; what it wrote is in {summary.out}" if summary.out else ""
    return Text(f"Run {summary.run}: {summary.state} after {took}; log {summary.log}{where}")


def runs_table(summaries: Sequence[RunSummary]) -> RenderableType:
    """Return all runs as a table, newest last."""
    if not summaries:
        return Text("No runs yet. Start one: sojourn run TARGET --on local")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("state")
    table.add_column("status", justify="right")
    table.add_column("started", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("on")
    table.add_column("target", overflow="fold")
    for summary in summaries:
        table.add_row(
            summary.run,
            summary.state,
            _UNKNOWN if summary.exit_code is None else str(summary.exit_code),
            _local(summary.started_at),
            _UNKNOWN if summary.seconds is None else format_duration(summary.seconds),
            summary.runtime,
            summary.target,
        )
    return at_full_width(table)


def _fields(summary: RunSummary) -> dict[str, Any]:
    return {
        "run": summary.run,
        "state": summary.state,
        "target": summary.target,
        "runtime": summary.runtime,
        "exit_code": summary.exit_code,
        "started_at": _instant(summary.started_at),
        "ended_at": _instant(summary.ended_at),
        "seconds": summary.seconds,
        "deadline_seconds": summary.deadline_s,
        "log": str(summary.log),
        "out": summary.out,
        "data": [
            {"store": pulled.store, "dir": pulled.folder, "seconds": pulled.seconds}
            for pulled in summary.data
        ],
        "message": summary.message,
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _local(instant: datetime | None) -> str:
    return _UNKNOWN if instant is None else f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"
