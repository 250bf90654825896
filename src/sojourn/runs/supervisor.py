"""Looks after one run: data there → job started → waited for → stopped, always.

Every step is in the journal before the next one begins. However the run ends (done, failed, over
its deadline, interrupted, or by a fault of our own) the job is stopped and what it wrote is
brought to where the user asked for it.
"""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import RunError, SojournError
from sojourn.redact import hide_values, redact_address, redact_arguments
from sojourn.runs import history
from sojourn.runs.collect import collect_results, mark_files
from sojourn.runs.events import DataPulled, JobEnded, JobStarted, RunEnded, RunStarted
from sojourn.runs.history import RunFolder, RunSummary, last_lines, summarize, this_process
from sojourn.runs.interruption import Interruption
from sojourn.runs.journal import Journal
from sojourn.runs.request import DataWanted, RunRequest, data_folder
from sojourn.runtimes.base import Job
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sojourn.progress import Progress
    from sojourn.runs.collect import Mark
    from sojourn.runtimes.base import JobHandle, Runtime

# How often the log is looked at while the job runs.
_LOOK_S = 0.1
_LINES_IN_ERROR = 3
_SIGNALLED = 128
_NUMBERS = {number.value for number in signal.Signals}


class _DeadlineError(Exception):
    """The run has had its time."""


