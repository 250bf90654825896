"""A store that passes every verb on to another one: what wrappers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Capabilities, Store, StoredObject, Swap


class Wrapper:
    """Does what another store does. Derive, and write only the verbs that differ.

    Args:
        store: The store that does the work.
    """

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
        """Send the object."""
        self._store.put(key, body)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        return self._store.list(prefix)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        return self._store.find(key)

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        self._store.delete(key)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Let readers see what was put and deleted, and what is swapped last."""
        self._store.publish(swap, message=message, progress=progress)

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, if the store says."""
        return self._store.room_bytes()
