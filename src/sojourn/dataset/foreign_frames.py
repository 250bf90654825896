"""Frames of a data set that Sojourn did not make: fetched by ranges, unpacked, checked.

No member is unpacked to more bytes than the zip's directory says, and its CRC-32 is checked
wherever it is unpacked whole.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sojourn.dataset.foreign import ForeignManifest, PlainExtent, ZipExtent
from sojourn.dataset.frames import FrameSource
from sojourn.dataset.zip_directory import HEADER_BYTES, HEADER_MAGIC, unusable
from sojourn.errors import IntegrityError
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from sojourn.dataset.foreign import Extent, ZipEntry
    from sojourn.dataset.frames import FrameId, Frames, Layout
    from sojourn.dataset.manifest import Manifest
    from sojourn.stores.base import Store

_RANGE_BYTES = 8 * MIB
# Ranges of one large member that are under way while it is unpacked.
_AHEAD = 4
_INFLATED_AT_ONCE_BYTES = 1 * MIB
_RAW_DEFLATE = -zlib.MAX_WBITS
# Where the lengths of name and extra field stand in a member's own header.
_LENGTHS_AT = 26


def frames_of(store: Store, manifest: Manifest, layout: Layout) -> Frames:
    """Return what fetches the frames of a data set, whoever made it."""
    if isinstance(manifest, ForeignManifest):
        return ForeignFrames(store, manifest)
    return FrameSource(store, manifest, layout)


class ForeignFrames:
    """Frames of one such data set. May be used from several threads at once."""

    def __init__(self, store: Store, manifest: ForeignManifest) -> None:
        self._store = store
        self._manifest = manifest
        self._lock = threading.Lock()
        self._data_at: dict[tuple[int, int], int] = {}

    def fetch(self, frame_id: FrameId) -> bytes:
        """Return a decoded frame."""
        if self.is_streamed(frame_id):
            return b"".join(self.stream(frame_id))
        return self.decode(frame_id, self.fetch_packed(frame_id))

    def fetch_packed(self, frame_id: FrameId) -> bytes:
        """Return a frame as it is in the store.

        Raises:
            IntegrityError: the object is not as long as it was listed.
        """
        extent, key = self._extent(frame_id), self._key(frame_id)
        offset, size_bytes = extent.offset, extent.size_bytes
        asked_bytes = size_bytes
        if isinstance(extent, PlainExtent):
            if extent.header_at is not None:
                offset += self._find_data(frame_id.shard, extent.header_at)
            # One byte more tells whether the object has grown, at no request more.
            asked_bytes += extent.ends_object
        data = self._store.get_range(key, offset=offset, size_bytes=asked_bytes)
        if len(data) != size_bytes:
            raise self._damaged(key, "it is not as long as it was when it was listed")
        return data

    def decode(self, frame_id: FrameId, data: bytes) -> bytes:
        """Return what a frame holds.

        Raises:
            IntegrityError: a member is not what the zip says.
        """
        extent = self._extent(frame_id)
        if isinstance(extent, PlainExtent):
            return data
        view = memoryview(data)
        parts: list[bytes] = []
        for entry in extent.entries:
            start = entry.header_at - extent.offset
            begin = start + self._header_bytes(frame_id, entry, view[start:])
            unpacking = _Unpacking(entry, self._where(frame_id))
            parts += unpacking.take(view[begin : begin + entry.packed_bytes])
            unpacking.finish()
        return b"".join(parts)

    def is_streamed(self, frame_id: FrameId) -> bool:
        """Tell whether a frame is too large to be decoded in memory where it need not be."""
        extent = self._extent(frame_id)
        return isinstance(extent, ZipExtent) and extent.is_streamed

    def stream(self, frame_id: FrameId) -> Iterator[bytes]:
        """Yield what a frame holds, a MiB at a time, while more of it is fetched.

        Raises:
            IntegrityError: a member is not what the zip says.
        """
        extent = self._extent(frame_id)
        if isinstance(extent, PlainExtent) or not extent.is_streamed:
            yield self.fetch(frame_id)
            return
        entry = extent.entries[0]
        unpacking = _Unpacking(entry, self._where(frame_id))
        left_bytes = entry.packed_bytes
        begin: int | None = None
        for data in self._ranges(frame_id, extent):
            view = memoryview(data)
            if begin is None:
                begin = self._header_bytes(frame_id, entry, view)
                view = view[begin:]
            yield from unpacking.take(view[:left_bytes])
            left_bytes -= min(left_bytes, len(view))
        unpacking.finish()

    def _ranges(self, frame_id: FrameId, extent: ZipExtent) -> Iterator[bytes]:
        key, end = self._key(frame_id), extent.offset + extent.size_bytes
        ahead = iter(range(extent.offset, end, _RANGE_BYTES))
        waiting: deque[Future[bytes]] = deque()

        def ask() -> None:
            offset = next(ahead, None)
            if offset is not None:
                size_bytes = min(_RANGE_BYTES, end - offset)
                waiting.append(pool.submit(self._range, key, offset, size_bytes))

        with ThreadPoolExecutor(_AHEAD, "stream") as pool:
            try:
                for _ in range(_AHEAD):
                    ask()
                while waiting:
                    data = waiting.popleft().result()
                    ask()
                    yield data
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _range(self, key: str, offset: int, size_bytes: int) -> bytes:
        data = self._store.get_range(key, offset=offset, size_bytes=size_bytes)
        if len(data) != size_bytes:
            raise self._damaged(key, "it is not as long as it was when it was listed")
        return data

    def _find_data(self, shard: int, header_at: int) -> int:
        """Return where the bytes of a zip's member begin; asked once for each."""
        with self._lock:
            found = self._data_at.get((shard, header_at))
        if found is None:
            key = self._manifest.shards[shard].key
            head = self._store.get_range(key, offset=header_at, size_bytes=HEADER_BYTES)
            found = header_at + _header_bytes(head, f"{self._store.url}/{key}")
            with self._lock:
                self._data_at[shard, header_at] = found
        return found

    def _header_bytes(self, frame_id: FrameId, entry: ZipEntry, data: memoryview) -> int:
        """Return how long a member's own header is, and check that it is this member's."""
        where = self._where(frame_id)
        length = _header_bytes(bytes(data[:HEADER_BYTES]), where)
        name = bytes(data[HEADER_BYTES : HEADER_BYTES + len(entry.raw_name)])
        if name != entry.raw_name or length + entry.packed_bytes > entry.room_bytes:
            raise unusable(where, f"its directory does not match where {entry.name!r} lies")
        return length

    def _extent(self, frame_id: FrameId) -> Extent:
        return self._manifest.extents[frame_id.shard][frame_id.frame]

    def _key(self, frame_id: FrameId) -> str:
        return self._manifest.shards[frame_id.shard].key

    def _where(self, frame_id: FrameId) -> str:
        return f"{self._store.url}/{self._key(frame_id)}"

    def _damaged(self, key: str, why: str) -> IntegrityError:
        return IntegrityError(
            f"The object {key} in {self._store.url} cannot be used: {why}.",
            remedy=self._manifest.repair(self._store.url),
        )


