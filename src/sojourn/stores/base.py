"""What a store is: a flat set of named objects, eight verbs, and a record of what it can do.

The verbs are few so that a store is one short file. Everything else (retries, dry runs, faults)
wraps a store and is a store itself. A data set's format is no business of this room.

Keys are relative POSIX paths of printable characters: `shards/3f9c….tar.zst`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from sojourn.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sojourn.progress import Progress

Body: TypeAlias = "bytes | BinaryIO"
"""What is put: bytes, or a file open for reading, which is sent whole, from its start."""

# S3 refuses longer keys; it is the tightest of the common limits.
MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What differs between stores, as data.

    Attributes:
        max_object_bytes: The largest object it takes; None if it has no limit of its own.
        read_only: `put` and `delete` always refuse.
        can_list: If False, `list` always refuses.
        local_folder: The folder of this machine that it keeps its objects in, if it does.
        publishes_on_commit: What is put or deleted is seen by no reader before `commit`, and then
            all at once. Where False, each put and delete is seen when it returns.
    """

    max_object_bytes: int | None = None
    read_only: bool = False
    can_list: bool = True
    local_folder: Path | None = None
    publishes_on_commit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One line of a store's listing."""

    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How a store that has a page for each data set is to show a new one. None: as it likes.

    Attributes:
        title: Its heading.
        license: The licence's name, as the store spells it.
        public: Everybody may read it; else only those who are named.
    """

    title: str | None = None
    license: str | None = None
    public: bool = False


class Store(Protocol):
    """A flat set of named objects. Every verb may be called from several threads at once.

    A verb that fails raises a `StoreError`; one that may work later is `retryable`.
    """

    @property
    def url(self) -> str:
        """How a person names the store. Holds no secret."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do."""
        ...

    def get(self, key: str) -> bytes:
        """Return the whole object.

        Raises:
            ObjectNotFoundError: there is no such object.
        """
        ...

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return `size_bytes` bytes from `offset` on, fewer where the object ends sooner.

        Raises:
            ObjectNotFoundError: there is no such object.
        """
        ...

    def put(self, key: str, body: Body) -> None:
        """Create or replace the object. Readers see the old one or the new one, never a part."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a prefix that is empty or ends with a slash, in no order."""
        ...

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes; None if there is no such object."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object. It is no error if there is none."""
        ...

    def commit(self, *, message: str, progress: Progress) -> None:
        """Let readers see what was put and deleted since the last commit, if they do not yet.

        Args:
            message: A line for whoever looks at the store's history, where it keeps one.
            progress: Is told what is waited for.
        """
        ...

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, as far as the store says; None if it doesn't."""
        ...


def check_key(key: str) -> str:
    """Return the key if it is one.

    Raises:
        StoreError: it is empty, too long, or could name something outside of the store.
    """
    segments = key.split("/")
    if (
        not key
        or len(key.encode(errors="surrogateescape")) > MAX_KEY_BYTES
        or not key.isprintable()
        or "\\" in key
        or any(segment in ("", ".", "..") for segment in segments)
    ):
        raise StoreError(
            f"{key!r} cannot name an object in a store.",
            remedy="Use a relative path of printable characters without '.', '..' or '//'.",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix if it is empty, or a key with a slash after it.

    Raises:
        StoreError: it is neither.
    """
    if prefix:
        if not prefix.endswith("/"):
            raise StoreError(f"The prefix {prefix!r} has no slash at its end.", remedy="Add one.")
        check_key(prefix.removesuffix("/"))
    return prefix


def body_size_bytes(body: Body) -> int:
    """Return how many bytes a `put` of this body sends, and rewind it if it is a file."""
    if isinstance(body, bytes):
        return len(body)
    size_bytes = body.seek(0, 2)
    body.seek(0)
    return size_bytes
