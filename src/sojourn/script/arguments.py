"""A path as a caller of Python's file functions gives it, and the call with another instead."""

from __future__ import annotations

import os
from typing import Any

from sojourn.script.folders import folder_of_descriptor


def path_text(path: Any) -> str | None:
    """Return the path as text; None for a descriptor, and for what the original will refuse."""
    if isinstance(path, int):
        return None
    try:
        text = os.fsdecode(path)
    except TypeError:
        return None
    return None if not text or "\0" in text else text


def in_the_form_of(path: Any, where: str) -> str | bytes:
    """Return `where` as bytes if `path` is bytes, else as text."""
    return os.fsencode(where) if isinstance(os.fspath(path), bytes) else where


def absolute(path: str, dir_fd: int | None) -> str:
    """Put the path of the open folder, if there is one, before a path relative to it."""
    return path if dir_fd is None else os.path.join(folder_of_descriptor(dir_fd), path)


def call_with(original: Any, given: Any, where: str, *args: Any, **kwargs: Any) -> Any:
    """Call with the path on this machine, and let an error name the path that the script gave."""
    path = in_the_form_of(given, where)
    try:
        return original(path, *args, **kwargs)
    except OSError as error:
        if error.filename == path:
            error.filename = given
        raise
