"""The process that traces: torch is imported there once, and it splits for each script to trace.

Importing torch takes longer than most traces, and a plan needs several. What a trace changes in
torch and in the standard library dies with its own process.

    parent    writes the name of a file with requests to the server's standard input, a line each
    server    splits for each request, and says which exit status each process ended with
    process   redirects its output, traces and leaves an answer in a file
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from sojourn.tracing.leftovers import trace_folder
from sojourn.tracing.request import write_requests
from sojourn.tracing.words import cut_output
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sojourn.tracing.request import Request

# Seconds between two looks at how many answers are there.
_LOOK_EVERY_S = 0.1
# Seconds in which the server ends what it has started, when it is told to end.
_GRACE_S = 5.0
# It writes a traceback at the most.
_MOST_LOG_BYTES = 1 * MIB


class TraceServer:
    """A process to trace in, started when it is first needed. Leave it to end it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._folders = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._folders:
            self._end()
            self._close_log()

    def answer(
        self,
        requests: Sequence[Request],
        *,
        request_file: Path,
        workers: int,
        timeout_s: float,
        on_answer: Callable[[], None],
    ) -> list[int | None]:
        """Have requests answered; each answer is then in the file that its request names.

        Args:
            requests: What to trace.
            request_file: Where to write them for the server.
            workers: How many to answer at a time.
            timeout_s: Seconds for all together.
            on_answer: Called for each answer that is there.

        Returns:
            The exit status of each one's process (negative: the signal that ended it), None for all
            if they took too long; they are ended then.
        """
        write_requests(request_file, requests, workers=workers)
        process = self._started()
        reply = self._ask(process, request_file, requests, timeout_s, on_answer)
        if reply:
            statuses: list[int | None] = json.loads(reply)
            return statuses
        # It ended by itself, say since torch does not load, or it took too long.
        status = process.poll() if reply is not None else None
        self._end()
        return [status] * len(requests)

    def last_words(self) -> str:
        """Return what the server itself wrote, which is nothing unless it failed."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read(_MOST_LOG_BYTES).decode("utf-8", "replace")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._close_log()
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
            folder = self._folders.enter_context(trace_folder())
            # -P: the script's folder must not shadow the packages that tracing itself imports.
            command = [sys.executable, "-P", "-m", "sojourn.tracing.child", os.fspath(folder)]
            self._process = subprocess.Popen(  # noqa: S603 - this very package
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
        return self._process

    def _ask(
        self,
        process: subprocess.Popen[bytes],
        request_file: Path,
        requests: Sequence[Request],
        timeout_s: float,
        on_answer: Callable[[], None],
    ) -> bytes | None:
        """Return the server's reply; empty if it ended without one, None if it took too long."""
        to_server, from_server = process.stdin, process.stdout
        if to_server is None or from_server is None:
            raise ValueError("the server was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            to_server.write(os.fsencode(request_file) + b"\n")
            to_server.flush()
        give_up_at = time.monotonic() + timeout_s
        answered = 0
        while (left_s := give_up_at - time.monotonic()) > 0:
            ready, _, _ = select.select([from_server], [], [], min(left_s, _LOOK_EVERY_S))
            done = sum(Path(request.answer).exists() for request in requests)
            for request in requests:
                cut_output(Path(request.output))
            for _ in range(done - answered):
                on_answer()
            answered = max(done, answered)
            if ready:
                reply = from_server.readline()
                if not reply:
                    process.wait()
                return reply
        return None

    def _end(self) -> None:
        """End the server, and through it whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
