"""Decide what a pull has to do to a folder, before anything is touched."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.digests import can_be_made
from sojourn.dataset.listing import STAGING_PREFIX
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.source import file_digest
from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sojourn.dataset.known_files import KnownFiles
    from sojourn.dataset.manifest import Member
    from sojourn.progress import Progress

_HASHERS = 4
_OTHERS_NAMED = 5
_PERMISSIONS = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What makes a folder hold a selection of members.

    Attributes:
        fetch: Files to fetch.
        overwritten: Those of them in whose place there is a file that no pull is known to have put
            there as it is: somebody changed it, or it is somebody's own.
        kept: Files that are there already, byte for byte, and were read to find that out.
        other_modes: Files that are there already, with other permissions.
        links: Links to make.
        folders: Folders that must be there, each after the one that it is in.
        in_the_way: Files and links that are where a folder must be.
        empty_in_the_way: Empty folders that are where a file or link must be.
    """

    fetch: tuple[Member, ...]
    overwritten: tuple[Member, ...]
    kept: tuple[Member, ...]
    other_modes: tuple[Member, ...]
    links: tuple[Member, ...]
    folders: tuple[Member, ...]
    in_the_way: tuple[Path, ...]
    empty_in_the_way: tuple[Path, ...]


def choose_changes(
    folder: Path, members: tuple[Member, ...], known: KnownFiles, *, progress: Progress
) -> Changes:
    """Compare a folder with members; every member's folder must be one of them.

    Files that are known to be as they were are not read.

    Args:
        folder: It need not be there.
        members: What it shall hold.
        known: What is known of its files.
        progress: Is told how many bytes of files are read to compare them.

    Raises:
        UsageError: a folder with something in it is where a file or link must be.
    """
    with local_disk(f"read {folder}"):
        found = {member.path: _find_status(folder, member.path) for member in members}
        modes = {path: status and status.st_mode for path, status in found.items()}
        folders = [member for member in members if member.kind == "folder"]
        # Below a file or link that will become a folder, nothing that is there counts.
        replaced: set[str] = set()
        for member in folders:
            mode = modes[member.path]
            if _parent(member.path) in replaced or (mode is not None and not stat.S_ISDIR(mode)):
                replaced.add(member.path)
        others = [member for member in members if member.kind != "folder"]
        standing = [m for m in others if _parent(m.path) not in replaced]
        known_kept, read_kept = _kept(
            folder, [m for m in standing if m.kind == "file"], found, known, progress
        )
        kept = known_kept | read_kept
        empty = tuple(
            _checked_empty(folder / m.path) for m in standing if stat.S_ISDIR(modes[m.path] or 0)
        )
        fetch = tuple(m for m in others if m.kind == "file" and m.path not in kept)
        return Changes(
            fetch=fetch,
            overwritten=tuple(
                m for m in fetch if _is_foreign(m.path, found[m.path], known, replaced)
            ),
            kept=tuple(m for m in others if m.path in read_kept),
            other_modes=tuple(
                m for m in others if m.path in kept and stat.S_IMODE(modes[m.path] or 0) != m.mode
            ),
            links=tuple(m for m in others if m.kind == "link"),
            folders=tuple(folders),
            in_the_way=tuple(
                folder / path for path in sorted(replaced) if _parent(path) not in replaced
            ),
            empty_in_the_way=empty,
        )


def _is_foreign(
    path: str, status: os.stat_result | None, known: KnownFiles, replaced: set[str]
) -> bool:
    if status is None or not stat.S_ISREG(status.st_mode) or _parent(path) in replaced:
        return False
    return known.find_digest(path, status) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Files and links in a folder that the set does not hold.

    Attributes:
        count: How many.
        first: The first few, by name.
    """

    count: int
    first: tuple[str, ...]


def find_others(folder: Path, members: tuple[Member, ...]) -> Others:
    """Return what files and links a folder holds that the set does not.

    What cannot be listed is not counted: this is told, and nothing depends on it.
    """
    paths = {member.path for member in members}
    count = 0
    first: list[str] = []
    for path in _files_below(folder):
        if path not in paths:
            count += 1
            if len(first) < _OTHERS_NAMED or path < first[-1]:
                first = sorted([*first, path])[:_OTHERS_NAMED]
    return Others(count=count, first=tuple(first))


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


def _find_status(folder: Path, path: str) -> os.stat_result | None:
    try:
        return os.lstat(f"{folder}/{path}")
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
    folder: Path,
    files: list[Member],
    found: dict[str, os.stat_result | None],
    known: KnownFiles,
    progress: Progress,
) -> tuple[set[str], set[str]]:
    """Return which files are what they should be: known to be, and found to be by reading them."""
    known_kept: set[str] = set()
    unknown: list[Member] = []
    for member in files:
        status = found[member.path]
        if status is None or not stat.S_ISREG(status.st_mode):
            continue
        if status.st_size != member.size_bytes:
            continue
        digest = known.find_digest(member.path, status)
        if digest is None:
            unknown.append(member)
        elif digest == member.digest:
            known_kept.add(member.path)
    read = [member for member in unknown if can_be_made(member.digest)]
    return known_kept, _found_equal(folder, read, progress) if read else set()


def _found_equal(folder: Path, files: list[Member], progress: Progress) -> set[str]:
    """Return which files have the digests that they should have; all are read."""
    total_bytes = sum(member.size_bytes for member in files)
    with (
        progress.task("compare", total=total_bytes) as task,
        ThreadPoolExecutor(_HASHERS, "compare") as pool,
    ):

        def is_equal(member: Member) -> bool:
            found = file_digest(folder / member.path, like=member.digest)
            task.advance(member.size_bytes, files=1)
            return found == member.digest

        equal = list(pool.map(is_equal, files))
    return {member.path for member, is_one in zip(files, equal, strict=True) if is_one}
