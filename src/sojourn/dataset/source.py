"""Where the files of a push come from: a folder of this machine, or objects in a store."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sojourn.dataset.digests import Digester
from sojourn.dataset.listing import Entry, list_folder
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.manifest import DIGEST_PREFIX, path_order
from sojourn.errors import IntegrityError, UsageError
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from pathlib import Path

    from sojourn.stores.base import Store

_READ_BYTES = 1 * MIB
_FETCH_BYTES = 8 * MIB


class Source(Protocol):
    """What is packed. Every verb may be called from several threads at once."""

    @property
    def name(self) -> str:
        """How a person names it."""
        ...

    def entries(self) -> tuple[Entry, ...]:
        """Return all that there is, in the order of a manifest's members.

        Raises:
            UsageError: there is nothing, or something that cannot be sent.
        """
        ...

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes in pieces; nothing for what is no file.

        Raises:
            IntegrityError: the file changed while it was read, or since it was listed.
        """
        ...

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes.

        Raises:
            IntegrityError: it is no file any more.
        """
        ...


class FolderSource:
    """A folder of this machine.

    Args:
        folder: Where it is.
        exclude: Globs of what is left out.
    """

    def __init__(self, folder: Path, exclude: Iterable[str] = ()) -> None:
        self._folder = folder
        self._exclude = tuple(exclude)

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def entries(self) -> tuple[Entry, ...]:
        """Return what the folder holds."""
        return list_folder(self._folder, self._exclude)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes, and make sure that they are the file that was listed."""
        if entry.kind != "file":
            return
        path = self._folder / entry.path
        with local_disk(f"read {path}"), _opened(path) as file:
            _check_unchanged(entry, path, file)
            left_bytes = entry.size_bytes
            while left_bytes and (data := file.read(min(_READ_BYTES, left_bytes))):
                left_bytes -= len(data)
                yield data
            if left_bytes or file.read(1):
                raise changed(path)
            _check_unchanged(entry, path, file)

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes."""
        with local_disk(f"read {self._folder / path}"):
            return file_digest(self._folder / path) or ""


class StoreSource:
    """The objects of a store, as the files of a folder: `images/1.jpg` is in the folder `images`.

    Objects have no permission bits; files come out as 0644 and folders as 0755.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """The store's address."""
        return self._store.url

    def entries(self) -> tuple[Entry, ...]:
        """Return what the store holds."""
        found = {o.key: _object_entry(o.key, o.size_bytes) for o in self._store.list()}
        if not found:
            raise UsageError(
                f"{self._store.url} holds no object.", remedy="Check the address of the source."
            )
        for key in tuple(found):
            for folder in folders_above(key):
                if folder in found and found[folder].kind == "file":
                    raise UsageError(
                        f"{self._store.url} has an object {folder!r}, and {key!r} below it: no "
                        "folder can hold both.",
                        remedy="Rename one of them.",
                    )
                found[folder] = _folder_entry(folder)
        return tuple(sorted(found.values(), key=lambda entry: path_order(entry.path)))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield an object's bytes, and make sure that there are as many as were listed."""
        if entry.kind != "file":
            return
        offset = 0
        while offset < entry.size_bytes:
            size_bytes = min(_FETCH_BYTES, entry.size_bytes - offset)
            data = self._store.get_range(entry.path, offset=offset, size_bytes=size_bytes)
            if len(data) != size_bytes:
                raise changed(f"{self._store.url}/{entry.path}")
            offset += size_bytes
            yield data
        if self._store.find(entry.path) != entry.size_bytes:
            raise changed(f"{self._store.url}/{entry.path}")

    def digest(self, path: str) -> str:
        """Return the digest of an object's bytes."""
        size_bytes = self._store.find(path)
        if size_bytes is None:
            raise changed(f"{self._store.url}/{path}")
        hashed = hashlib.sha256()
        for data in self.chunks(_object_entry(path, size_bytes)):
            hashed.update(data)
        return DIGEST_PREFIX + hashed.hexdigest()


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a path is in, the inmost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _object_entry(key: str, size_bytes: int) -> Entry:
    return Entry(path=key, kind="file", mode=0o644, size_bytes=size_bytes, modified_ns=0)


def _folder_entry(path: str) -> Entry:
    return Entry(path=path, kind="folder", mode=0o755, size_bytes=0, modified_ns=0)


def file_digest(path: Path, *, like: str | None = DIGEST_PREFIX) -> str | None:
    """Return the digest of a file's bytes.

    Args:
        path: The file.
        like: A digest that it is made in the way of.

    Raises:
        IntegrityError: the path has become a pipe or device.
    """
    digester = Digester(like)
    with _opened(path) as file:
        while data := file.read(_READ_BYTES):
            digester.update(data)
    return digester.digest()


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    # A file that became a link since it was looked at is not followed, and one that became a pipe
    # is not waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IntegrityError(
                f"{path} was a file, and became something else while it was looked at.",
                remedy="Run the command again when nothing writes to the folder.",
            )
        yield file


def _check_unchanged(entry: Entry, path: Path, file: FileIO) -> None:
    status = os.fstat(file.fileno())
    if (status.st_size, status.st_mtime_ns) != (entry.size_bytes, entry.modified_ns):
        raise changed(path)


def changed(path: Path | str) -> IntegrityError:
    """Return the error for a file that is not what was listed."""
    return IntegrityError(
        f"{path} changed while it was read, so nothing was published.",
        remedy="Push again when nothing writes to the folder; what was sent is not sent again.",
    )
