"""Digests of a folder's files as they stood, so that an unchanged file need not be read again.

A file counts as unchanged while its size, its inode and the instants of its last change, as the
file system keeps them, are what they were. A record is a cache: it may be lost or damaged at any
time, and then files are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from sojourn.localpath import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.dataset.manifest import Member

_SCHEMA = "sojourn.known_files/1"
# A file that changes twice within one tick of the file system's clock looks unchanged; so what
# changed this shortly before it was noted is read again. Ticks are 1 to 10 ms on Linux; some file
# systems keep whole seconds, FAT two of them.
_TICK_NS = 100_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000
_NAME_DIGITS = 32
_STAMP_LENGTH = 4


class KnownFiles:
    """What is known of one folder's files.

    Args:
        folder: The folder.
        record: Where what is known is kept.
    """

    def __init__(self, folder: Path, record: Path) -> None:
        self._folder = folder
        self._record = record
        self._known = _load(record)

    @classmethod
    def of(cls, folder: Path) -> KnownFiles:
        """Return what is known of a folder, from this user's cache."""
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:_NAME_DIGITS]
        cache = Path(platformdirs.user_cache_dir("sojourn", appauthor=False))
        return cls(folder, cache / "folders" / f"{name}.json")

    def find_digest(self, path: str, status: os.stat_result) -> str | None:
        """Return a file's digest if it is known and the file stands as it stood; else None.

        Args:
            path: Relative to the folder.
            status: What the file system says of it now.
        """
        known = self._known.get(path)
        return str(known[-1]) if known is not None and known[:-1] == _stamp(status) else None

    def note(self, members: Iterable[Member]) -> None:
        """Note that the folder's files are these, and keep it; a failure to keep it is none.

        Files that changed just now are left out: a change to come could not be told from the last.
        """
        now_ns, before = time.time_ns(), dict(self._known)
        for member in members:
            if member.digest is None:
                continue
            with suppress(OSError):
                stamp = _stamp((self._folder / member.path).lstat())
                if _is_settled(stamp, now_ns):
                    self._known[member.path] = [*stamp, member.digest]
                else:
                    self._known.pop(member.path, None)
        if self._known != before:
            # A record may have named what cannot be written: half a pair of UTF-16, say.
            with suppress(OSError, UnicodeEncodeError):
                _save(self._record, self._known)


def wait_until_settled() -> None:
    """Wait until what was written just now can be noted, on most file systems."""
    time.sleep(_TICK_NS / 1e9)


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _is_settled(stamp: list[int], now_ns: int) -> bool:
    changed_ns = stamp[2:]
    is_coarse = all(instant % _SECOND_NS == 0 for instant in changed_ns)
    return max(changed_ns) < now_ns - (_COARSE_TICK_NS if is_coarse else _TICK_NS)


def _load(record: Path) -> dict[str, list[Any]]:
    try:
        # Whatever else lies there is not read: a pipe would be waited for.
        document = json.loads(read_file(record))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        return {}
    files = document.get("files")
    if not isinstance(files, dict):
        return {}
    return {path: known for path, known in files.items() if _is_record(known)}


def _is_record(known: Any) -> bool:
    if not isinstance(known, list) or len(known) != _STAMP_LENGTH + 1:
        return False
    return all(isinstance(part, int) for part in known[:-1]) and isinstance(known[-1], str)


def _save(record: Path, files: dict[str, list[Any]]) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=record.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            file.writelines(_text(files))
        Path(name).replace(record)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _text(files: dict[str, list[Any]]) -> Iterator[str]:
    """Yield a record's text in pieces: of a million files, all of it would fill the memory."""
    yield f'{{"schema": {json.dumps(_SCHEMA)}, "files": {{'
    for at, (path, known) in enumerate(files.items()):
        comma = ",\n" if at else "\n"
        yield f"{comma}{json.dumps(path, ensure_ascii=False)}: {json.dumps(known)}"
    yield "}}\n"
