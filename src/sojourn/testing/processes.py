"""Servers that other people wrote, as processes of the tests: started, waited for, ended."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
_POLL_S = 0.1


def free_port() -> int:
    """Return a port of this machine that nobody listens at just now."""
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def running_process(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a folder, in which it has a log, until the end of the `with`."""
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder) as process,  # noqa: S603 - our own words
    ):
        try:
            yield process
        finally:
            # Not asked to end in good order, which may take half a minute: its data is thrown away.
            process.kill()
            process.wait()


def wait_until(
    is_ready: Callable[[], bool], process: subprocess.Popen[bytes], *, limit_s: float, name: str
) -> None:
    """Ask a server until it is ready.

    Raises:
        RuntimeError: it ended, or is not within so many seconds.
    """
    give_up_at = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < give_up_at:
        if is_ready():
            return
        time.sleep(_POLL_S)
    raise RuntimeError(f"{name} did not start; its folder holds a log.")
