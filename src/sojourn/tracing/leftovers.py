"""Folders to trace in, gone when a plan ends, however it ends; those of killed ones go at the next.

A folder that is in use holds a locked file. One without it is nobody's to judge.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "sojourn-trace-"
_LOCK = "lock"


@contextmanager
def trace_folder() -> Iterator[Path]:
    """Make a folder in the machine's temporary one, and remove it in the end."""
    temporary = Path(tempfile.gettempdir())
    for left in temporary.glob(f"{_PREFIX}*"):
        if _is_abandoned(left):
            _remove(left)
    # The name is there before the folder is, so that no interrupt comes between it and its end.
    folder = temporary / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700)
        with (folder / _LOCK).open("wb") as lock:
            # Where files cannot be locked (some network folders), nothing is judged abandoned.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        _remove(folder)


def _is_abandoned(left: Path) -> bool:
    with suppress(OSError):
        if left.is_symlink() or left.lstat().st_uid != os.geteuid():
            return False
        descriptor = os.open(left / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        return True
    # Just being made by another plan, in use, or not ours.
    return False


def _remove(folder: Path) -> None:
    """Remove a folder, with what the script closed to itself in it."""
    for here, folders, _ in os.walk(folder):
        for path in (Path(here, name) for name in folders):
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
