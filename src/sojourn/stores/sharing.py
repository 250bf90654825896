"""Letting others read what is in a store, where the store can do that for one data set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sojourn.errors import UsageError
from sojourn.stores.url import open_bare_store

if TYPE_CHECKING:
    from pathlib import Path


@runtime_checkable
class Shareable(Protocol):
    """A store that can let single people read it."""

    def share(self, username: str) -> str:
        """Let a user read it; return the page on which that is seen, and can be taken back."""
        ...


def share_store(url: str | Path, *, with_user: str) -> str:
    """Let a user read the store at an address; return the page that shows it.

    Raises:
        UsageError: such a store has no readers of its own.
        StoreError: the store refused, or could not be reached.
    """
    store = open_bare_store(url)
    if not isinstance(store, Shareable):
        raise UsageError(
            f"{os.fspath(url)} is not shared from here.",
            remedy="Give others the right to read there in the way that the store itself has.",
        )
    return store.share(with_user)
