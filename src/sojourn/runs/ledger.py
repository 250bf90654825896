"""The ledger: what was seen of the user's account, one JSON line each, on the disk at once.

    {"at": "2026-11-24T13:37:05.120Z", "kind": "rate", "runtime_type": "colab/t4", "units": 1.07}

A line that was torn as the machine went down is left out; the others count.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from sojourn.errors import IntegrityError, UsageError
from sojourn.localpath import read_file
from sojourn.planning.wallet import (
    LEAST_RATE,
    MOST_UNITS,
    Balance,
    Entry,
    ObservedRate,
    PastRun,
    Use,
)
from sojourn.runs.history import RUNNING, list_runs
from sojourn.runs.journal import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

_BALANCE, _RATE, _USE = "balance", "rate", "use"
# What reading a line may come to; a whole number of 400 digits is too large for a float.
_NO_ENTRY = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def default_ledger_path() -> Path:
    """Return where the ledger of this user is: `~/.local/state/sojourn/ledger.jsonl`."""
    return Path(platformdirs.user_state_dir("sojourn")) / "ledger.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Notes what is seen of an account. `now` returns the present instant, with a time zone."""

    path: Path
    now: Callable[[], datetime]

    def record_balance(self, units: float) -> None:
        """Note how many compute units there are.

        Raises:
            UsageError: it is no number of units, or the ledger cannot be written.
        """
        self._append(_BALANCE, {"units": _checked(units, "balance")})

    def record_rate(self, runtime_type: str, units_per_hour: float, *, runtimes_up: int) -> bool:
        """Note what the account is charged an hour, if that is the rate of one runtime type.

        Args:
            runtime_type: The id of the runtime that is up.
            units_per_hour: What the provider says of the account.
            runtimes_up: How many runtimes the account has; of several, none's rate follows.

        Returns:
            Whether it was noted: not where several or none are up, or nothing is charged yet.

        Raises:
            UsageError: it is no rate, or the ledger cannot be written.
        """
        rate = _checked(units_per_hour, "rate")
        if runtimes_up != 1 or rate < LEAST_RATE:
            return False
        self._append(_RATE, {"runtime_type": runtime_type, "units": rate})
        return True

    def record_use(self, run: str, units: float) -> None:
        """Note what a run took in all, from the balances before and after it.

        Raises:
            UsageError: it is no number of units, or the ledger cannot be written.
        """
        self._append(_USE, {"run": run, "units": _checked(units, "use")})

    def entries(self) -> list[Entry]:
        """Return what was noted, oldest first; nothing where there is no ledger yet.

        Raises:
            IntegrityError: it cannot be read, or a whole line is no entry.
        """
        return read_ledger(self.path)

    def _append(self, kind: str, fields: dict[str, Any]) -> None:
        line = json.dumps({"at": format_instant(self.now()), "kind": kind, **fields}) + "\n"
        with _refused(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab", opener=_open_at_once) as ledger:
                # A line that was torn before would take this one with it.
                ledger.write((b"\n" if _is_torn(self.path) else b"") + line.encode())
                ledger.flush()
                os.fsync(ledger.fileno())


def read_ledger(path: Path) -> list[Entry]:
    """Read a ledger; a torn line is left out, and so is a kind of entry not known here.

    Raises:
        IntegrityError: it cannot be read, or a whole line is no entry.
    """
    try:
        lines = read_file(path).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise IntegrityError(
            f"The ledger {path} cannot be read: {error.strerror}.",
            remedy="Make it a file that you may read, or move it away.",
        ) from error
    entries = []
    for number, line in enumerate(map(bytes.strip, lines), start=1):
        if not line.endswith(b"}"):
            continue  # the machine went down while it was written
        try:
            entry = _entry(json.loads(line))
        except (*_NO_ENTRY, RecursionError) as error:
            raise IntegrityError(
                f"Line {number} of {path} is no entry of a ledger: {line[:80]!r}.",
                remedy="Take that line out, or move the file away.",
            ) from error
        if entry is not None:
            entries.append(entry)
    return entries


def past_runs(root: Path) -> list[PastRun]:
    """Return the runs of this machine as the wallet counts them, oldest first."""
    return [
        PastRun(
            run=run.run,
            runtime_type=run.runtime,
            started_at=run.started_at,
            seconds=run.seconds,
            is_running=run.state == RUNNING,
        )
        for run in list_runs(root)
    ]


def _entry(fields: dict[str, Any]) -> Entry | None:
    at, kind = parse_instant(fields["at"]), fields["kind"]
    if kind not in {_BALANCE, _RATE, _USE}:
        return None
    units = float(fields["units"])
    least = LEAST_RATE if kind == _RATE and units else 0.0
    if not least <= units <= MOST_UNITS:
        raise ValueError(f"{units} units")
    if kind == _BALANCE:
        return Balance(units=units, at=at)
    if kind == _RATE:
        return ObservedRate(runtime_type=str(fields["runtime_type"]), units_per_hour=units, at=at)
    return Use(run=str(fields["run"]), units=units, at=at)


def _checked(units: float, what: str) -> float:
    if not 0 <= units <= MOST_UNITS:
        raise UsageError(
            f"A {what} of {units:g} compute units cannot be.",
            remedy=f"Give a number from 0 to {MOST_UNITS:g}, as your account's panel shows it.",
        )
    return units


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for a reader where somebody put a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def _is_torn(path: Path) -> bool:
    last = read_file(path, last_bytes=1)
    return bool(last) and last != b"\n"


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"The ledger {path} cannot be written: {error.strerror}.",
            remedy="Make its folder one that you may write to, with room.",
        ) from error
