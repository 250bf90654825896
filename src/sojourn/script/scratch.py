"""A copy of the script's folder that may be scribbled in: small files copied, large ones linked.

Writing through a link is prevented elsewhere, by `overlay`; this part only builds the copy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sojourn.units import MIB

COPIED_UP_TO_BYTES = 1 * MIB
# Beyond this many files, building the copy takes longer than tracing: whole folders are linked.
MAX_ENTRIES = 20_000

_SKIPPED_FOLDERS = {"venv", "node_modules", "__pycache__"}


def make_scratch_copy(
    folder: Path, into: Path, *, max_entries: int = MAX_ENTRIES
) -> tuple[Path, list[str]]:
    """Build the folder as the script will see it.

    Files of up to 1 MiB are copied, larger ones linked. Left out: hidden folders, virtual
    environments, `node_modules`, `__pycache__`. A file that cannot be read is noted, not fatal.

    Args:
        folder: The script's folder. It is only read.
        into: A folder to build the copy in; created if need be. May not lie inside `folder`'s
            copied part unless it is hidden.
        max_entries: From how many files on sub-folders are linked whole.

    Returns:
        The copy, and notes on what differs from the original.
    """
    source = folder.resolve()
    into.mkdir(parents=True, exist_ok=True)
    copier = _Copier(avoid=into.resolve(), entries_left=max_entries)
    # Breadth first, so that the files beside the script come before the depths of a data set.
    pending = [(source, into)]
    while pending:
        here, there = pending.pop(0)
        pending.extend(copier.copy_folder(here, there))
    if copier.linked_whole:
        copier.notes.append(
            f"{len(copier.linked_whole)} folders are linked whole, because {source.name} holds "
            f"more than {max_entries} files: {', '.join(copier.linked_whole[:3])}"
        )
    return into, copier.notes


class _Copier:
    def __init__(self, *, avoid: Path, entries_left: int) -> None:
        self.notes: list[str] = []
        self.linked_whole: list[str] = []
        self._avoid = avoid
        self._entries_left = entries_left

    def copy_folder(self, here: Path, there: Path) -> list[tuple[Path, Path]]:
        """Copy one level; return the sub-folders that are still to be done."""
        deeper: list[tuple[Path, Path]] = []
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            self.notes.append(f"{here.name} is left out: {error.strerror}")
            return deeper
        for entry in entries:
            self._entries_left -= 1
            source, target = Path(entry.path), there / entry.name
            if not _is_folder(entry):
                self._copy_file(source, target)
            elif _is_wanted(entry.name) and source.resolve() != self._avoid:
                # A link to a folder may lead round in a circle; it stays a link.
                if self._entries_left < 0 or entry.is_symlink():
                    target.symlink_to(source.resolve(), target_is_directory=True)
                    self.linked_whole += [] if entry.is_symlink() else [entry.name]
                else:
                    target.mkdir(exist_ok=True)
                    deeper.append((source, target))
        return deeper

    def _copy_file(self, source: Path, target: Path) -> None:
        try:
            if not source.is_file():  # a pipe, a socket, a link to nothing
                self.notes.append(f"{source.name} is left out: not a file")
            elif source.stat().st_size <= COPIED_UP_TO_BYTES:
                shutil.copyfile(source, target)
                shutil.copystat(source, target)
            else:
                target.symlink_to(source.resolve())
        except OSError as error:
            self.notes.append(f"{source.name} is left out: {error.strerror}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself is nothing that can be entered.
        return False


def _is_wanted(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED_FOLDERS
