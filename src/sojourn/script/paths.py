"""Where a script's paths are on this machine: `/content/data` may be the folder beside the script.

A rule says that what the script opens under REMOTE is found under LOCAL. Which functions obey is in
`patches`; what keeps tracing from changing anybody's files is in `overlay`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import UsageError
from sojourn.script.overlay import Overlay
from sojourn.script.patches import install_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def default_rules(script_folder: Path) -> list[tuple[str, Path]]:
    """Return where Colab's and Kaggle's folders are: beside the script.

    On Colab the working folder is `/content` and Drive is mounted below it; on Kaggle inputs lie
    in `/kaggle/input/NAME`, which may be `input/NAME` or `NAME` beside the script.
    """
    return [
        ("/content/drive/MyDrive", script_folder),
        ("/content/drive/My Drive", script_folder),
        ("/content/drive", script_folder),
        ("/content", script_folder),
        ("/kaggle/working", script_folder),
        ("/kaggle/input", script_folder / "input"),
        ("/kaggle/input", script_folder),
        ("/kaggle", script_folder),
    ]


def parse_path_rule(text: str) -> tuple[str, Path]:
    """Read `REMOTE=LOCAL`.

    Raises:
        UsageError: it has no `=`, REMOTE is not absolute, or LOCAL does not exist.
    """
    remote, separator, local = text.partition("=")
    if not separator or not remote.startswith("/") or not local:
        raise UsageError(
            f"{text!r} is not a path rule.",
            remedy="Write --path REMOTE=LOCAL, such as --path /content/data=./data; "
            "REMOTE is absolute.",
        )
    if os.path.normpath(remote).strip("/") == "":
        raise UsageError(
            f"--path {text} would move all of this machine, Python itself included.",
            remedy="Name the folder that the script opens: --path /content/data=./data.",
        )
    folder = Path(local).expanduser()
    if not folder.exists():
        raise UsageError(
            f"--path {text}: there is no {local!r} on this machine.",
            remedy="Give the folder in which the script's data lie here.",
        )
    return os.path.normpath(remote), folder.resolve()


def parse_path_rules(paths: Mapping[str, str | Path]) -> list[tuple[str, Path]]:
    """Read rules that are given as REMOTE: LOCAL. Raises as `parse_path_rule`."""
    return [parse_path_rule(f"{remote}={local}") for remote, local in paths.items()]


class PathMap:
    """Finds for each path of the script where it is read and written here.

    Args:
        rules: (REMOTE, LOCAL). The longest REMOTE wins, then the earlier rule; where its LOCAL
            has no such file, the next one that matches is tried, and at last the path itself.
            No LOCAL outside `writable` is free.
        writable: If given, nothing outside this folder is ever changed, see `overlay`.
        free: Folders that are left alone besides; by default the temporary folder.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, Path]],
        writable: Path | None,
        *,
        free: Sequence[Path] | None = None,
    ) -> None:
        named = [(os.path.normpath(remote), os.path.abspath(local)) for remote, local in rules]
        self._rules = sorted(named, key=lambda rule: -len(rule[0]))
        folders = [Path(local) for _, local in named]
        self.overlay = None if writable is None else Overlay(writable, free, guarded=folders)

    def install(self) -> Callable[[], None]:
        """Make this process's file functions obey; return what undoes it."""
        return install_patches(self)

    def find_local(self, path: str) -> str:
        """Return the path on this machine, whether or not it exists."""
        candidates = self._candidates(path)
        if candidates == [path]:
            return path
        for candidate in [*candidates, path]:
            if os.path.lexists(self._shown(candidate)):
                return candidate
        return candidates[0]

    def reading(self, path: str) -> str:
        """Return where `path` is to be read from."""
        return self._shown(self.find_local(path))

    def writing(self, path: str, *, keep: bool = False) -> str:
        """Return where `path` may be written; see `Overlay.writing`."""
        local = self.find_local(path)
        return local if self.overlay is None else self.overlay.writing(local, keep=keep)

    def names(self, path: str) -> list[str]:
        """List a folder as the script sees it."""
        local = self.find_local(path)
        return os.listdir(local) if self.overlay is None else self.overlay.names(local)

    def is_changed(self, path: str) -> bool:
        """Whether a folder looks otherwise to the script than the system would list it."""
        local = self.find_local(path)
        return local != path or (self.overlay is not None and self.overlay.is_changed(local))

    def _shown(self, local: str) -> str:
        return local if self.overlay is None else self.overlay.reading(local)

    def _candidates(self, path: str) -> list[str]:
        if not path.startswith("/"):
            return [path]
        path = os.path.normpath(path)
        found = []
        for remote, local in self._rules:
            rest = _below(path, remote)
            if rest is None:
                continue
            if len(local) >= len(remote) and _below(path, local) is not None:
                continue  # it is a path of this machine already
            found.append(os.path.join(local, rest) if rest else local)
        return found or [path]


def _below(path: str, folder: str) -> str | None:
    if path == folder:
        return ""
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
