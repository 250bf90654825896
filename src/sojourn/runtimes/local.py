"""This machine as a runtime: a child process in a group of its own, its output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from sojourn.runtimes.base import STOP_GRACE_S, Job, JobHandle
from sojourn.script.scratch import make_scratch_copy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SIGNALLED = 128


class LocalRuntime:
    """Runs jobs here. A job ends with this object's process, even if that is killed."""

    id = "local"

    def __init__(self) -> None:
        self._jobs: dict[int, subprocess.Popen[bytes]] = {}
        self._lifelines: dict[int, int] = {}

    def prepare(self, folder: Path, work: Path) -> Sequence[str]:
        """Copy the small files of `folder`, link the large ones."""
        _, notes = make_scratch_copy(folder, work)
        return notes

    def start(self, job: Job, *, log: Path) -> JobHandle:
        """Start the job in a process group of its own."""
        # The job holds one end of a pipe; with the other end goes whoever looked after the job.
        lifeline, kept = os.pipe()
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - the user's own script, as asked
                    [
                        *(sys.executable, "-P", "-u", "-m", "sojourn.runtimes.launcher"),
                        *(str(lifeline), str(job.work), str(job.script)),
                        *job.args,
                    ],
                    cwd=job.work,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lifeline,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(kept)
            raise
        finally:
            os.close(lifeline)
        self._jobs[process.pid] = process
        self._lifelines[process.pid] = kept
        return JobHandle(pid=process.pid, log=log)

    def wait(self, handle: JobHandle, *, timeout_s: float) -> int | None:
        """Wait for the job's own process; what it left running is for `stop`."""
        try:
            code = self._jobs[handle.pid].wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else _SIGNALLED - code

    def read_log(self, handle: JobHandle, offset: int) -> bytes:
        """Read the log's file; nothing if the job has removed it."""
        try:
            with handle.log.open("rb") as log:
                log.seek(offset)
                return log.read()
        except FileNotFoundError:
            return b""

    def stop(self, handle: JobHandle, *, grace_s: float = STOP_GRACE_S) -> int:
        """SIGTERM to the whole group; SIGKILL to what is left of it."""
        if self._jobs[handle.pid].poll() is None:
            _signal_group(handle.pid, signal.SIGTERM)
        code = self.wait(handle, timeout_s=grace_s)
        _signal_group(handle.pid, signal.SIGKILL)
        if handle.pid in self._lifelines:
            os.close(self._lifelines.pop(handle.pid))
        if code is None:
            code = self.wait(handle, timeout_s=grace_s)
        return code if code is not None else _SIGNALLED + signal.SIGKILL


def _signal_group(group: int, number: signal.Signals) -> None:
    # macOS answers EPERM for a group in which only ended processes are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
