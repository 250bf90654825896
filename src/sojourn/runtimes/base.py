"""What every place that runs jobs can do: few verbs, so that a new place is one small file.

prepare   the folder in which the job will work, with the script's files in it
start     the job; its output goes to a log
wait      until it ends, or some time has passed
read_log  what it has printed since
stop      it and whatever it started; harmless when it has ended already
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STOP_GRACE_S = 10.0  # what a job gets to save its work between being asked to end and being ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be run: a script in a prepared folder.

    `script` is relative to `work`, the folder in which the job starts.
    """

    script: Path
    work: Path
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandle:
    """A job that was started: its process, and the file that its output goes to."""

    pid: int
    log: Path


class Runtime(Protocol):
    """A place where a job can run."""

    @property
    def id(self) -> str:
        """Its name, as `sojourn run --on` takes it."""
        ...

    def prepare(self, folder: Path, work: Path) -> Sequence[str]:
        """Bring the script's folder into `work`, and return notes on what was left out."""
        ...

    def start(self, job: Job, *, log: Path) -> JobHandle:
        """Start the job with its output, both kinds together, in `log`."""
        ...

    def wait(self, handle: JobHandle, *, timeout_s: float) -> int | None:
        """Return the job's exit status, 128 plus the signal if one ended it; None if it runs on."""
        ...

    def read_log(self, handle: JobHandle, offset: int) -> bytes:
        """Return what stands in the log from byte `offset` on."""
        ...

    def stop(self, handle: JobHandle, *, grace_s: float = STOP_GRACE_S) -> int:
        """Ask the job to end, end it after `grace_s` seconds, and return its exit status."""
        ...
