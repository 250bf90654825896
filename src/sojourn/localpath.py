"""From the text that a person gives for a place on this machine to a path that can be looked at.

And a reader of such a path that does not wait for what is no file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import UsageError

if TYPE_CHECKING:
    from sojourn.errors import SojournError

_REMEDY = "Correct the path, or name another folder."


def local_path(text: str | Path, *, error: type[SojournError] = UsageError) -> Path:
    """Return the path that a text names; a leading ~ is a home folder.

    Args:
        text: What the person gave.
        error: What is raised: a store's path is refused with a `StoreError`.

    Raises:
        SojournError: `error`: the text is empty, cannot be a path, or names a home that nobody has.
    """
    shown = os.fspath(text)
    if not shown:
        # A shell makes this of a variable that is not set; the folder one is in is not meant.
        raise error("An empty text is no path.", remedy="Name a folder; the one here is `.`.")
    try:
        if "\0" in os.fsdecode(os.fsencode(shown)):
            raise error(f"{shown!r} holds a zero byte, so it is no path.", remedy=_REMEDY)
    except UnicodeEncodeError as why:
        raise error(f"{shown!r} cannot be encoded as a path.", remedy=_REMEDY) from why
    try:
        return Path(text).expanduser()
    except RuntimeError as why:
        raise error(
            f"{shown!r} names the home folder of a user that this machine does not know.",
            remedy="Write the path in full, or ./ and a folder's name before it.",
        ) from why


def check_reachable(path: Path, *, error: type[SojournError] = UsageError) -> Path:
    """Return the path if it can be looked at; nothing need be there.

    Raises:
        SojournError: `error`: a folder above it may not be searched, a part of it is too long, or
            links on the way go round in a circle.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as why:
        raise error(
            f"{path} cannot be looked at: {why.strerror}.",
            remedy="Check the permissions of the folders above it, or name another folder.",
        ) from why
    return path


def read_file(path: Path, *, last_bytes: int | None = None, follow_links: bool = True) -> bytes:
    """Read a file, or its last bytes, and nothing that is no file: a pipe might never answer.

    Args:
        path: What should be a file.
        last_bytes: At most so many bytes from its end; None: all.
        follow_links: Whether the path may be a link to a file.

    Raises:
        OSError: it is not there, may not be read, or is no file.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "It is not a file", os.fspath(path))
        if last_bytes is not None:
            file.seek(max(0, found.st_size - last_bytes))
        return file.read(last_bytes)
