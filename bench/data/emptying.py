"""A place where nothing is, for each step anew."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sets import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator

EMPTIED = CACHE / "emptied"


@contextmanager
def from_nothing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to work in; what it held goes to EMPTIED afterwards.

    Files are emptied and not deleted. For a minute after a deletion, or five where the table of
    inodes is not on the disk yet, ext4 takes no inode that was freed, and goes through all of these
    for each new file (`recently_deleted` in fs/ext4/ialloc.c): making 20,000 files takes seconds
    more for whoever comes after somebody that made as many. A new runtime's disk has none.
    """
    _put_aside(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        _put_aside(folder)


def _put_aside(folder: Path) -> None:
    if not folder.exists():
        return
    for parent, _, names in os.walk(folder, followlinks=False):
        for path in (Path(parent) / name for name in names):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)
    EMPTIED.mkdir(exist_ok=True)
    folder.rename(EMPTIED / f"{len(list(EMPTIED.iterdir()))}")
