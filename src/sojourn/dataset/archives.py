"""Archives that are files of a data set: what is in them is read without unpacking them.

A name with `!` in it leads into an archive: `papers.zip!2024/a.csv`, and `a.zip!b.tar!c.csv` into
one inside of another. A file of the data set that has such a name itself goes first.
"""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import threading
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from sojourn.dataset.damage import naming
from sojourn.dataset.formats import parse_table
from sojourn.dataset.globs import near, select
from sojourn.dataset.opening import check_mode
from sojourn.errors import NoSuchFileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sojourn.dataset.formats import Library

INSIDE = "!"
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_ENDINGS = (".zip", *_TAR_ENDINGS)

# Their own ways to say that a file is damaged, or none of theirs.
_REFUSALS = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError)
_HELD = 4


class _Contents(Protocol):
    """What an archive of either kind can do."""

    def sizes(self) -> dict[str, int]: ...

    def read(self, name: str) -> bytes: ...


class Archive:
    """The files in an archive, read only. `Dataset.load("a.zip")` returns one.

    A zip is read by pieces: its directory, then the files that are asked for. A tar is gone through
    once for the names; one that is compressed as a whole, again for each file that lies before the
    last one that was read. May be used from several threads at once.
    """

    def __init__(self, name: str, contents: _Contents) -> None:
        self.name = name
        self._contents = contents
        self._lock = threading.Lock()  # one file object serves all
        with naming(name, *_REFUSALS):
            self._sizes = contents.sizes()
        self._inner = ArchiveShelf(self.open)

    def files(self, glob: str = "**") -> list[str]:
        """Return the names of the files that a glob names, in order; none if it names none."""
        try:
            return select(sorted(self._sizes), (glob,))
        except UsageError:
            return []

    def size_bytes(self, name: str) -> int:
        """Return a file's size.

        Raises:
            NoSuchFileError: there is no such file.
        """
        self._check(name)
        return self._sizes[name]

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            UsageError: there is no such file, it is damaged, or it needs a password.
        """
        found = self._inner.find(name, self._sizes)
        if found:
            return found[0].read_bytes(found[1])
        self._check(name)
        with self._lock, naming(f"{self.name}{INSIDE}{name}", *_REFUSALS):
            return self._contents.read(name)

    def open(self, name: str, mode: str = "rb") -> BinaryIO:
        """Return a file to read bytes from; it is unpacked into memory.

        Raises:
            UsageError: there is no such file, it is damaged, or the mode is another.
        """
        check_mode(mode)
        if mode != "rb":
            raise UsageError(
                f"Files in an archive are opened to read bytes, and mode={mode!r} is another.",
                remedy="Wrap the file: `io.TextIOWrapper(archive.open(name))`.",
            )
        return io.BytesIO(self.read_bytes(name))

    def read(self, name: str, as_: Library = "pandas", **arguments: Any) -> Any:
        """Return a file as a table, as `Dataset.read` does."""
        data = self.read_bytes(name)
        return parse_table(f"{self.name}{INSIDE}{name}", data, library=as_, arguments=arguments)

    def load(self, name: str, **arguments: Any) -> Any:
        """Return a file as what its ending says that it is, as `Dataset.load` does."""
        from sojourn.dataset.readers import load_file

        return load_file(self, name, arguments)

    def __contains__(self, name: object) -> bool:
        return name in self._sizes

    def __iter__(self) -> Iterator[str]:
        return iter(self.files())

    def __len__(self) -> int:
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"<Archive {self.name}: {len(self)} files>"

    def _check(self, name: str) -> None:
        if name not in self._sizes:
            raise NoSuchFileError(
                f"There is no file {name!r} in {self.name!r}.",
                remedy=near(name, self.files(), listing=f"`load({self.name!r}).files()`"),
            )


class ArchiveShelf:
    """The archives of one place that were used last, so that their directories are read once.

    Args:
        open_file: Opens a file of that place.
    """

    def __init__(self, open_file: Callable[[str], BinaryIO]) -> None:
        self._open_file = open_file
        self._archives: dict[str, Archive] = {}
        self._process = os.getpid()

    def find(self, name: str, files: dict[str, Any]) -> tuple[Archive, str] | None:
        """Return the archive that a name leads into, and the name in it; None if into none.

        Args:
            name: What is asked for.
            files: What there is in this place, by name.
        """
        if name in files or INSIDE not in name:
            return None
        for at, letter in enumerate(name):
            if letter == INSIDE and name[:at] in files and is_archive(name[:at]):
                return self.get(name[:at]), name[at + 1 :]
        return None

    def get(self, name: str) -> Archive:
        """Return an archive.

        Raises:
            UsageError: it is none, or damaged.
        """
        if self._process != os.getpid():  # forked: another thread may have held their locks
            self._archives, self._process = {}, os.getpid()
        archive = self._archives.pop(name, None) or open_archive(name, self._open_file(name))
        self._archives[name] = archive  # the newest is last
        for oldest in list(self._archives)[:-_HELD]:
            self._archives.pop(oldest, None)
        return archive


def is_archive(name: str) -> bool:
    """Tell whether a name is that of an archive."""
    return name.lower().endswith(ARCHIVE_ENDINGS)


def open_archive(name: str, file: BinaryIO, **arguments: Any) -> Archive:
    """Return the archive in a file.

    Args:
        name: What it is called; its ending says what kind it is.
        file: Its bytes, seekable.
        **arguments: For `zipfile.ZipFile` (`metadata_encoding="cp949"`, for names from Korean
            Windows) or `tarfile.open`.

    Raises:
        UsageError: it is no such archive, or damaged.
    """
    kind = _Tar if name.lower().endswith(_TAR_ENDINGS) else _Zip
    with naming(name, *_REFUSALS):
        return Archive(name, kind(file, arguments))


class _Zip:
    def __init__(self, file: BinaryIO, arguments: dict[str, Any]) -> None:
        self._archive = zipfile.ZipFile(file, **arguments)

    def sizes(self) -> dict[str, int]:
        return {i.filename: i.file_size for i in self._archive.infolist() if not i.is_dir()}

    def read(self, name: str) -> bytes:
        return self._archive.read(name)


class _Tar:
    def __init__(self, file: BinaryIO, arguments: dict[str, Any]) -> None:
        self._archive = tarfile.open(fileobj=file, **({"mode": "r:*"} | arguments))  # noqa: SIM115

    def sizes(self) -> dict[str, int]:
        self._members = {m.name: m for m in self._archive.getmembers() if m.isfile()}
        return {name: member.size for name, member in self._members.items()}

    def read(self, name: str) -> bytes:
        member = self._members[name]
        file = self._archive.extractfile(member)
        data = file.read() if file else b""
        if len(data) != member.size:
            raise EOFError("it ends too early")
        return data
