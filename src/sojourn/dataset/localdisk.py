"""This machine's folders: an error of the file system becomes one paragraph."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError, SojournError, StoreError, UsageError
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Room for what a file system needs beside the bytes of the files.
_BYTES_PER_FILE = 4096


@contextmanager
def local_disk(doing: str) -> Iterator[None]:
    """Turn an `OSError` into a `UsageError` that says what was being done.

    Args:
        doing: "write to /content/data".
    """
    try:
        yield
    except SojournError:
        # Some are OSErrors too; they already say what happened.
        raise
    except OSError as error:
        place = f" ({os.fsdecode(error.filename)!r})" if error.filename else ""
        raise UsageError(
            f"Could not {doing}: {error.strerror or error}{place}.",
            remedy="Check its permissions and free space, or name another folder.",
        ) from error


def check_can_be_made(folder: Path) -> None:
    """Check that a folder that a store is to be kept in, and what is in it, can be made.

    Raises:
        StoreError: a file is above it, or this user may not write there.
    """
    standing = folder
    while not standing.exists():
        standing = standing.parent
    if not standing.is_dir():
        raise StoreError(
            f"{standing} is a file, so there can be no store {folder}.",
            remedy="Name a folder, or a path that does not exist yet.",
        )
    if not os.access(standing, os.W_OK | os.X_OK):
        raise AccessDeniedError(
            f"There can be no store {folder}: this user may not write to {standing}.",
            remedy="Give this user the right to it, or name another folder.",
        )


def check_space(folder: Path, *, needed_bytes: int, files: int) -> None:
    """Check that so much can be written below a folder, which need not exist yet.

    Raises:
        UsageError: there is less free space.
    """
    standing = folder
    while not standing.exists():
        standing = standing.parent
    free_bytes = shutil.disk_usage(standing).free
    needed_bytes += files * _BYTES_PER_FILE
    if needed_bytes > free_bytes:
        raise UsageError(
            f"{format_bytes(needed_bytes)} are needed in {folder}, "
            f"and {format_bytes(free_bytes)} are free.",
            remedy="Free some space, name another folder, or take less with --include GLOB.",
        )
