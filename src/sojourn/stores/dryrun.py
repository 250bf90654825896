"""A store that is read as it is and written to in words only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.stores.base import body_size_bytes, check_expected, check_key, get_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Capabilities, Store, StoredObject


class DryRun:
    """Reads from a store; what is put is measured and dropped, what is deleted stays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def url(self) -> str:
        """How a person names the store."""
        return self._store.url

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""
        return self._store.capabilities

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        return self._store.get(key)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object."""
        return self._store.get_range(key, offset=offset, size_bytes=size_bytes)

    def put(self, key: str, body: Body) -> None:
        """Check what would be sent, and send nothing."""
        check_key(key)
        body_size_bytes(body)

    def stage(self, key: str, body: Body) -> None:
        """Check what would be sent, and send nothing."""
        self.put(key, body)

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        """Check what would be replaced, and replace nothing."""
        check_expected(self._store, key, get_or_none(self._store, key), expected)
        self.put(key, body)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        return self._store.list(prefix)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        return self._store.find(key)

    def delete(self, key: str) -> None:
        """Leave the object where it is."""
        check_key(key)

    def commit(self, *, message: str, progress: Progress) -> None:
        """Publish nothing."""

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, if the store says."""
        return self._store.room_bytes()
