"""Where shards begin and end, and the tar archive that each one is, cut into frames.

A boundary depends on the path that it follows and the sizes near it alone, so a file that is added
or changed moves no boundary far away: all other shards stay what they were.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.manifest import DIGEST_PREFIX, Member
from sojourn.dataset.tables import TableCounter, delimiter_of
from sojourn.errors import IntegrityError
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO
    from pathlib import Path

    from sojourn.dataset.listing import Entry

_BLOCK_BYTES = tarfile.BLOCKSIZE
_END_OF_ARCHIVE = bytes(2 * _BLOCK_BYTES)
_READ_BYTES = 1 * MIB
_HASH_RANGE = 1 << 64

_TAR_TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large shards and frames are made, before compression.

    Readers go by the manifest and hold any sizes; writers that agree on these send less.
    """

    min_shard_bytes: int = 64 * MIB
    mean_shard_bytes: int = 128 * MIB
    max_shard_bytes: int = 256 * MIB
    frame_bytes: int = 32 * MIB


def split_into_shards(entries: Iterable[Entry], sizes: Sizes) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries of one shard after another, in order. A file is never split."""
    shard: list[Entry] = []
    raw_bytes = 0
    for entry in entries:
        entry_bytes = _BLOCK_BYTES + entry.size_bytes
        if shard and raw_bytes + entry_bytes > sizes.max_shard_bytes:
            yield tuple(shard)
            shard, raw_bytes = [], 0
        shard.append(entry)
        raw_bytes += entry_bytes
        if raw_bytes >= sizes.min_shard_bytes and _is_boundary(entry.path, entry_bytes, sizes):
            yield tuple(shard)
            shard, raw_bytes = [], 0
    if shard:
        yield tuple(shard)


def _is_boundary(path: str, entry_bytes: int, sizes: Sizes) -> bool:
    # A larger entry is likelier to end a shard, so that shards have one mean size whatever the
    # files' sizes are.
    drawn = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")
    beyond_min_bytes = sizes.mean_shard_bytes - sizes.min_shard_bytes
    return drawn * beyond_min_bytes < entry_bytes * _HASH_RANGE


def raw_frames(
    entries: Iterable[Entry],
    folder: Path,
    *,
    shard: int,
    frame_bytes: int,
    add: Callable[[Member], None],
    advance: Callable[[int], None],
) -> Iterator[bytearray]:
    """Yield a shard's tar archive in frames of up to `frame_bytes`: whole entries.

    A file that is larger than a frame begins one and fills as many as it needs.

    Args:
        entries: What the shard holds.
        folder: Where the files are.
        shard: The shard's index, for the members.
        frame_bytes: How much is compressed together.
        add: Takes each member when it has been read.
        advance: Takes how many bytes of files were read.

    Raises:
        IntegrityError: a file changed while it was read, or since it was listed.
    """
    frame = bytearray()
    begun_bytes = 0  # in the frames before
    for entry in entries:
        header = tar_header(entry)
        padding = bytes(-entry.size_bytes % _BLOCK_BYTES)
        if frame and len(frame) + len(header) + entry.size_bytes > frame_bytes:
            begun_bytes += len(frame)
            yield frame
            frame = bytearray()
        frame += header
        offset = begun_bytes + len(frame)
        content = _Content(entry)
        for data in _chunks(entry, folder):
            content.update(data)
            advance(len(data))
            frame += data
            while len(frame) >= frame_bytes:
                begun_bytes += frame_bytes
                yield frame[:frame_bytes]
                frame = frame[frame_bytes:]
        frame += padding
        add(content.member(shard=shard, offset=offset))
    frame += _END_OF_ARCHIVE
    yield frame


def tar_header(entry: Entry) -> bytes:
    """Return an entry's header: the same bytes for the same entry, on every machine."""
    info = tarfile.TarInfo(entry.path)
    info.type = _TAR_TYPES[entry.kind]
    info.mode = entry.mode
    info.size = entry.size_bytes
    info.linkname = entry.target or ""
    return info.tobuf(format=tarfile.PAX_FORMAT, encoding="utf-8", errors="strict")


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes.

    Raises:
        IntegrityError: the path has become a pipe or device.
    """
    with _opened(path) as file:
        return DIGEST_PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


class _Content:
    """What is learnt about an entry while its bytes pass by."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._hash = hashlib.sha256()
        delimiter = delimiter_of(entry.path) if entry.kind == "file" else None
        self._table = TableCounter(delimiter) if delimiter else None

    def update(self, data: bytes) -> None:
        self._hash.update(data)
        if self._table:
            self._table.update(data)

    def member(self, *, shard: int, offset: int) -> Member:
        is_file = self._entry.kind == "file"
        shape = self._table.finish() if self._table else None
        return Member(
            path=self._entry.path,
            kind=self._entry.kind,
            mode=self._entry.mode,
            shard=shard,
            size_bytes=self._entry.size_bytes,
            offset=offset if is_file else 0,
            digest=DIGEST_PREFIX + self._hash.hexdigest() if is_file else None,
            target=self._entry.target,
            rows=shape.rows if shape else None,
            columns=shape.columns if shape else None,
        )


def _chunks(entry: Entry, folder: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and make sure that they are the file that was listed."""
    if entry.kind != "file":
        return
    path = folder / entry.path
    with local_disk(f"read {path}"), _opened(path) as file:
        _check_unchanged(entry, path, file)
        left_bytes = entry.size_bytes
        while left_bytes and (data := file.read(min(_READ_BYTES, left_bytes))):
            left_bytes -= len(data)
            yield data
        if left_bytes or file.read(1):
            raise _changed(path)
        _check_unchanged(entry, path, file)


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    # A file that became a link since it was looked at is not followed, and one that became a pipe
    # is not waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IntegrityError(
                f"{path} was a file, and became something else while it was looked at.",
                remedy="Run the command again when nothing writes to the folder.",
            )
        yield file


def _check_unchanged(entry: Entry, path: Path, file: FileIO) -> None:
    status = os.fstat(file.fileno())
    if (status.st_size, status.st_mtime_ns) != (entry.size_bytes, entry.modified_ns):
        raise _changed(path)


def _changed(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} changed while it was read, so nothing was published.",
        remedy="Push again when nothing writes to the folder; what was sent is not sent again.",
    )
