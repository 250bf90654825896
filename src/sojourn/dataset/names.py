"""Names that one file system keeps apart and another does not: `Data.csv` and `data.csv`."""

from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_names(paths: Iterable[str], folder: Path) -> None:
    """Check that a folder's file system keeps all these names apart.

    Raises:
        UsageError: it would put two of them into one place; they are named.
    """
    clash = find_clash(paths)
    if clash is not None and folds_names(folder):
        raise UsageError(
            f"{clash[0]!r} and {clash[1]!r} would be one file in {folder}, whose disk takes "
            "such names for one.",
            remedy="Pull into a folder on another disk, or take one of them with --include.",
        )


def composed(path: str) -> str:
    """Return a path with each letter in one piece, as all but macOS write it.

    Source: https://unicode.org/reports/tr15/ (form C)
    """
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def find_clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two paths that differ only in case or in how letters are composed; None if none do."""
    seen: dict[str, str] = {}
    for path in paths:
        folded = composed(path).casefold()
        other = seen.setdefault(folded, path)
        if other != path:
            return other, path
    return None


def folds_names(folder: Path) -> bool:
    """Tell whether a folder's file system takes `a` and `A` for one name, by trying."""
    standing = folder
    while not standing.exists():
        standing = standing.parent
    with tempfile.TemporaryDirectory(prefix=".sojourn-pull-", dir=standing) as scratch:
        Path(scratch, "a").touch()
        return Path(scratch, "A").exists()
