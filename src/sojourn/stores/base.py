"""What a store is: a flat set of named objects, eight verbs, and a record of what it can do.

The verbs are few so that a store is one short file. Everything else (retries, dry runs, faults)
wraps a store and is a store itself. A data set's format is no business of this room.

Writing has two steps, the same for every store: objects are sent one by one, and then published.

    put, delete    sent; readers go on seeing the old objects, or see some of the new ones already
    publish        readers see all of it; last of all the one object that is swapped, if nobody
                   else replaced that meanwhile

So a writer that ends anywhere leaves what the swapped object names as it was. Whether a store keeps
back what it is sent (for a commit, a version) or not (a folder, a bucket), nobody need ask.

Keys are relative POSIX paths of printable characters: `shards/3f9c….tar.zst`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from sojourn.errors import ConflictError, ObjectNotFoundError, StoreError

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
        max_folder_entries: So many objects may have the same key up to the last slash; None if
            it has no such limit.
        lists_slowly: `find` of each object that is wanted is quicker than `list`.
        publishes_slowly: Each `publish` is waited for, for minutes, and makes something that stays:
            one of each object that is put would be too many.
    """

    max_object_bytes: int | None = None
    max_folder_entries: int | None = None
    lists_slowly: bool = False
    read_only: bool = False
    can_list: bool = True
    local_folder: Path | None = None
    publishes_slowly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One line of a store's listing.

    Attributes:
        key: The object's name.
        size_bytes: How large it is.
        digest: Of its bytes, `sha256:` or `md5:` and hex digits, where the store gives one.
        version: A mark that changes when the object does, where the store gives one.
    """

    key: str
    size_bytes: int
    digest: str | None = field(default=None, compare=False)
    version: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """An object that is replaced only if nobody else replaced it meanwhile.

    Attributes:
        key: Which object.
        body: What it is to hold.
        expected: What it holds now; None if it is not there.
    """

    key: str
    body: bytes
    expected: bytes | None


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
        """Send an object. Readers see it when `publish` returns, and may see it before that.

        Until then they see the old one or the new one, never a part of either.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below a prefix that is empty or ends with a slash, in no order."""
        ...

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes; None if there is no such object."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object, seen as a `put` is. It is no error if there is none."""
        ...

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Let readers see all that was put and deleted, and then the swapped object.

        Whoever sees the swapped object sees all that was put before it. After an error nothing
        that was put is lost: it is published by the next call, and not sent again. Of two who swap
        the same object at once, one is refused where the store can tell (docs/stores.md).

        Args:
            swap: What is replaced last. If it holds the new bytes already, that is well.
            message: A line for whoever looks at the store's history, where it is for us to write.
            progress: Is told what is waited for.

        Raises:
            ConflictError: the object holds something else than is expected; it is left so.
        """
        ...

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, as far as the store says; None if it doesn't."""
        ...


def get_or_none(store: Store, key: str) -> bytes | None:
    """Return an object's bytes; None if there is no such object."""
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None


def needs_write(swap: Swap, *, held: bytes | None, url: str) -> bool:
    """Tell whether an object is still to be replaced.

    It holds the new bytes already where a `publish` is repeated whose answer was lost.

    Args:
        swap: What is to be replaced by what.
        held: What it holds; None if it is not there.
        url: The store's.

    Raises:
        ConflictError: it holds neither these nor what is expected.
    """
    if held not in (swap.body, swap.expected):
        raise changed_meanwhile(swap.key, url=url)
    return held != swap.body


def changed_meanwhile(key: str, *, url: str) -> ConflictError:
    """Return the error for an object that somebody else replaced."""
    return ConflictError(
        f"{url.rstrip('/')}/{key} was changed by somebody else meanwhile.",
        remedy="Look at what came, then run the command again.",
    )


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
