"""What the job has written: files of its folder that are new or changed, brought to another."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOT_RESULTS = {"__pycache__", ".ipynb_checkpoints"}
# Letters, of up to four bytes each, of a file's name that the name of its part keeps.
_LONGEST_STEM = 48


@dataclass(frozen=True, slots=True)
class Mark:
    """How a file looked: enough to see that it was written since."""

    size_bytes: int
    modified_ns: int
    inode: int


def mark_files(folder: Path) -> dict[Path, Mark]:
    """Note how each file below `folder` looks, by its path relative to that."""
    return dict(_marks(folder))


def collect_results(work: Path, before: Mapping[Path, Mark], out: Path) -> list[Path]:
    """Copy to `out` what is new or changed since `before`; return the relative paths.

    A file is complete under its name or is not there. Files of `out` with the same name are
    replaced.
    """
    changed = sorted(name for name, mark in _marks(work) if before.get(name) != mark)
    for name in changed:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:_LONGEST_STEM]}.part")
        try:
            shutil.copyfile(work / name, part)
            shutil.copystat(work / name, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return changed


def _marks(folder: Path) -> Iterator[tuple[Path, Mark]]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_RESULTS]
        for file in files:
            path = Path(here, file)
            if path.is_file():
                found = path.stat()
                mark = Mark(found.st_size, found.st_mtime_ns, path.lstat().st_ino)
                yield path.relative_to(folder), mark
