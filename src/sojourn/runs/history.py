"""Runs so far: each a folder with a journal, read back into a summary.

<root>/<run>/journal.jsonl · log.txt · work/
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import psutil

from sojourn.errors import IntegrityError, UsageError
from sojourn.runs.events import DataPulled, JobEnded, RunEnded, RunStarted
from sojourn.runs.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sojourn.runs.journal import Entry

DONE, FAILED, DEADLINE, INTERRUPTED = "done", "failed", "deadline", "interrupted"
RUNNING, LOST, UNREADABLE = "running", "lost", "unreadable"

LAST = "last"
# How far two clocks may disagree about when a process began.
_SAME_PROCESS_S = 1.0
_FOLLOW_S = 0.2
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where one run keeps what it has."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        """What the job printed."""
        return self.path / "log.txt"

    @property
    def work(self) -> Path:
        """The folder that the job works in."""
        return self.path / "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What became of a run.

    `state` is done, failed, deadline, interrupted, running, lost (whoever looked after it is gone
    without a word) or unreadable. Times are None where they are not known.
    """

    run: str
    state: str
    log: Path
    target: str = ""
    runtime: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = None
    deadline_s: float | None = None
    out: str | None = None
    data: tuple[DataPulled, ...] = ()
    message: str = ""


def default_root() -> Path:
    """Return the folder that holds all runs of this user."""
    return Path(platformdirs.user_state_dir("sojourn")) / "runs"


def list_runs(root: Path) -> list[RunSummary]:
    """Return all runs, oldest first."""
    runs = [summarize(RunFolder(path=path)) for path in _folders(root)]
    # An id tells the second only; what cannot be read comes first.
    return sorted(runs, key=lambda run: (run.started_at or _EARLIEST, run.run))


def find_run(root: Path, name: str) -> RunFolder:
    """Return the run with this id, or the one that begins so, or the `last`.

    Raises:
        UsageError: there is none, or more than one.
    """
    if not name:
        raise UsageError("'' is no run.", remedy="Give a run's id, its beginning, or `last`.")
    runs = [path.name for path in _folders(root)]
    if not runs:
        raise UsageError(
            "There are no runs yet.", remedy="Start one: sojourn run TARGET --on local."
        )
    newest = [run.run for run in list_runs(root)[-1:]]
    matches = newest if name == LAST else [run for run in runs if run.startswith(name)]
    if name in runs:
        matches = [name]
    if not matches:
        raise UsageError(f"There is no run {name!r}.", remedy="See `sojourn runs`.")
    if len(matches) > 1:
        raise UsageError(
            f"{name!r} is the beginning of {len(matches)} runs: {', '.join(matches[:3])}.",
            remedy="Give more of it, or `last`.",
        )
    return RunFolder(path=root / matches[0])


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UsageError(
            f"The runs in {root} cannot be listed: {error.strerror}.",
            remedy="Make that a folder that you may read.",
        ) from error


def summarize(folder: RunFolder) -> RunSummary:
    """Read a run's journal; a run whose supervisor is gone without a word is lost."""
    try:
        entries = read_journal(folder.journal)
    except (IntegrityError, OSError) as error:
        return RunSummary(run=folder.id, state=UNREADABLE, log=folder.log, message=str(error))
    start = next((entry for entry in entries if isinstance(entry.event, RunStarted)), None)
    if start is None or not isinstance(start.event, RunStarted):
        return RunSummary(run=folder.id, state=LOST, log=folder.log)
    end = next((entry for entry in reversed(entries) if isinstance(entry.event, RunEnded)), None)
    ended = end.event if end is not None and isinstance(end.event, RunEnded) else None
    alive = RUNNING if _is_alive(start.event) else LOST
    return RunSummary(
        run=folder.id,
        state=ended.state if ended else alive,
        log=folder.log,
        target=start.event.target,
        runtime=start.event.runtime,
        exit_code=_exit_code(entries),
        started_at=start.at,
        ended_at=end.at if end else None,
        seconds=ended.seconds if ended else None,
        deadline_s=start.event.deadline_s,
        out=start.event.out,
        data=tuple(entry.event for entry in entries if isinstance(entry.event, DataPulled)),
        message=ended.message if ended else "",
    )


def read_log(folder: RunFolder, *, offset: int = 0) -> bytes:
    """Return what the job has printed, from byte `offset` on; nothing if it never started.

    Raises:
        IntegrityError: the log cannot be read.
    """
    try:
        with folder.log.open("rb") as log:
            log.seek(offset)
            return log.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise IntegrityError(
            f"{folder.log} cannot be read: {error.strerror}.",
            remedy="Move that run's folder away; other runs are not affected.",
        ) from error


def follow_log(folder: RunFolder, *, wait: Callable[[float], object]) -> Iterator[bytes]:
    """Yield the log as it grows, until the run is over.

    Args:
        folder: The run.
        wait: Called with the seconds until the next look.
    """
    offset = 0
    while True:
        # Asked before reading: what was printed before the end is then read for certain.
        is_running = summarize(folder).state == RUNNING
        text = read_log(folder, offset=offset)
        offset += len(text)
        if text:
            yield text
        if not is_running:
            return
        wait(_FOLLOW_S)


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of a log that say something."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    # A line of nothing but ^^^^ points at the one above it.
    return [line.strip() for line in lines if any(map(str.isalnum, line))][-count:]


def this_process() -> tuple[int, float]:
    """Return this process' id and when it began, in seconds since 1970."""
    return os.getpid(), psutil.Process().create_time()


def _is_alive(start: RunStarted) -> bool:
    try:
        process = psutil.Process(start.pid)
        began_s = process.create_time()
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        is_same = abs(began_s - start.process_started_s) < _SAME_PROCESS_S
    except (psutil.Error, ValueError, OverflowError):  # or what is no process id
        return False
    return is_same and not is_dead


def _exit_code(entries: Sequence[Entry]) -> int | None:
    codes = [entry.event.exit_code for entry in entries if isinstance(entry.event, JobEnded)]
    return codes[-1] if codes else None
