"""What a folder on this machine holds, as it stands: no contents are read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.dataset.excluding import Exclusion
from sojourn.dataset.links import leads_outside
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.manifest import path_order
from sojourn.errors import UsageError
from sojourn.localpath import check_reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.dataset.manifest import Kind

STAGING_PREFIX = ".sojourn-pull-"
"""What a pull names its scratch folder; one that was killed leaves it, and it is no one's data."""

_PERMISSIONS = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, folder or link on this machine; `path` is relative to the folder, with slashes."""

    path: str
    kind: Kind
    mode: int
    size_bytes: int
    modified_ns: int
    target: str | None = None


def list_folder(folder: Path, exclude: Iterable[str] = ()) -> tuple[Entry, ...]:
    """Return all that is in a folder, in the order of a manifest's members.

    Args:
        folder: The folder.
        exclude: Globs of what is left out; it is not looked at, and folders of it not into.

    Raises:
        UsageError: it is no folder, holds no file, or holds something that cannot be sent; or a
            glob names nothing.
    """
    exclusion = Exclusion(exclude)
    check_reachable(folder)
    if not folder.is_dir():
        why = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {why}.", remedy="Name a folder to send.")
    with local_disk(f"list {folder}"):
        entries = sorted(_walk(folder, exclusion), key=lambda entry: path_order(entry.path))
    exclusion.check(entries, place=str(folder))
    if all(entry.kind == "folder" for entry in entries):
        raise UsageError(f"{folder} holds no file.", remedy="Name a folder that holds data.")
    links = {entry.path: entry.target for entry in entries if entry.target is not None}
    for path, target in links.items():
        if leads_outside(path, links):
            raise UsageError(
                f"The link {folder / path} points to {target!r}, outside of {folder}.",
                remedy="Replace it by what it points to, or by a relative link inside the folder.",
            )
    return tuple(entries)


def _walk(folder: Path, exclusion: Exclusion) -> Iterator[Entry]:
    ahead = [""]
    while ahead:
        below = ahead.pop()
        with os.scandir(folder / below) as found:
            for item in found:
                if not below and item.name.startswith(STAGING_PREFIX):
                    continue
                if exclusion.names(f"{below}{item.name}"):
                    continue
                entry = _entry(folder, item, f"{below}{item.name}")
                yield entry
                if entry.kind == "folder":
                    ahead.append(f"{entry.path}/")


def _entry(folder: Path, item: os.DirEntry[str], path: str) -> Entry:
    status = item.stat(follow_symlinks=False)
    _check_name(folder, path)
    target = str(Path(item.path).readlink()) if item.is_symlink() else None
    if target is not None:
        _check_name(folder, target)
    kind = _kind(status.st_mode)
    if kind is None:
        raise UsageError(
            f"{folder / path} is a pipe, socket or device, which cannot be sent.",
            remedy="Move it out of the folder.",
        )
    return Entry(
        path=path,
        kind=kind,
        # What bits a link has differs between systems and means nothing.
        mode=_PERMISSIONS if kind == "link" else status.st_mode & _PERMISSIONS,
        size_bytes=status.st_size if kind == "file" else 0,
        modified_ns=status.st_mtime_ns,
        target=target,
    )


def _kind(mode: int) -> Kind | None:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else None


def _check_name(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"In {folder}, the name {os.fsencode(name)!r} is not in UTF-8.",
            remedy="Rename it, for example with `convmv -f latin1 -t utf8`.",
        ) from error
