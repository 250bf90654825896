"""Trying out on a live account what cannot be known from here, where a store has a way to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sojourn.errors import UsageError
from sojourn.stores.url import open_bare_store

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        ok: Whether sojourn works with how it is.
        detail: How it is.
        remedy: What to do where it is not well, else empty.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@runtime_checkable
class Probeable(Protocol):
    """A store that can be tried out with something small, which is removed in the end."""

    def probe(self, progress: Progress) -> tuple[Finding, ...]:
        """Try the store out; nothing that was there before is touched."""
        ...


def probe_store(url: str | Path, *, progress: Progress) -> tuple[Finding, ...]:
    """Try out the store at an address.

    Raises:
        UsageError: there is nothing to find out about such a store.
        StoreError: the store refused, or could not be reached.
    """
    store = open_bare_store(url)
    if not isinstance(store, Probeable):
        raise UsageError(
            f"There is nothing to try out on {os.fspath(url)}.",
            remedy="Leave out --live; it is for kaggle://OWNER/DATASET.",
        )
    return store.probe(progress)
