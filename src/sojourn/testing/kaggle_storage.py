"""The files behind the Kaggle server of the tests, in a folder, and archives made of them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from itertools import count
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_COPY_BYTES = 1 << 20


class Storage:
    """Files by number. Not to be used from several threads at once.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._digests: dict[Path, str] = {}
        self._given_out: dict[str, Path] = {}

    def new_path(self) -> Path:
        """Return where a new file goes."""
        return self._folder / f"{next(self._numbers)}"

    def keep(self, content: IO[bytes]) -> Path:
        """Write what is read into a new file, and close it."""
        path = self.new_path()
        with path.open("wb") as file, content:
            shutil.copyfileobj(content, file, _COPY_BYTES)
        return path

    def archive(self, files: Mapping[str, Path]) -> Path:
        """Return a new zip archive of files by name."""
        path = self.new_path()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, file in files.items():
                archive.write(file, name)
        return path

    def md5_of(self, path: Path) -> str:
        """Return a file's MD5, in base64."""
        if path not in self._digests:
            digest = hashlib.md5(usedforsecurity=False)
            with path.open("rb") as file:
                while data := file.read(_COPY_BYTES):
                    digest.update(data)
            self._digests[path] = base64.b64encode(digest.digest()).decode()
        return self._digests[path]

    def give_out(self, path: Path) -> str:
        """Let a file be downloaded; return the number that it is asked for by."""
        self._given_out[path.name] = path
        return path.name

    def find(self, number: str) -> Path | None:
        """Return the file that may be downloaded under a number."""
        return self._given_out.get(number)

    def forget_all(self) -> None:
        """Remove all files."""
        self._digests.clear()
        self._given_out.clear()
        for path in self._folder.iterdir():
            path.unlink()
