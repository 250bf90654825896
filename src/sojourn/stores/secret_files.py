"""Files that hold one person's secret: read only if nobody else can, written whole and private."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError, UsageError
from sojourn.localpath import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

# Tokens are a few hundred bytes, and a kaggle.json is one line; whatever is larger is none.
_LARGEST_BYTES = 64 << 10
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PRIVATE_FOLDER = 0o700


def home_of(environment: Mapping[str, str]) -> Path:
    """Return the home folder that an environment names, or that of this process's user."""
    home = environment.get("HOME")
    # Path.home() raises where the user has none, and this is asked while an error is told.
    return Path(home or os.path.expanduser("~"))  # noqa: PTH111


def find_secret_text(path: Path) -> str | None:
    """Return what a secret's file holds, without what surrounds it; None if nothing is there.

    Raises:
        AccessDeniedError: others may read or write the file, or it cannot be read as text.
    """
    text = _find_text(path)
    if text is None:
        return None
    check_private(path)
    return text


def peek_secret_text(path: Path) -> str | None:
    """Return what a secret's file holds, whoever may read it; None if it cannot be read.

    For those who must know what not to show.
    """
    try:
        return _find_text(path)
    except AccessDeniedError:
        return None


def check_private(path: Path) -> None:
    """Check that nobody but its owner may read or write a file.

    Raises:
        AccessDeniedError: others may; it says how to change that.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise AccessDeniedError(
            f"{path} holds a secret, and other users may open it (its mode is {mode:04o}), "
            "so it is not used.",
            remedy=f"Run `chmod 600 {_quoted(path)}`.",
        )


def write_secret(path: Path, text: str, *, replace: bool) -> None:
    """Write a secret to a file of mode 0600: whole or not at all.

    Args:
        path: Where to. Folders above it are made, for their owner alone.
        text: The secret; a line end is added.
        replace: Whether a file that is there is replaced.

    Raises:
        UsageError: one is there and is not to be replaced, or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        # mkstemp makes it with mode 0600.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        beside = Path(name)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(f"{text}\n")
                file.flush()
                os.fsync(file.fileno())
            _give_name(beside, path, replace=replace)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path} could not be written: {error.strerror or error}.",
            remedy="Check the permissions of its folder, and that the disk has room.",
        ) from error


def _give_name(beside: Path, path: Path, *, replace: bool) -> None:
    if replace:
        beside.replace(path)
        return
    try:
        # Unlike a rename, a link does not take the place of what came meanwhile.
        os.link(beside, path)
    except FileExistsError:
        raise already_there(path) from None
    except OSError:
        # Some file systems (mounted Drive) have no links.
        if path.exists():
            raise already_there(path) from None
        beside.replace(path)


def already_there(path: Path) -> UsageError:
    """Return the error for a secret that is kept."""
    return UsageError(
        f"{path} holds a credential already, and it was kept.",
        remedy="Give --replace (`replace=True`) to put the new one in its place.",
    )


def _find_text(path: Path) -> str | None:
    try:
        data = read_file(path, last_bytes=_LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AccessDeniedError(
            f"{path} cannot be read: {error.strerror}.",
            remedy=f"Make it a file that only you may read: `chmod 600 {_quoted(path)}`.",
        ) from error
    if len(data) > _LARGEST_BYTES:
        raise AccessDeniedError(
            f"{path} holds no credential: it is larger than {_LARGEST_BYTES >> 10} KiB.",
            remedy="Download the credential again, or run `sojourn login`.",
        )
    try:
        # Editors on Windows put a byte order mark before the text.
        return data.decode("utf-8-sig").strip() or None
    except UnicodeDecodeError:
        raise AccessDeniedError(
            f"{path} holds no credential: it is not text in UTF-8.",
            remedy="Download the credential again, or run `sojourn login`.",
        ) from None


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