def _header_bytes(head: bytes, where: str) -> int:
    if len(head) < HEADER_BYTES or not head.startswith(HEADER_MAGIC):
        raise unusable(where, "a member is not where its directory says")
    name_bytes = int.from_bytes(head[_LENGTHS_AT : _LENGTHS_AT + 2], "little")
    return HEADER_BYTES + name_bytes + int.from_bytes(head[_LENGTHS_AT + 2 :], "little")


class _Unpacking:
    """Unpacks one member, and no more bytes of it than it has."""

    def __init__(self, entry: ZipEntry, where: str) -> None:
        self._entry = entry
        self._where = where
        self._inflater = zlib.decompressobj(_RAW_DEFLATE) if entry.is_deflated else None
        self._crc32 = 0
        self._size_bytes = 0

    def take(self, data: memoryview) -> Iterator[bytes]:
        """Yield what packed bytes become.

        Raises:
            IntegrityError: they are damaged, or become too many.
        """
        if self._inflater is None:
            yield self._followed(bytes(data))
            return
        rest: bytes | memoryview = data
        while not self._inflater.eof:
            try:
                content = self._inflater.decompress(rest, _INFLATED_AT_ONCE_BYTES)
            except zlib.error as error:
                raise self._wrong("cannot be unpacked") from error
            rest = self._inflater.unconsumed_tail
            yield self._followed(content)
            # All is taken in before all has come out, where what comes out is limited.
            if not rest and len(content) < _INFLATED_AT_ONCE_BYTES:
                return

    def finish(self) -> None:
        """Check that all has come.

        Raises:
            IntegrityError: it has not, or is not what it was.
        """
        is_whole = self._inflater is None or self._inflater.eof or self._entry.size_bytes == 0
        if not is_whole or self._size_bytes != self._entry.size_bytes:
            raise self._wrong("ends too early")
        if self._crc32 != self._entry.crc32:
            raise self._wrong("does not match its CRC-32")

    def _followed(self, content: bytes) -> bytes:
        self._size_bytes += len(content)
        if self._size_bytes > self._entry.size_bytes:
            raise self._wrong("unpacks to more than it claims to be")
        self._crc32 = zlib.crc32(content, self._crc32)
        return content

    def _wrong(self, why: str) -> IntegrityError:
        return unusable(self._where, f"{self._entry.name!r} {why}")
