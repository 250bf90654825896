"""Copy on write: what is opened for writing outside one folder goes to a shadow below that folder.

    asked for            /home/me/data/x.csv          (outside the writable folder)
    written, created     <writable>/.shadow/home/me/data/x.csv
    read                 the shadow if there is one, else the file itself
    removed              remembered as gone; the file itself stays

Paths below the writable folder are used as they are, save that a link out of it is replaced by a
copy before anything is written through it. This works out where; `patches` does what was asked.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHADOW = ".shadow"
_SYSTEM_FOLDERS = ("/dev", "/proc", "/sys")
# No device is there: people keep files in it, as it is quick.
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - guarded, not used


class Overlay:
    """Knows for each path where it is read and where it may be written. Safe from any thread.

    Args:
        writable: The folder that may be changed; the shadows lie below it.
        free: Folders that are left alone besides, read and written as they are. Left out: the
            system's temporary folder.
        guarded: Folders that are not free even if they lie in one that is.
    """

    def __init__(
        self, writable: Path, free: Sequence[Path] | None = None, *, guarded: Sequence[Path] = ()
    ) -> None:
        folders = (Path(tempfile.gettempdir()),) if free is None else free
        self._writable = os.path.realpath(writable)
        self._shadows = os.path.join(self._writable, SHADOW)
        self._free = [*(os.path.realpath(folder) for folder in folders), *_SYSTEM_FOLDERS]
        self._guarded = [os.path.realpath(f) for f in (*guarded, Path(_SHARED_MEMORY))]
        self._real_folders: dict[str, str] = {}
        self._gone: set[str] = set()
        self._lock = threading.RLock()

    def reading(self, path: str) -> str:
        """Return where `path` is to be read from."""
        # Thousands of Python's own modules are read before anything is written.
        if not self._gone and not os.path.lexists(self._shadows):
            return path
        real = self._canonical(path)
        if self.is_own(real):
            return path
        shadow = self._shadow(real)
        if self._is_gone(real):
            return shadow
        # A shadow folder holds only what was written; `names` lists both together.
        if not os.path.lexists(shadow) or (os.path.isdir(shadow) and os.path.isdir(real)):
            return path
        return shadow

    def writing(self, path: str, *, keep: bool) -> str:
        """Return where `path` may be written; its folder exists then.

        Args:
            path: What the script wants to write.
            keep: Whether what the file holds now is needed (append, update).
        """
        self._forget_folders()
        real = self._canonical(path)
        is_gone = self._is_gone(real)
        if self._is_free(real) or (os.path.isdir(real) and not is_gone):
            return path  # opening a folder fails, as it should
        with self._lock:
            target = real if self._is_inside(real) else self._shadow(real)
            # Whether the folder exists on the rented machine is not known here, so it does.
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if keep and not is_gone and not os.path.lexists(target) and os.path.exists(real):
                _copy(real, target)
            self._break_link(target, keep=keep)
        return target

    def changing_attributes(self, path: str) -> str | None:
        """Return the file whose mode or times may be changed; None if that must not be done."""
        where = self.reading(path)
        os.stat(where)  # a missing file is missing still
        return where if self.may_change(os.path.realpath(where)) else None

    def may_change(self, real: str) -> bool:
        """Whether mode and times of a canonical path may be changed; the system's may not."""
        if self._is_inside(real):
            return True
        is_system = any(_is_below(real, folder) for folder in _SYSTEM_FOLDERS)
        return not is_system and self._is_free(real)

    def removing(self, path: str) -> str | None:
        """Note that `path` goes; return what is really to be removed, None if nothing is.

        Raises:
            FileNotFoundError: there is no such file.
        """
        self._forget_folders()
        real = self._canonical(path)
        if self.is_own(real):
            return path
        os.lstat(self.reading(path))
        self._hide(real)
        shadow = self._shadow(real)
        return shadow if os.path.lexists(shadow) else None

    def moving(self, source: str, target: str) -> tuple[str, str] | None:
        """Prepare a rename; return what is really to be renamed, None if it is done already."""
        where = self.reading(source)
        os.lstat(where)
        to = self.writing(target, keep=False)
        if not self.is_own(self._canonical(to)):
            raise IsADirectoryError(f"{target!r} is a folder that must stay as it is")
        self._hide(self._canonical(source))
        if self.is_own(self._canonical(where)):
            return where, to
        _imitate(where, to)
        return None

    def names(self, path: str) -> list[str]:
        """List a folder as the script sees it: what is there, what was added, less what is gone."""
        real = os.path.realpath(path)
        shadow = self._shadow(real)
        if self.is_own(real) or not os.path.isdir(shadow if self._is_gone(real) else real):
            return os.listdir(self.reading(path))
        there = [] if self._is_gone(real) else os.listdir(real)
        kept = [name for name in there if os.path.join(real, name) not in self._gone]
        added = set(os.listdir(shadow)) if os.path.isdir(shadow) else set()
        return kept + sorted(added.difference(kept))

    def is_changed(self, path: str) -> bool:
        """Whether a folder may look otherwise than the system lists it."""
        real = os.path.realpath(path)
        return not self.is_own(real) and (bool(self._gone) or os.path.isdir(self._shadow(real)))

    def is_own(self, real: str) -> bool:
        """Whether a canonical path may be changed as it is."""
        return self._is_inside(real) or self._is_free(real)

    def _canonical(self, path: str) -> str:
        """Resolve the folder that holds `path`, but not `path` itself: it may be a link."""
        folder, name = os.path.split(os.path.abspath(path))
        real = self._real_folders.get(folder)
        if real is None:
            real = self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(real, name)

    def _forget_folders(self) -> None:
        # What is written, moved or removed may be a link that led to a folder.
        self._real_folders = {}

    def _hide(self, real: str) -> None:
        if not self.is_own(real) and os.path.lexists(real):
            with self._lock:
                self._gone.add(real)

    def _shadow(self, real: str) -> str:
        return os.path.join(self._writable, SHADOW, real.lstrip("/"))

    def _is_inside(self, real: str) -> bool:
        return _is_below(real, self._writable)

    def _is_free(self, real: str) -> bool:
        # The writable folder usually lies in the temporary folder; links in it must still break.
        if self._is_inside(real) or any(_is_below(real, folder) for folder in self._guarded):
            return False
        return any(_is_below(real, folder) for folder in self._free)

    def _is_gone(self, real: str) -> bool:
        if not self._gone:
            return False
        return real in self._gone or any(str(up) in self._gone for up in Path(real).parents)

    def _break_link(self, path: str, *, keep: bool) -> None:
        """Replace a link out of the writable folder, so that nothing is written through it."""
        origin = os.path.realpath(path)
        if not os.path.islink(path) or self._is_inside(origin) or os.path.isdir(origin):
            return
        os.unlink(path)
        if keep and os.path.exists(origin):
            _copy(origin, path)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    # The copy is there to be written, even where the original is read-only.
    os.chmod(target, os.stat(source).st_mode | 0o200)


def _imitate(source: str, target: str) -> None:
    """Make `target` look like `source`: folders made, files linked."""
    if os.path.lexists(target) and not os.path.isdir(target):
        os.unlink(target)
    if not os.path.isdir(source):
        os.symlink(os.path.realpath(source), target)
        return
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        _imitate(os.path.join(source, name), os.path.join(target, name))
