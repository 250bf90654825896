"""One object of a store, as a store that holds nothing else: `https://host/data.zip`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sojourn.errors import ObjectNotFoundError, StoreError
from sojourn.stores.base import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Capabilities, Store, Swap


class OneObject:
    """Reads one object of another store.

    Args:
        store: Where it is.
        key: Its key there, and here.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    @property
    def url(self) -> str:
        """The object's own address."""
        return f"{self._store.url.rstrip('/')}/{self._key}"

    @property
    def capabilities(self) -> Capabilities:
        """What the other store can do, but for writing; what there is to list is known."""
        return replace(self._store.capabilities, read_only=True, can_list=True, local_folder=None)

    def get(self, key: str) -> bytes:
        """Return the object whole."""
        return self._store.get(self._checked(key))

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object."""
        return self._store.get_range(self._checked(key), offset=offset, size_bytes=size_bytes)

    def put(self, key: str, body: Body) -> None:
        """Refuse to write."""
        del key, body
        raise self._refusal()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the object, if it is there."""
        size_bytes = None if prefix else self._store.find(self._key)
        if size_bytes is not None:
            yield StoredObject(key=self._key, size_bytes=size_bytes)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes; None for any other."""
        return self._store.find(key) if key == self._key else None

    def delete(self, key: str) -> None:
        """Refuse to delete."""
        del key
        raise self._refusal()

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Refuse to write."""
        del swap, message, progress
        raise self._refusal()

    def room_bytes(self) -> int:
        """Say that nothing more may be put."""
        return 0

    def _checked(self, key: str) -> str:
        if key != self._key:
            raise ObjectNotFoundError(
                f"Could not read {self.url}/{key}: there is no such object.",
                remedy="Check the address.",
            )
        return key

    def _refusal(self) -> StoreError:
        return StoreError(
            f"{self.url} is one object, and is only read.", remedy="Name the place that it is in."
        )