class Supervisor:
    """One run's supervisor.

    Args:
        runtime: Where the job runs.
        pull: Brings a data set (address, folder), complete and verified, or raises.
        on_output: Gets what the job prints, as it comes.
        progress: Where notes go.
        now: Returns the present instant, for the journal.
        elapsed_s: A clock that only runs forward, for durations.
        secrets: What is known to be secret, the longest first; the journal has none of it.
    """

    def __init__(
        self,
        *,
        runtime: Runtime,
        pull: Callable[[str, Path], object],
        on_output: Callable[[bytes], object],
        progress: Progress,
        now: Callable[[], datetime],
        elapsed_s: Callable[[], float] = time.monotonic,
        secrets: Sequence[str] = (),
    ) -> None:
        self._runtime = runtime
        self._pull = pull
        self._on_output = on_output
        self._progress = progress
        self._now = now
        self._elapsed_s = elapsed_s
        self._secrets = secrets

    def supervise(self, request: RunRequest, folder: RunFolder) -> RunSummary:
        """Do the run in `folder`, which must not exist yet.

        Raises:
            RunError: the job failed or ran into its deadline, or the folder cannot be used.
            StoreError, IntegrityError: the data could not be brought; the job was not started.
            KeyboardInterrupt: the run was interrupted; the job is stopped.
        """
        try:
            folder.path.mkdir(parents=True, mode=0o700)
            return self._supervise(request, folder)
        except (SojournError, BrokenPipeError):
            raise  # some of ours are OSErrors as well; a pipe is that of whoever watches
        except OSError as error:
            raise RunError(
                f"Run {folder.id} could not be kept in {folder.path.parent}: {error}.",
                remedy="Make that a folder that you may write to and that has room; a job must "
                "leave it alone.",
            ) from error

    def _supervise(self, request: RunRequest, folder: RunFolder) -> RunSummary:
        run = _Run(request=request, folder=folder, journal=Journal(folder.journal, now=self._now))
        started_s = self._elapsed_s()
        state, message = history.FAILED, ""
        with Interruption() as interruption:
            try:
                run.journal.append(self._started(request, folder))
                exit_code = self._work(run, started_s, interruption)
                state = history.DONE if exit_code == 0 else history.FAILED
                message = _ending(exit_code)
            except _DeadlineError:
                state, message = history.DEADLINE, "it ran into its deadline and was stopped"
            except KeyboardInterrupt:
                state, message = history.INTERRUPTED, "it was interrupted"
                raise
            except SojournError as error:
                message = error.message
                raise
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                raise
            finally:
                interruption.hold()
                seconds = round(self._elapsed_s() - started_s, 3)
                run.journal.append(RunEnded(state=state, seconds=seconds, message=message))
        summary = summarize(folder)
        if summary.state != state:
            raise RunError(
                f"The journal of run {folder.id} was changed while its job ran.",
                remedy=f"A job must leave alone what lies beside its folder, in {folder.path}.",
            )
        if state != history.DONE:
            raise _run_error(summary)
        return summary

    def _started(self, request: RunRequest, folder: RunFolder) -> RunStarted:
        pid, process_started_s = this_process()
        return RunStarted(
            run=folder.id,
            target=str(request.target),
            runtime=self._runtime.id,
            args=redact_arguments([hide_values(arg, self._secrets) for arg in request.args]),
            deadline_s=request.deadline_s,
            out=str(request.out) if request.out else None,
            pid=pid,
            process_started_s=process_started_s,
        )

    def _work(self, run: _Run, started_s: float, interruption: Interruption) -> int:
        """Bring everything there, run the job to its end, and return its exit status."""
        request, folder = run.request, run.folder
        ends_s = None if request.deadline_s is None else started_s + request.deadline_s
        folder.log.touch(mode=0o600)
        for note in self._runtime.prepare(request.target.parent, folder.work):
            self._progress.note(note)
        for wanted in request.data:
            self._check_time(ends_s)
            self._bring(wanted, run)
        before = mark_files(folder.work) if request.out else {}
        self._check_time(ends_s)
        job = Job(script=Path(request.target.name), work=folder.work, args=request.args)
        job_started_s = self._elapsed_s()
        with interruption.deferred():
            stream = _Stream(self._runtime, self._runtime.start(job, log=folder.log))
        try:
            run.journal.append(JobStarted(pid=stream.handle.pid))
            while self._runtime.wait(stream.handle, timeout_s=_LOOK_S) is None:
                stream.pass_on(self._on_output)
                self._check_time(ends_s)
        finally:
            interruption.hold()
            exit_code = self._runtime.stop(stream.handle)
            seconds = round(self._elapsed_s() - job_started_s, 3)
            run.journal.append(JobEnded(exit_code=exit_code, seconds=seconds))
            self._collect(request, folder, before)
            stream.pass_on(self._on_output)
        return exit_code

    def _bring(self, wanted: DataWanted, run: _Run) -> None:
        target = data_folder(wanted, run.folder.work)
        if run.folder.work in target.parents:
            # What lay beside the script under that name is replaced, links and all.
            _remove(target)
        began_s = self._elapsed_s()
        self._pull(wanted.store, target)
        run.journal.append(
            DataPulled(
                store=redact_address(wanted.store),
                folder=wanted.folder,
                seconds=round(self._elapsed_s() - began_s, 3),
            )
        )

    def _check_time(self, ends_s: float | None) -> None:
        if ends_s is not None and self._elapsed_s() >= ends_s:
            raise _DeadlineError

    def _collect(self, request: RunRequest, folder: RunFolder, before: Mapping[Path, Mark]) -> None:
        if request.out is None:
            return
        try:
            names = collect_results(folder.work, before, request.out)
        except OSError as error:
            raise RunError(
                f"What the job wrote could not be copied to {request.out}: {error}.",
                remedy=f"It is all in {folder.work}; copy it from there.",
            ) from error
        files = (
            "1 file that the job wrote is"
            if len(names) == 1
            else (f"{len(names)} files that the job wrote are")
        )
        self._progress.note(f"{files} in {request.out}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    request: RunRequest
    folder: RunFolder
    journal: Journal


class _Stream:
    """The job's output, passed on as far as it has come."""

    def __init__(self, runtime: Runtime, handle: JobHandle) -> None:
        self.handle = handle
        self._runtime = runtime
        self._offset = 0

    def pass_on(self, on_output: Callable[[bytes], object]) -> None:
        text = self._runtime.read_log(self.handle, self._offset)
        self._offset += len(text)
        if text:
            on_output(text)


def _ending(exit_code: int) -> str:
    if exit_code == 0:
        return ""
    if exit_code <= _SIGNALLED:
        return f"the job ended with status {exit_code}"
    name = (
        signal.Signals(exit_code - _SIGNALLED).name if exit_code - _SIGNALLED in _NUMBERS else "?"
    )
    why = ", which is how a machine out of memory ends a process" if name == "SIGKILL" else ""
    return f"the job was ended by signal {name} (status {exit_code}){why}"


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _run_error(summary: RunSummary) -> RunError:
    lines = " / ".join(last_lines(summary.log, _LINES_IN_ERROR))
    said = f"Its last lines: {lines}" if lines else "It printed nothing."
    ran = format_duration(summary.seconds or 0.0)
    if summary.state == history.DEADLINE:
        return RunError(
            f"Run {summary.run} was stopped after {ran}: "
            f"its deadline was {format_duration(summary.deadline_s or 0.0)}.",
            remedy=f"Give it more time with --deadline. `sojourn logs {summary.run}` shows how far "
            f"it came. {said}",
        )
    return RunError(
        f"Run {summary.run} failed after {ran}: {summary.message}.",
        remedy=f"See `sojourn logs {summary.run}`. {said}",
    )
