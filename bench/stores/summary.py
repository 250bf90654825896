"""The results as JSON and as a page."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from link import LATENCY_S, RATE_BYTES_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sets import DataSet
    from steps import Row

_LEGEND = (
    "Made by `python bench/stores/speed.py{options}` on {machine}: `{name}`, {files} files, "
    "{megabytes:.1f} MB. The link takes {latency:.0f} ms a request and {rate:.0f} MiB/s a "
    "connection, each way. The server in the place of Kaggle unpacks and packs on its own in "
    "nobody's time; S3 is SeaweedFS on the same cores. Every step begins with an empty folder and "
    "home, but the change is sent from where the whole was. What arrived was compared with what "
    "was sent."
)
_HEADS = ("store", "client", "step", "seconds", "of sojourn's", "peak memory, MB", "requests")
_MORE_HEADS = ("sent, MB", "fetched, MB")
# What is compared with what: the steps of the others, by sojourn's.
_THERE = ("push", "upload", "create", "copy there")
_BACK = ("pull", "download", "copy back")
_CHANGE = ("push, one file changed", "copy, one file changed")


def document(data: DataSet, rows: Sequence[Row], *, quick: bool) -> dict[str, Any]:
    """Return all that was measured, as JSON knows it."""
    sizes = [path.stat().st_size for path in data.files]
    return {
        "benchmark": "stores",
        "quick": quick,
        "machine": _machine(),
        "link": {"latency_s": LATENCY_S, "rate_bytes_per_s": RATE_BYTES_PER_S},
        "set": {"name": data.name, "files": len(sizes), "raw_bytes": sum(sizes)},
        "rows": [_record(row) | {"of_sojourns": _ratio(row, rows)} for row in rows],
    }


def _record(row: Row) -> dict[str, Any]:
    record = asdict(row)
    del record["step"]["said"]  # where things lay on this machine
    return record


def page(data: DataSet, rows: Sequence[Row], *, options: str) -> str:
    """Return the results as a page for people."""
    sizes = [path.stat().st_size for path in data.files]
    legend = _LEGEND.format(
        options=options,
        machine=_machine(),
        name=data.name,
        files=len(sizes),
        megabytes=sum(sizes) / 1e6,
        latency=LATENCY_S * 1e3,
        rate=RATE_BYTES_PER_S / (1 << 20),
    )
    heads = (*_HEADS, *_MORE_HEADS)
    lines = ["# To a store and back", "", legend, "", _line(heads), "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(_line(_cells(row, rows)) for row in rows)]) + "\n"


def _cells(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    ratio = _ratio(row, rows)
    return (
        row.store,
        row.client,
        row.what,
        f"{row.step.seconds:.1f}",
        "" if ratio is None else f"{ratio:.1f}x",
        f"{row.step.peak_bytes / 1e6:.0f}",
        str(row.traffic.requests),
        f"{row.traffic.received_bytes / 1e6:.2f}",
        f"{row.traffic.served_bytes / 1e6:.2f}",
    )


def _ratio(row: Row, rows: Sequence[Row]) -> float | None:
    """Return how many times as long as sojourn's same step a step took; None for sojourn's own."""
    same = next(names for names in (_THERE, _BACK, _CHANGE) if row.what in names)
    ours = [each for each in rows if (each.store, each.what) == (row.store, same[0])]
    if row in ours or not ours:
        return None
    return round(row.step.seconds / ours[0].step.seconds, 2)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({platform.machine()}), Python {platform.python_version()}"
