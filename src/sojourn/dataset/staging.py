"""A scratch folder beside the files that a pull writes, gone when it ends, however it ends.

Files come to be in it and are renamed into place when they are whole and verified. One that a
killed process left is removed by the next pull into the same folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.dataset.listing import STAGING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a scratch folder in a folder, and remove it in the end."""
    _remove_abandoned(folder)
    staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
    try:
        # Held while this process lives: tells other pulls that the folder is not abandoned.
        with (staging / _LOCK).open("wb") as lock:
            # Where files cannot be locked (some network folders), nothing is judged abandoned.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(f"{STAGING_PREFIX}*"):
        if not left.is_symlink() and left.is_dir() and _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)


def _is_abandoned(left: Path) -> bool:
    try:
        descriptor = os.open(left / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        # Just being made by another pull, or not ours to judge.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
