"""What can be rented, as a table and as the contract's JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sojourn.catalog.models import STALE_AFTER
from sojourn.render.table import at_full_width
from sojourn.units import format_bytes, format_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from rich.console import RenderableType

    from sojourn.catalog import Catalog, RuntimeType, Source, Subscription

SCHEMA = "sojourn.runtimes/1"
_UNKNOWN = "unknown"
_STALE = "*"
_HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimesView:
    """What is to be shown: rows of a catalog, for a subscription or for all, on a day."""

    catalog: Catalog
    rows: Sequence[RuntimeType]
    subscription: Subscription | None
    today: date
    overlay: Path

    def sources_of(self, row: RuntimeType) -> Mapping[str, Source]:
        """Return the sources of a row's figures, its accelerator's memory among them."""
        sources = dict(row.sources)
        accelerator = self.catalog.accelerator_of(row)
        if accelerator is not None and "memory_bytes" in accelerator.sources:
            sources["device_memory_bytes"] = accelerator.sources["memory_bytes"]
        if self.session_limit_s(row) != row.session_limit_s and self.subscription is not None:
            sources["session_limit_s"] = self.subscription.sources["session_limit_s"]
        return sources

    def session_limit_s(self, row: RuntimeType) -> float | None:
        """Return the longest session in seconds, as the subscription has it."""
        return self.catalog.session_limit_s(row, self.subscription)

    def stale(self, row: RuntimeType) -> list[str]:
        """Return which of a row's figures are older than `STALE_AFTER`."""
        return [
            figure
            for figure, source in self.sources_of(row).items()
            if source.is_older_than(STALE_AFTER, today=self.today)
        ]


def runtimes_document(view: RuntimesView) -> dict[str, Any]:
    """Return the rows as a JSON document."""
    return {
        "schema": SCHEMA,
        "subscription": view.subscription.id if view.subscription else None,
        "runtimes": [_row_document(row, view) for row in view.rows],
    }


def _row_document(row: RuntimeType, view: RuntimesView) -> dict[str, Any]:
    accelerator = view.catalog.accelerator_of(row)
    return {
        "runtime": row.id,
        "name": row.name,
        "provider": row.provider,
        "accelerator": accelerator.name if accelerator else None,
        "device_memory_bytes": accelerator.memory_bytes if accelerator else None,
        "count": row.count if accelerator else 0,
        "host_memory_bytes": row.host_memory_bytes,
        "disk_bytes": row.disk_bytes,
        "vcpus": row.vcpus,
        "network_bytes_per_s": row.network_bytes_per_s,
        "rate_units_per_hour": row.rate_units_per_hour,
        "session_limit_s": view.session_limit_s(row),
        "weekly_quota_s": row.weekly_quota_s,
        "subscriptions": list(row.subscriptions),
        "uses": row.uses,
        "availability": row.availability,
        "constraints": row.constraints,
        "retired": row.retired,
        "notes": row.notes.strip(),
        "accelerator_notes": accelerator.notes.strip() if accelerator else "",
        "stale": view.stale(row),
        "sources": {
            figure: {"source": source.source, "as_of": source.as_of}
            for figure, source in view.sources_of(row).items()
        },
    }


def runtimes_text(view: RuntimesView, *, detailed: bool) -> RenderableType:
    """Return the rows as a table; `detailed` adds what each is for, notes and sources below it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("runtime", "accelerator"):
        table.add_column(heading)
    for heading in ("device memory", "host RAM", "disk", "vCPUs", "units/h"):
        table.add_column(heading, justify="right")
    for heading in ("session", "who gets it"):
        table.add_column(heading)
    for row in view.rows:
        table.add_row(*map(Text, _cells(row, view)))
    parts: list[RenderableType] = [at_full_width(table), Text(""), _legend(view)]
    if detailed:
        parts += [_details(row, view) for row in view.rows]
    return Group(*parts)


def _cells(row: RuntimeType, view: RuntimesView) -> tuple[str, ...]:
    stale = set(view.stale(row))

    def marked(text: str | None, *figures: str) -> str:
        if text is None:
            return _UNKNOWN
        return text + (_STALE if stale.intersection(figures) else "")

    accelerator = view.catalog.accelerator_of(row)
    times = f"{row.count} x " if row.count > 1 else ""
    if accelerator is None:
        device_memory = "none"
    else:
        size = _bytes(accelerator.memory_bytes)
        device_memory = marked(size and f"{times}{size}", "device_memory_bytes")
    return (
        row.id,
        f"{times}{accelerator.name}" if accelerator else "none",
        device_memory,
        marked(_bytes(row.host_memory_bytes), "host_memory_bytes"),
        marked(_bytes(row.disk_bytes), "disk_bytes"),
        marked(None if row.vcpus is None else str(row.vcpus), "vcpus"),
        marked(_rate(row), "rate_units_per_hour"),
        marked(_session(row, view), "session_limit_s", "weekly_quota_s"),
        _who(row, view),
    )


def _bytes(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else format_bytes(size_bytes)


def _rate(row: RuntimeType) -> str | None:
    if row.rate_units_per_hour is None:
        return None
    source = row.sources.get("rate_units_per_hour")
    since = source.as_of if source and source.as_of else "yours"
    rate = f"{row.rate_units_per_hour:.2f}" if row.rate_units_per_hour else "0"
    return f"{rate} ({since})"


def _session(row: RuntimeType, view: RuntimesView) -> str | None:
    limit_s = view.session_limit_s(row)
    limit = None if limit_s is None else f"{limit_s / _HOUR_S:g} h"
    if row.weekly_quota_s is None:
        return limit
    return f"{limit or _UNKNOWN}, {row.weekly_quota_s / _HOUR_S:g} h a week"


def _who(row: RuntimeType, view: RuntimesView) -> str:
    if row.retired:
        return f"retired {row.retired}"
    if set(row.subscriptions) >= set(view.catalog.subscriptions):
        return "everyone"
    return ", ".join(row.subscriptions) or "no subscription"


def _legend(view: RuntimesView) -> Text:
    lines = []
    if any(view.stale(row) for row in view.rows):
        lines.append(f"{_STALE} older than {STALE_AFTER.days} days; -v shows sources and dates.")
    lines.append(f"Figures of your own go into {view.overlay} and replace these.")
    return Text("\n".join(lines), style="dim")


def _network(row: RuntimeType) -> str:
    return "" if row.network_bytes_per_s is None else format_rate(row.network_bytes_per_s)


def _details(row: RuntimeType, view: RuntimesView) -> Text:
    text = Text(f"\n{row.id}\n", style="")
    for label, value in (
        ("for", row.uses),
        ("availability", row.availability),
        ("constraints", row.constraints),
        ("network", _network(row)),
    ):
        if value:
            text.append(f"  {label}: {value}\n")
    accelerator = view.catalog.accelerator_of(row)
    notes = (row.notes, accelerator.notes if accelerator else "")
    for line in "\n".join(notes).split("\n"):
        if line:
            text.append(f"  {line}\n")
    for figure, source in view.sources_of(row).items():
        date_text = f" ({source.as_of})" if source.as_of else ""
        text.append(f"  {figure}: {source.source}{date_text}\n", style="dim")
    text.rstrip()
    return text
