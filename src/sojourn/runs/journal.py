"""The journal of a run: one JSON line per event, on the disk before the next thing is done.

    {"at": "2026-11-24T13:37:05.120Z", "kind": "job_started", "pid": 4711}

Nothing secret is written: see `redact`. Whoever reads it may find the last line torn, if the
machine went down in the middle of it; the lines before it count.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import TYPE_CHECKING, Any

from sojourn.errors import IntegrityError
from sojourn.localpath import read_file
from sojourn.runs.events import EVENTS, Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS = {event.kind: event for event in EVENTS}
# What JSON makes of each type that an event's field has.
_TYPES: dict[str, set[type]] = {
    "str": {str},
    "str | None": {str, type(None)},
    "tuple[str, ...]": {str},
    "int": {int},
    "float": {int, float},
    "float | None": {int, float, type(None)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event, and when it was written (UTC)."""

    at: datetime
    event: Event


class Journal:
    """Appends to a journal.

    Args:
        path: The file; created by the first entry.
        now: Returns the present instant, with a time zone.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now

    def append(self, event: Event) -> None:
        """Write an event; when this returns, it is on the disk."""
        fields = {"at": format_instant(self._now()), "kind": event.kind, **asdict(event)}
        # In ASCII: the name of a file may hold half a letter, which UTF-8 cannot.
        line = json.dumps(fields, allow_nan=False) + "\n"
        with self._path.open("ab") as journal:
            journal.write(line.encode())
            journal.flush()
            os.fsync(journal.fileno())


def read_journal(path: Path) -> list[Entry]:
    """Read a journal; a torn last line is left out, and so is a kind of event not known here.

    Raises:
        IntegrityError: a line before the last is not an event.
        OSError: it cannot be read, or is no file.
    """
    lines = read_file(path).split(b"\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            entry = _entry(fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if number == len(lines):
                break
            raise IntegrityError(
                f"Line {number} of {path} is not an event of a run: {line[:80]!r}.",
                remedy="Move that run's folder away; other runs are not affected.",
            ) from error
        if entry is not None:
            entries.append(entry)
    return entries


def _entry(fields: dict[str, Any]) -> Entry | None:
    at = parse_instant(fields.pop("at"))
    kind = _KINDS.get(fields.pop("kind"))
    if kind is None:
        return None
    if "args" in fields:
        fields["args"] = tuple(fields["args"])
    known = {name: fields[name] for name in kind.__dataclass_fields__ if name in fields}
    for name, value in known.items():
        _check(value, str(kind.__dataclass_fields__[name].type))
    return Entry(at=at, event=kind(**known))


def _check(value: object, annotation: str) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        is_finite = not isinstance(part, float) or math.isfinite(part)
        if type(part) not in _TYPES[annotation] or not is_finite:
            raise ValueError(f"{part!r} is no {annotation}")


def parse_instant(text: str) -> datetime:
    """Read what `format_instant` wrote, or another instant of RFC 3339.

    Raises:
        ValueError: it is none, or so near to the end of all years that no other zone has it.
        TypeError: it is no text.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    if not MINYEAR < instant.year < MAXYEAR:
        raise ValueError(f"the year {instant.year}")
    return instant


def format_instant(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, to the millisecond: `2026-11-24T13:37:05.120Z`."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
