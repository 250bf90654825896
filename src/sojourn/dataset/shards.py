"""Where shards begin and end, and the headers of the tar archive that each one is.

A boundary depends on the path that it follows and the sizes near it alone, so a file that is added
or changed moves no boundary far away: all other shards stay what they were.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.dataset.listing import Entry

BLOCK_BYTES = tarfile.BLOCKSIZE
END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)
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
    frame_bytes: int = 8 * MIB


def split_into_shards(entries: Iterable[Entry], sizes: Sizes) -> Iterator[tuple[Entry, ...]]:
    """Yield the entries of one shard after another, in order. A file is never split."""
    shard: list[Entry] = []
    raw_bytes = 0
    for entry in entries:
        entry_bytes = BLOCK_BYTES + entry.size_bytes
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


def tar_header(entry: Entry) -> bytes:
    """Return an entry's header: the same bytes for the same entry, on every machine."""
    info = tarfile.TarInfo(entry.path)
    info.type = _TAR_TYPES[entry.kind]
    info.mode = entry.mode
    info.size = entry.size_bytes
    info.linkname = entry.target or ""
    return info.tobuf(format=tarfile.PAX_FORMAT, encoding="utf-8", errors="strict")
