"""A folder's listing that was put together by name, in the form in which `os.scandir` gives one."""

# ruff: noqa: D102

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_F_GETPATH = 50  # macOS's <sys/fcntl.h>; fcntl names it from Python 3.9 on there only
_PATH_MAX = 1024


class Entry:
    """What `os.DirEntry` offers, for a path as the script names it."""

    def __init__(self, folder: Any, name: Any) -> None:
        self.name = name
        self.path = os.path.join(folder, name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<Entry {self.name!r}>"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isdir(self.path) and (follow_symlinks or not self.is_symlink())

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isfile(self.path) and (follow_symlinks or not self.is_symlink())

    def is_symlink(self) -> bool:
        return os.path.islink(self.path)

    def is_junction(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path, follow_symlinks=follow_symlinks)

    def inode(self) -> int:
        return os.lstat(self.path).st_ino


class Listing:
    """An iterator over entries that can be entered and closed like `os.scandir`'s."""

    def __init__(self, folder: Any, names: Sequence[Any]) -> None:
        self._entries = iter([Entry(folder, name) for name in names])

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def folder_of_descriptor(descriptor: int) -> str:
    """Return the path of an open folder."""
    if sys.platform == "darwin":
        import fcntl

        raw: bytes = fcntl.fcntl(descriptor, _F_GETPATH, bytes(_PATH_MAX))
        return os.fsdecode(raw.partition(b"\0")[0])
    return os.readlink(f"/proc/self/fd/{descriptor}")
