"""What happens to a run, as records: the lines of its journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The supervisor began. `pid` and `process_started_s` say later whether it still lives."""

    kind: ClassVar[str] = "run_started"

    run: str
    target: str
    runtime: str
    args: tuple[str, ...] = ()
    deadline_s: float | None = None
    out: str | None = None
    pid: int
    process_started_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPulled:
    """A data set is there. `folder` is as it was asked for."""

    kind: ClassVar[str] = "data_pulled"

    store: str
    folder: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """The job's process began."""

    kind: ClassVar[str] = "job_started"

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """The job's process, and all that it started, is gone."""

    kind: ClassVar[str] = "job_ended"

    exit_code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The supervisor is done. `state` is one of `history.ENDED`."""

    kind: ClassVar[str] = "run_ended"

    state: str
    seconds: float
    message: str = ""


Event = RunStarted | DataPulled | JobStarted | JobEnded | RunEnded

EVENTS: tuple[type[Event], ...] = (RunStarted, DataPulled, JobStarted, JobEnded, RunEnded)
