"""From the text that a person gives for a place on this machine to a path that can be looked at."""

from __future__ import annotations

import os
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
