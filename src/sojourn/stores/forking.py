"""A store that is also read from in processes that were forked from the one that opened it.

obstore has threads of its own, which a fork does not copy: after it, requests wait for ever. Such
processes are common, for DataLoader's workers are forked on Linux. In one, requests go to a helper
process (`sojourn.stores.serving`) that is started afresh, and ends with the one that it serves.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from sojourn.errors import SojournError, StoreError, StoreUnavailableError
from sojourn.stores.objects import was_forked
from sojourn.stores.wrapping import Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Store, StoredObject, Swap

# The modules are looked for where this process finds them.
_HELPER = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from sojourn.stores.serving import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)


class ForkSafe(Wrapper):
    """Does what another store does; only reads in a forked process.

    Args:
        store: The store that does the work. `open_store(store.url)` must open it again.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._helpers: dict[int, _Helper] = {}

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        if was_forked():
            return bytes(self._own_helper().ask("get", key))
        return self._store.get(key)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object."""
        if was_forked():
            helper = self._own_helper()
            return bytes(helper.ask("get_range", key, offset=offset, size_bytes=size_bytes))
        return self._store.get_range(key, offset=offset, size_bytes=size_bytes)

    def put(self, key: str, body: Body) -> None:
        """Send the object; refused in a forked process."""
        self._check_may_write()
        self._store.put(key, body)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        if was_forked():
            return iter(self._own_helper().ask("list", prefix))
        return self._store.list(prefix)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        if was_forked():
            size_bytes: int | None = self._own_helper().ask("find", key)
            return size_bytes
        return self._store.find(key)

    def delete(self, key: str) -> None:
        """Remove the object if it is there; refused in a forked process."""
        self._check_may_write()
        self._store.delete(key)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Let readers see what was put and deleted; refused in a forked process."""
        self._check_may_write()
        self._store.publish(swap, message=message, progress=progress)

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, if the store says; refused when forked."""
        self._check_may_write()
        return self._store.room_bytes()

    def _own_helper(self) -> _Helper:
        # By process: one that a parent started has the parent's pipes, and its lock may be held.
        return self._helpers.setdefault(os.getpid(), _Helper(self.url))

    def _check_may_write(self) -> None:
        if was_forked():
            raise StoreError(
                f"{self.url} is not written to by a process that was forked from one that uses it.",
                remedy='Start the process afresh: `multiprocessing.get_context("spawn")`.',
            )


class _Helper:
    """The helper process of this process; started with the first request."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, verb: str, key: str, **arguments: int) -> Any:
        """Return what a verb of the store returns, or raise what it raises."""
        with self._lock:
            try:
                self._process = self._process or self._start()
                _send(self._process.stdin, (verb, key, arguments))
                answer = pickle.load(_open(self._process.stdout))  # noqa: S301 - our own helper
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                self._process = None
                raise StoreUnavailableError(
                    f"The process that reads {self._url} for this one has ended.",
                    remedy="Read again; if that recurs, memory may be short.",
                ) from error
        if isinstance(answer, SojournError):
            raise answer
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - this Python, and a text of ours
            [sys.executable, "-c", _HELPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process; the helper ends with its pipe
        )
        _send(process.stdin, sys.path)
        _send(process.stdin, self._url)
        return process


def _send(pipe: IO[bytes] | None, value: object) -> None:
    pickle.dump(value, _open(pipe))
    _open(pipe).flush()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("a helper's pipes are asked for")
    return pipe
