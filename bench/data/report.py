"""A run as JSON and as a page. Figures in, text out."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contenders import Run
    from limits import Limits
    from measuring import Step
    from targets import Verdict

_LEGEND = (
    "Made by `python bench/data/speed.py{options}` on {machine}. Link: nginx on loopback, 50 ms a "
    "request and 40 MiB/s a connection. Every step begins with an empty folder and home; the page "
    "cache, which a container cannot drop, is warm for all. What arrived was compared with what "
    "was sent."
)
_QUICK = (
    "**These are small sets** (`--quick`): they show that the harness works. Starting Python and "
    "asking for the first byte weigh more here than with the full sets, which the targets are for."
)
_LIMIT_NOTE = (
    "In the tables below, the last column is how much of the time the limits explain: the bytes "
    "fetched at the link's speed (over one connection, or over eight for what uses several), the "
    "files written at the disk's, or the tables copied at memory's, whichever is longest. Little "
    "above 100 % is noise; far above means that the limit was measured while others worked."
)
# Whether a step fetches over one connection, and what it leaves behind.
_ONE_STREAM = ("kaggle: curl", "kagglehub")
_LEAVES_ZIP = ("kaggle: curl", "aria2c: fetch")
_LEAVES_FILES = ("kaggle: unzip", "kagglehub", "rclone", "sojourn: pull")
_LEAVES_TABLES = ("kaggle: pandas", "sojourn: tables")


def document(
    runs: Sequence[Run], limits: Limits, verdicts: Sequence[Verdict], *, quick: bool
) -> dict[str, Any]:
    """Return all figures as what JSON can hold."""
    return {
        "benchmark": "data sets",
        "quick": quick,
        "machine": _machine(),
        "limits": asdict(limits),
        "sets": {run.data.name: _set(run, limits) for run in runs},
        "targets": [asdict(each) | {"met": each.is_met} for each in verdicts],
    }


def page(runs: Sequence[Run], limits: Limits, verdicts: Sequence[Verdict], *, quick: bool) -> str:
    """Return the Markdown page."""
    options = " --quick" if quick else ""
    lines = ["# Data sets: how fast, and how many bytes", ""]
    lines += [_LEGEND.format(options=options, machine=_machine()), ""]
    lines += [_QUICK, ""] if quick else []
    lines += ["## Targets", "", *_target_rows(verdicts), ""]
    lines += ["## Limits of the machine, in the same run", "", *_limit_rows(limits), ""]
    lines += [_LIMIT_NOTE, ""]
    for run in runs:
        lines += [*_set_rows(run, limits), ""]
    return "\n".join(lines)


def dump(found: dict[str, Any]) -> str:
    """Return it as text that a diff can be read of."""
    return json.dumps(found, indent=1) + "\n"


def limit_s(run: Run, limits: Limits, name: str, step: Step) -> float:
    """Return how long a step takes at least, with these bytes on this machine."""
    over = limits.link_1 if name in _ONE_STREAM else limits.link_8
    left: float = 0.0
    if name in _LEAVES_ZIP:
        left = run.archive.stat().st_size / limits.disk
    if name in _LEAVES_FILES:
        left = run.facts["raw_bytes"] / limits.disk
    if name in _LEAVES_TABLES:
        left = step.said["table_bytes"] / limits.memcpy
    if name == "sojourn: push":
        left = run.facts["store_bytes"] / limits.disk
    return max(left, step.wire_bytes / over)


def _set(run: Run, limits: Limits) -> dict[str, Any]:
    return {
        "facts": dict(run.facts),
        "left_out": dict(run.left_out),
        "steps": {
            name: _step(step) | {"of_limit": limit_s(run, limits, name, step) / step.seconds}
            for name, step in run.steps.items()
        },
    }


def _step(step: Step) -> dict[str, Any]:
    # Sums are long, and where things lay is of no interest elsewhere.
    said = {k: value for k, value in step.said.items() if k not in ("sums", "folder", "store")}
    return asdict(step) | {"said": said}


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _target_rows(verdicts: Sequence[Verdict]) -> list[str]:
    head = ["| set | what | target | figure | met |", "| --- | --- | ---: | ---: | --- |"]
    return head + [
        f"| {each.set_name} | {each.what} | {'≥' if each.sense == 'at least' else '≤'} "
        f"{_number(each.bound)} | {_number(each.figure)} | {'yes' if each.is_met else '**no**'} |"
        for each in verdicts
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _limit_rows(limits: Limits) -> list[str]:
    rows = (
        ("memcpy, one thread", limits.memcpy),
        ("disk, written and synced", limits.disk),
        ("link, one connection", limits.link_1),
        ("link, eight connections", limits.link_8),
    )
    head = ["| limit | MB/s |", "| --- | ---: |"]
    lines = [f"| {name} | {value / 1e6:.0f} |" for name, value in rows]
    return [*head, *lines, f"| one small request | {limits.request_s * 1e3:.0f} ms |"]


def _set_rows(run: Run, limits: Limits) -> list[str]:
    facts = run.facts
    sizes = (
        f"{facts['files']:,} files, {_mb(facts['raw_bytes'])} MB; as one zip "
        f"{_mb(facts['zip_bytes'])} MB; in the store {_mb(facts['store_bytes'])} MB, "
        f"{facts['shards']} shards. One file changed: {_mb(facts['change_sent_bytes'])} MB sent in "
        f"{facts['shards_sent']} shards, of which a pull fetched {facts['shards_fetched']}."
    )
    lines = [
        f"## `{run.data.name}`",
        "",
        sizes,
        "",
        "| step | s | s of cores | peak MB | requests | connections | MB fetched | of the limit |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, step in run.steps.items():
        share = limit_s(run, limits, name, step) / step.seconds
        lines.append(
            f"| {name}{'' if step.finished else ' (not finished)'} | {step.seconds:.2f} "
            f"| {step.cpu_s:.2f} | {step.peak_bytes / 1e6:.0f} | {step.requests:,} "
            f"| {step.connections} | {_mb(step.wire_bytes)} "
            f"| {f'{share:.0%}' if share else ''} |"
        )
    return lines + _notes(run)


def _notes(run: Run) -> list[str]:
    lines = []
    if "rclone" in run.steps and not run.steps["rclone"].finished:
        rate = run.facts["rclone_bytes"] / run.steps["rclone"].seconds
        whole_s = run.facts["raw_bytes"] / rate
        lines.append(
            f"rclone was ended: at its {rate / 1e6:.1f} MB/s all would take {whole_s:.0f} s."
        )
    lines += [f"{name} was left out: {why}" for name, why in run.left_out.items()]
    return ["", *lines] if lines else []


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:,.2f}" if size_bytes < 10**7 else f"{size_bytes / 1e6:,.0f}"
