"""How the server splits: a process for each request, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import psutil

from sojourn.script.confine import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.tracing.request import Request


# One that is ended may just have started another.
_MOST_GENERATIONS = 100


class Processes:
    """The processes that trace, each in a group of its own with whatever it starts.

    Args:
        replies: Where the server's answers go, which is none of theirs.
        trace: What each does, to its end.
    """

    def __init__(self, replies: TextIO, trace: Callable[[Request], NoReturn]) -> None:
        self._replies = replies
        self._trace = trace
        self._running: dict[int, int] = {}

    def answer(self, requests: Sequence[Request], workers: int) -> list[int]:
        """Split into a process for each request; returns their exit statuses."""
        statuses = [0] * len(requests)
        for number, request in enumerate(requests):
            while len(self._running) == workers:
                self._reap(statuses)
            process = os.fork()
            if process == 0:
                self._become(request)
            self._running[process] = number
        while self._running:
            self._reap(statuses)
        _end_strays()
        return statuses

    def end(self) -> NoReturn:
        """End all of them, and the server."""
        for process in self._running:
            _end_group(process)
        _end_strays()
        os._exit(0)

    def _reap(self, statuses: list[int]) -> None:
        process, status = os.wait()
        number = self._running.pop(process, None)
        if number is not None:
            statuses[number] = os.waitstatus_to_exitcode(status)
            _end_group(process)

    def _become(self, request: Request) -> NoReturn:
        """Go on as the process that answers a request."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        end_with_parent(signal.SIGKILL)
        self._replies.close()
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the life of the process
        os.dup2(sys.stdin.fileno(), 0)
        with Path(request.output).open("ab") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(request.folder)
        self._trace(request)


def _end_strays() -> None:
    """End what the traced processes started in groups of their own; it is this one's child now."""
    for _ in range(_MOST_GENERATIONS):
        strays = psutil.Process().children(recursive=True)
        if not strays:
            return
        for stray in strays:
            with contextlib.suppress(psutil.Error):
                stray.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0):
                pass


def _end_group(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
