"""A store with faults on order: for tests of what must survive them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.stores.wrapping import Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Store, StoredObject, Swap

Verb: TypeAlias = Literal["get", "get_range", "put", "list", "find", "delete", "publish"]


def unavailable() -> StoreError:
    """Return the error of a store that may answer later."""
    return StoreUnavailableError("The store did not answer.", remedy="Try again.")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong with calls of one verb on keys that a pattern names.

    Attributes:
        verb: Which verb.
        keys: A shell pattern; for `list` it is the prefix.
        after: So many matching calls go well first.
        every: Of those that follow, one in so many goes wrong.
        times: So many go wrong then; the rest go well.
        error: Raised before anything is done.
        drop_bytes: So many bytes are missing at the end of what is read.
        flip_bit_at: A bit of the byte at this offset of what is read is the other one.
    """

    verb: Verb
    keys: str = "*"
    after: int = 0
    every: int = 1
    times: int = 1 << 30
    error: StoreError | None = None
    drop_bytes: int = 0
    flip_bit_at: int | None = None
    _calls: int = field(default=0, init=False)

    def strikes(self, verb: Verb, key: str) -> bool:
        """Count a call, and tell whether it goes wrong."""
        if verb != self.verb or not fnmatchcase(key, self.keys):
            return False
        self._calls += 1
        turn, passed = divmod(self._calls - self.after, self.every)
        return self._calls > self.after and passed == 0 and turn <= self.times

    def spoil(self, data: bytes) -> bytes:
        """Return what arrives instead of the data."""
        data = data[: len(data) - self.drop_bytes]
        if self.flip_bit_at is None or self.flip_bit_at >= len(data):
            return data
        at = self.flip_bit_at
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class FaultyStore(Wrapper):
    """Does what another store does, but for its faults. Keeps a list of the calls.

    Args:
        store: The store that does the work.
        faults: What goes wrong.
    """

    def __init__(self, store: Store, *faults: Fault) -> None:
        super().__init__(store)
        self._faults = faults
        self._lock = threading.Lock()
        self.calls: list[tuple[Verb, str]] = []

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        faults = self._meet("get", key)
        return _spoilt(self._store.get(key), faults)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object."""
        faults = self._meet("get_range", key)
        return _spoilt(self._store.get_range(key, offset=offset, size_bytes=size_bytes), faults)

    def put(self, key: str, body: Body) -> None:
        """Send the object."""
        self._meet("put", key)
        self._store.put(key, body)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        self._meet("list", prefix)
        return self._store.list(prefix)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        self._meet("find", key)
        return self._store.find(key)

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        self._meet("delete", key)
        self._store.delete(key)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Let readers see what was put and deleted. Faults go by the key that is swapped, or ""."""
        self._meet("publish", swap.key if swap else "")
        self._store.publish(swap, message=message, progress=progress)

    def _meet(self, verb: Verb, key: str) -> tuple[Fault, ...]:
        with self._lock:
            self.calls.append((verb, key))
            faults = tuple(fault for fault in self._faults if fault.strikes(verb, key))
        for fault in faults:
            if fault.error is not None:
                raise fault.error
        return faults


def _spoilt(data: bytes, faults: tuple[Fault, ...]) -> bytes:
    for fault in faults:
        data = fault.spoil(data)
    return data
