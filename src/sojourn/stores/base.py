"""What a store is: a flat set of named objects, eight verbs, and a record of what it can do.

The verbs are few so that a store is one short file. Everything else (retries, dry runs, faults)
wraps a store and is a store itself. A data set's format is no business of this room.

Where several objects can be made to appear at once, or an object be replaced only if nobody else
did so meanwhile, a store has two verbs more (`Staging`); `stage` and `swap` here do without.

Keys are relative POSIX paths of printable characters: `shards/3f9c….tar.zst`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, runtime_checkable

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
        publishes_on_commit: What is put or deleted is seen by no reader before `commit`, and then
            all at once. Where False, each put and delete is seen when it returns.
    """

    max_object_bytes: int | None = None
    max_folder_entries: int | None = None
    lists_slowly: bool = False
    read_only: bool = False
    can_list: bool = True
    local_folder: Path | None = None
    publishes_on_commit: bool = False


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


@runtime_checkable
class Staging(Protocol):
    """The verbs of a store that can let several objects appear at once, or guard one."""

    def stage(self, key: str, body: Body) -> None:
        """Send an object that readers see with the next `swap` at the latest."""
        ...

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        """Replace an object that nobody changed; with it, what was staged is seen, too.

        Args:
            key: Which object.
            body: What it holds then.
            expected: What it holds now; None if it is not there.

        Raises:
            ConflictError: it holds something else.
        """
        ...


def stage(store: Store, key: str, body: Body) -> None:
    """Send an object that readers see with the next `swap`, or at once where that is all one."""
    if isinstance(store, Staging):
        store.stage(key, body)
    else:
        store.put(key, body)


def swap(store: Store, key: str, body: bytes, *, expected: bytes | None) -> None:
    """Replace an object that holds what is expected (None: that is not there).

    Stores that cannot guard an object are asked what it holds, and then written to: of two who do
    this within the same instant, the later one counts.

    Raises:
        ConflictError: it holds something else.
    """
    if isinstance(store, Staging):
        store.swap(key, body, expected=expected)
        return
    check_expected(store, key, get_or_none(store, key), expected)
    store.put(key, body)


def get_or_none(store: Store, key: str) -> bytes | None:
    """Return an object's bytes; None if there is no such object."""
    try:
        return store.get(key)
    except ObjectNotFoundError:
        return None


def check_expected(store: Store, key: str, found: bytes | None, expected: bytes | None) -> None:
    """Check that an object holds what it is expected to.

    Raises:
        ConflictError: it does not.
    """
    if found != expected:
        raise ConflictError(
            f"{store.url.rstrip('/')}/{key} was changed by somebody else meanwhile.",
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
