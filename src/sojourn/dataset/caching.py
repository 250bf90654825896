"""The last few things that were fetched, so that files that share one cost one request."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """What was fetched last; may be used from several threads at once, and in forked processes.

    Args:
        fetch: Gets the value of a key.
        keep: How many to hold.
    """

    def __init__(self, fetch: Callable[[_Key], _Value], *, keep: int) -> None:
        self._fetch = fetch
        self.keep = keep
        self._forget()

    def keep_at_least(self, count: int) -> None:
        """Hold so many from now on, if it were fewer."""
        self.keep = max(self.keep, count)

    def get(self, key: _Key) -> _Value:
        """Return a key's value, fetching it unless it is here or on its way.

        Raises whatever `fetch` raises, to all who wait for it.
        """
        if self._process != os.getpid():
            self._forget()
        with self._lock:
            future = self._found.pop(key, None)
            is_new = future is None
            future = future or Future()
            self._found[key] = future  # the newest is last
            while len(self._found) > self.keep:
                del self._found[next(iter(self._found))]
        if is_new:
            self._fill(key, future)
        return future.result()

    def _forget(self) -> None:
        # In a forked process nobody brings what was on its way, nor releases the lock.
        self._lock = threading.Lock()
        self._found: dict[_Key, Future[_Value]] = {}
        self._process = os.getpid()

    def _fill(self, key: _Key, future: Future[_Value]) -> None:
        try:
            future.set_result(self._fetch(key))
        except BaseException as error:  # whoever waits for it must hear of it
            with self._lock:
                self._found.pop(key, None)
            future.set_exception(error)
            raise
