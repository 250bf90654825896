"""Where a page is written: whole or not at all, and refused before anything takes long."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from sojourn.errors import UsageError
from sojourn.localpath import check_reachable

if TYPE_CHECKING:
    from pathlib import Path


def check_page(path: Path) -> None:
    """Raise if no page can be written there, as far as that can be told beforehand.

    Raises:
        UsageError: its folder is not there, or may not be written to.
    """
    folder = check_reachable(path).parent
    if not folder.is_dir():
        raise _refusal(path, "its folder is not there")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise _refusal(path, "it may not be written to")


def write_page(path: Path, page: str) -> None:
    """Write a page; one that was there stays until the new one is whole.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        if _is_replaced(path):
            _replace(path.resolve(), page)
        else:
            path.write_text(page, "utf-8")
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error


def _is_replaced(path: Path) -> bool:
    """Whether a new file may take the place of the old: not of a pipe or a device."""
    is_file = stat.S_ISREG(path.stat().st_mode) if path.exists() else True
    return is_file and os.access(path.resolve().parent, os.W_OK)


def _replace(path: Path, page: str) -> None:
    beside = path.with_name(f".{path.name[:64]}.{secrets.token_hex(4)}")
    try:
        beside.write_text(page, "utf-8")
        with suppress(FileNotFoundError):
            beside.chmod(stat.S_IMODE(path.stat().st_mode))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The page could not be written to {path}: {why}.",
        remedy="Give --html a file in a folder that exists, may be written to and has room.",
    )
