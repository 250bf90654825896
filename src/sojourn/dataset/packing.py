"""Compress a shard's frames, side by side and in order, into a file with no name."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from sojourn.dataset.manifest import DIGEST_PREFIX, Frame, Shard, shard_key
from sojourn.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor, Future

_LEVEL = 3
# Plain `zstd` decodes windows of up to 2^27 bytes unasked; ours is a frame's size.
_WINDOW_LOG = 23
# Tables of 4 MiB each instead of the level's 0.5 and 0.25: what repeats far back is found still.
# Sliding windows of two recordings, 32 MiB: 30 and 32 times smaller, where long-distance matching
# makes them 21 and 22 times smaller and takes twice to five times as long. Segments of random walks
# are 3 % larger without, in a third of the time.
_TABLE_LOG = 20
# For bytes that are compressed already (jpg, zip, parquet): as quick as copying.
_CHEAP_LEVEL = -5
_WIDE = {"window_log": _WINDOW_LOG, "hash_log": _TABLE_LOG, "chain_log": _TABLE_LOG}
_SAMPLES = 8
_SAMPLE_BYTES = 16 * KIB
# Below this the reader's time is worth more than the bytes.
_WORTHWHILE_RATIO = 1.06


@dataclass(frozen=True, slots=True)
class RawFrame:
    """What is compressed together.

    Attributes:
        data: The bytes.
        is_segment: They are a segment's: numbers, in which what repeats far back stands once.
    """

    data: bytearray
    is_segment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedShard:
    """A shard's record, and its bytes in an open file."""

    shard: Shard
    file: BinaryIO


def pack(frames: Iterable[RawFrame], file: BinaryIO, *, pool: Executor, ahead: int) -> PackedShard:
    """Compress frames in a pool and write them in order.

    Args:
        frames: The shard's tar archive. Taken no faster than it is compressed.
        file: Where the shard is written.
        pool: Compresses.
        ahead: How many frames may be in memory at once.
    """
    digest = hashlib.sha256()
    written: list[Frame] = []
    waiting: deque[tuple[int, Future[bytes]]] = deque()

    def write_next() -> None:
        raw_bytes, future = waiting.popleft()
        data = future.result()
        digest.update(data)
        file.write(data)
        written.append(Frame(size_bytes=len(data), raw_bytes=raw_bytes))

    for frame in frames:
        waiting.append((len(frame.data), pool.submit(compress_frame, frame)))
        if len(waiting) >= ahead:
            write_next()
    while waiting:
        write_next()
    name = DIGEST_PREFIX + digest.hexdigest()
    shard = Shard(
        key=shard_key(name),
        size_bytes=sum(frame.size_bytes for frame in written),
        digest=name,
        frames=tuple(written),
    )
    return PackedShard(shard=shard, file=file)


def compress_frame(frame: RawFrame) -> bytes:
    """Return a zstd frame that holds the bytes, their number and a checksum."""
    raw = frame.data
    worthwhile = _is_worthwhile(raw)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL if worthwhile else _CHEAP_LEVEL,
        source_size=len(raw),
        **(_WIDE if worthwhile and not frame.is_segment else {}),
        write_checksum=True,
        write_content_size=True,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(raw)


def _is_worthwhile(raw: bytearray) -> bool:
    """Tell from samples whether compressing pays."""
    if len(raw) <= _SAMPLES * _SAMPLE_BYTES:
        return True
    step_bytes = len(raw) // _SAMPLES
    sample = b"".join(
        bytes(raw[at : at + _SAMPLE_BYTES]) for at in range(0, step_bytes * _SAMPLES, step_bytes)
    )
    compressed = zstandard.ZstdCompressor(level=1).compress(sample)
    return len(sample) >= _WORTHWHILE_RATIO * len(compressed)
