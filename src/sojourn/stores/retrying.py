"""A store that tries again what may work later."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.progress import NoProgress
from sojourn.stores.wrapping import Wrapper
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Store, StoredObject, Swap

T = TypeVar("T")

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0
_ATTEMPTS = 5
# Nobody is at the address: that does not change by waiting, unless a server is being started.
_PATIENCE_WITH_NOBODY_S = 2.0
# So long nothing is said; and not again, by requests side by side, for the longer one.
_SILENT_S = 1.0
_SAID_AGAIN_AFTER_S = 30.0
# The longest window of the rate limits that are known here, Hugging Face's, and some seconds more:
# https://huggingface.co/docs/hub/rate-limits, as of 2026-09. Who asks for more is not waited for.
_LONGEST_ASKED_WAIT_S = 320.0


class Retrying(Wrapper):
    """Repeats a verb while its error is `retryable`, with waits that double, for a while.

    A store that says for how long it wants to be left alone (HTTP's Retry-After) is left alone for
    so long, up to the five minutes that such limits last; that time is not counted. Where nobody is
    at the address, two seconds are enough.

    Args:
        store: The store that does the work.
        progress: Is told why it takes longer, once that is more than a second.
        patience_s: For how long after the first failure new attempts are made, in seconds.
        clock: Seconds that only go forward.
        sleep: Waits so many seconds.
        jitter: A number from 0 to 1; keeps many clients from coming back at the same moment.
    """

    def __init__(
        self,
        store: Store,
        *,
        progress: Progress | None = None,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(store)
        self._progress = progress or NoProgress()
        self._lock = threading.Lock()
        self._said_at: float | None = None
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        return self._attempt(lambda: self._store.get(key))

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object."""
        return self._attempt(
            lambda: self._store.get_range(key, offset=offset, size_bytes=size_bytes)
        )

    def put(self, key: str, body: Body) -> None:
        """Send the object; a body that is a file is sent from its start each time."""
        self._attempt(lambda: self._store.put(key, body))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        # Taken whole before the first is given out: a listing cannot go on half-way.
        yield from self._attempt(lambda: list(self._store.list(prefix)))

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        return self._attempt(lambda: self._store.find(key))

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        self._attempt(lambda: self._store.delete(key))

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Let readers see what was put and deleted, and what is swapped last."""
        self._attempt(lambda: self._store.publish(swap, message=message, progress=progress))

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, if the store says."""
        return self._attempt(self._store.room_bytes)

    def _attempt(self, call: Callable[[], T]) -> T:
        began = self._clock()
        first_failed: float | None = None
        asked_for_s = 0.0
        for attempt in range(_ATTEMPTS):
            try:
                return call()
            except StoreError as error:
                now = self._clock()
                first_failed = now if first_failed is None else first_failed
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt) * (0.5 + self._jitter())
                give_up_at = first_failed + asked_for_s + self._patience_with(error)
                last = attempt == _ATTEMPTS - 1 or now + wait_s > give_up_at
                asked_s = _asked_wait_s(error)
                if last or not error.retryable or asked_s > _LONGEST_ASKED_WAIT_S:
                    raise
                asked_for_s += asked_s
                wait_s = max(wait_s, asked_s)
                self._say(error, silent_s=now + wait_s - began)
                self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _patience_with(self, error: StoreError) -> float:
        if isinstance(error, StoreUnavailableError) and error.is_absent:
            return min(self._patience_s, _PATIENCE_WITH_NOBODY_S)
        return self._patience_s

    def _say(self, error: StoreError, *, silent_s: float) -> None:
        """Say what is waited for, if that takes a while and was not said just now."""
        now = self._clock()
        with self._lock:
            said_lately = self._said_at is not None and now - self._said_at < _SAID_AGAIN_AFTER_S
            if silent_s < _SILENT_S or said_lately:
                return
            self._said_at = now
        asked_s = _asked_wait_s(error)
        when = f"in {format_duration(asked_s)}" if asked_s else "for a few seconds"
        self._progress.note(f"{error.message} Trying again {when}.")


def _asked_wait_s(error: StoreError) -> float:
    return (error.wait_s or 0.0) if isinstance(error, StoreUnavailableError) else 0.0
