"""Decide what a pull has to do to a folder, before anything is touched."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.listing import STAGING_PREFIX
from sojourn.dataset.localdisk import local_disk
from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sojourn.dataset.known_files import KnownFiles
    from sojourn.dataset.manifest import Member

_HASHERS = 4
_PERMISSIONS = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What makes a folder hold a selection of members.

    Attributes:
        fetch: Files to fetch.
        kept: Files that are there already, byte for byte.
        links: Links to make.
        folders: Folders that must be there, each after the one that it is in.
        in_the_way: Files and links that are where a folder must be.
        empty_in_the_way: Empty folders that are where a file or link must be.
    """

    fetch: tuple[Member, ...]
    kept: tuple[Member, ...]
    links: tuple[Member, ...]
    folders: tuple[Member, ...]
    in_the_way: tuple[Path, ...]
    empty_in_the_way: tuple[Path, ...]


def choose_changes(folder: Path, members: tuple[Member, ...], known: KnownFiles) -> Changes:
    """Compare a folder with members; every member's folder must be one of them.

    Files that are known to be as they were are not read.

    Raises:
        UsageError: a folder with something in it is where a file or link must be.
    """
    with local_disk(f"read {folder}"):
        modes = {member.path: _mode(folder / member.path) for member in members}
        folders = [member for member in members if member.kind == "folder"]
        # Below a file or link that will become a folder, nothing that is there counts.
        replaced: set[str] = set()
        for member in folders:
            mode = modes[member.path]
            if _parent(member.path) in replaced or (mode is not None and not stat.S_ISDIR(mode)):
                replaced.add(member.path)
        others = [member for member in members if member.kind != "folder"]
        standing = [m for m in others if _parent(m.path) not in replaced]
        kept = _kept(folder, [m for m in standing if m.kind == "file"], modes, known)
        empty = tuple(
            _checked_empty(folder / m.path) for m in standing if stat.S_ISDIR(modes[m.path] or 0)
        )
        return Changes(
            fetch=tuple(m for m in others if m.kind == "file" and m.path not in kept),
            kept=tuple(m for m in others if m.path in kept),
            links=tuple(m for m in others if m.kind == "link"),
            folders=tuple(folders),
            in_the_way=tuple(
                folder / path for path in sorted(replaced) if _parent(path) not in replaced
            ),
            empty_in_the_way=empty,
        )


def count_others(folder: Path, members: tuple[Member, ...]) -> int:
    """Return how many files and links a folder holds that the set does not.

    What cannot be listed is not counted: this is told, and nothing depends on it.
    """
    paths = {member.path for member in members}
    return sum(1 for path in _files_below(folder) if path not in paths)


def _files_below(folder: Path) -> Iterator[str]:
    ahead = [""] if folder.is_dir() else []
    while ahead:
        below = ahead.pop()
        with suppress(OSError), os.scandir(folder / below) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    if below or not item.name.startswith(STAGING_PREFIX):
                        ahead.append(f"{below}{item.name}/")
                else:
                    yield f"{below}{item.name}"


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _checked_empty(path: Path) -> Path:
    if any(path.iterdir()):
        raise UsageError(
            f"{path} is a folder with something in it, and the data set has a file of that name.",
            remedy="Move it away, or pull into another folder.",
        )
    return path


def _kept(
    folder: Path, files: list[Member], modes: dict[str, int | None], known: KnownFiles
) -> set[str]:
    same_size = [
        m
        for m in files
        if stat.S_ISREG(modes[m.path] or 0) and (folder / m.path).stat().st_size == m.size_bytes
    ]
    with ThreadPoolExecutor(_HASHERS, "compare") as pool:
        digests = pool.map(known.digest, (m.path for m in same_size))
        return {m.path for m, found in zip(same_size, digests, strict=True) if found == m.digest}
