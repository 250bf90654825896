"""The tar archive that a shard is, cut into frames: entries in order, and tables as columns.

    entries → read and parsed side by side → bytes of files, or rows in open segments → frames

A frame holds whole entries, up to its size; a larger file begins a frame and fills as many as it
needs; a segment is a frame of its own, so that it can be fetched alone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from sojourn.columns import SegmentWriter
from sojourn.dataset.large_tables import read_large_table
from sojourn.dataset.listing import Entry
from sojourn.dataset.manifest import (
    DIGEST_PREFIX,
    SEGMENTS_FOLDER,
    Member,
    Part,
    Segment,
    Table,
    digest_of,
)
from sojourn.dataset.packing import RawFrame
from sojourn.dataset.preparing import Prepared, prepare
from sojourn.dataset.shards import BLOCK_BYTES, END_OF_ARCHIVE, tar_header
from sojourn.dataset.tables import TableCounter, delimiter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from sojourn.columns import Layout, Parsed
    from sojourn.dataset.large_tables import LargeTable
    from sojourn.dataset.source import Source
    from sojourn.dataset.tables import Shape

# Tables of more layouts than this, in turn, would make many small segments or fill the memory.
_MOST_OPEN_SEGMENTS = 4
_SEGMENT_MODE = 0o644
_NAME_DIGITS = 16


class ShardArchive:
    """One shard's archive. Go through `frames`; then `members` and `segments` are whole.

    Args:
        source: Where the files are.
        shard: The shard's index, for the members.
        frame_bytes: How much is compressed together.
        as_tables: Keep tables as columns where that is exact.
        pool: Reads and parses.
        ahead: How many files may be in memory at once.
        advance: Takes how many bytes of files were dealt with, and how many files.
    """

    def __init__(
        self,
        source: Source,
        *,
        shard: int,
        frame_bytes: int,
        as_tables: bool,
        pool: Executor,
        ahead: int,
        advance: Callable[[int, int], None],
    ) -> None:
        self._source = source
        self._shard = shard
        self._as_tables = as_tables
        self._pool = pool
        self._ahead = ahead
        self._advance = advance
        self._bytes = _Frames(frame_bytes)
        self._open: dict[Layout, _OpenSegment] = {}
        self._segments: dict[int, Segment] = {}
        self._segments_begun = 0
        self.members: list[Member] = []

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, by the numbers that members' parts name."""
        return tuple(self._segments[index] for index in range(self._segments_begun))

    def frames(self, entries: Iterable[Entry]) -> Iterator[RawFrame]:
        """Yield the archive of these entries.

        Raises:
            IntegrityError: a file changed while it was read, or since it was listed.
        """
        for prepared in self._prepared(entries):
            entry = prepared.entry
            if prepared.parsed is not None:
                yield from self._add_table(prepared, prepared.parsed)
            elif entry.kind == "file" and prepared.data is None:
                yield from self._add_large(entry)
            else:
                yield from self._add_small(prepared)
        for layout in tuple(self._open):
            yield from self._close(layout)
        yield from self._bytes.append(END_OF_ARCHIVE)
        yield from self._bytes.end_frame()

    def _prepared(self, entries: Iterable[Entry]) -> Iterator[Prepared]:
        """Yield entries with their contents, a few being read meanwhile."""
        left = iter(entries)
        waiting: deque[Future[Prepared]] = deque()
        try:
            while True:
                for entry in islice(left, self._ahead - len(waiting)):
                    waiting.append(
                        self._pool.submit(prepare, entry, self._source, as_tables=self._as_tables)
                    )
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _add_small(self, prepared: Prepared) -> Iterator[RawFrame]:
        entry, data = prepared.entry, prepared.data or b""
        header = tar_header(entry)
        yield from self._bytes.begin_entry(len(header) + entry.size_bytes)
        yield from self._bytes.append(header)
        offset = self._bytes.position
        yield from self._bytes.append(data)
        yield from self._bytes.append(_padding(entry.size_bytes))
        self._add_member(prepared.entry, offset, prepared.digest, prepared.shape)
        self._advance(len(data), entry.kind == "file")

    def _add_large(self, entry: Entry) -> Iterator[RawFrame]:
        delimiter = delimiter_of(entry.path) if self._as_tables else None
        if delimiter is not None:
            found = read_large_table(
                entry,
                self._source,
                delimiter=delimiter,
                pool=self._pool,
                ahead=self._ahead,
                advance=lambda size_bytes: self._advance(size_bytes, 0),
            )
            if found is not None:
                with found:
                    yield from self._add_large_table(entry, found)
                return
        yield from self._add_large_bytes(entry)

    def _add_large_bytes(self, entry: Entry) -> Iterator[RawFrame]:
        header = tar_header(entry)
        yield from self._bytes.begin_entry(len(header) + entry.size_bytes)
        yield from self._bytes.append(header)
        offset = self._bytes.position
        content = hashlib.sha256()
        delimiter = delimiter_of(entry.path)
        counter = TableCounter(delimiter) if delimiter else None
        for data in self._source.chunks(entry):
            content.update(data)
            if counter:
                counter.update(data)
            self._advance(len(data), 0)
            yield from self._bytes.append(data)
        yield from self._bytes.append(_padding(entry.size_bytes))
        shape = counter.finish() if counter else None
        self._add_member(entry, offset, DIGEST_PREFIX + content.hexdigest(), shape)
        self._advance(0, 1)

    def _add_member(
        self, entry: Entry, offset: int, digest: str | None, shape: Shape | None
    ) -> None:
        is_file = entry.kind == "file"
        self.members.append(
            Member(
                path=entry.path,
                kind=entry.kind,
                mode=entry.mode,
                shard=self._shard,
                size_bytes=entry.size_bytes,
                offset=offset if is_file else 0,
                digest=digest if is_file else None,
                target=entry.target,
                rows=shape.rows if shape else None,
                columns=shape.columns if shape else None,
            )
        )

    def _add_table(self, prepared: Prepared, parsed: Parsed) -> Iterator[RawFrame]:
        layout = parsed.layout
        segment = self._open.get(layout)
        placement = segment.writer.add(parsed) if segment else None
        if segment is None or placement is None:
            if segment is not None:
                yield from self._close(layout)
            elif len(self._open) >= _MOST_OPEN_SEGMENTS:
                yield from self._close(next(iter(self._open)))
            segment = self._begin(layout)
            placement = segment.writer.add(parsed)
            if placement is None:
                raise AssertionError("an empty segment takes any table")
        part = Part(
            segment=segment.index, placement=placement, text_bytes=prepared.entry.size_bytes
        )
        table = Table(parts=(part,), ends_with_newline=parsed.ends_with_newline)
        self._add_table_member(prepared.entry, prepared.digest, prepared.shape, table)
        self._advance(prepared.entry.size_bytes, 1)

    def _add_large_table(self, entry: Entry, found: LargeTable) -> Iterator[RawFrame]:
        first = self._segments_begun
        for data in found.segments():
            self._segments_begun += 1
            yield from self._write(self._segments_begun - 1, data, found.layout)
        parts = tuple(
            Part(segment=first + p.segment, placement=p.placement, text_bytes=p.text_bytes)
            for p in found.parts
        )
        table = Table(parts=parts, ends_with_newline=found.ends_with_newline)
        self._add_table_member(entry, found.digest, found.shape, table)
        self._advance(0, 1)

    def _add_table_member(
        self, entry: Entry, digest: str | None, shape: Shape | None, table: Table
    ) -> None:
        self.members.append(
            Member(
                path=entry.path,
                kind=entry.kind,
                mode=entry.mode,
                shard=self._shard,
                size_bytes=entry.size_bytes,
                digest=digest,
                rows=shape.rows if shape else None,
                columns=shape.columns if shape else None,
                table=table,
            )
        )

    def _begin(self, layout: Layout) -> _OpenSegment:
        segment = _OpenSegment(self._segments_begun, layout)
        self._segments_begun += 1
        self._open[layout] = segment
        return segment

    def _close(self, layout: Layout) -> Iterator[RawFrame]:
        segment = self._open.pop(layout)
        yield from self._write(segment.index, segment.writer.dump(), layout)

    def _write(self, index: int, data: bytes, layout: Layout) -> Iterator[RawFrame]:
        """Write a segment's file, named after its contents so that shards can be unpacked alike."""
        digest = digest_of(data)
        name = digest.removeprefix(DIGEST_PREFIX)[:_NAME_DIGITS]
        header = tar_header(
            Entry(
                path=f"{SEGMENTS_FOLDER}/{name}.arrow",
                kind="file",
                mode=_SEGMENT_MODE,
                size_bytes=len(data),
                modified_ns=0,
            )
        )
        yield from self._bytes.end_frame()
        offset = self._bytes.position + len(header)
        self._segments[index] = Segment(
            offset=offset, size_bytes=len(data), digest=digest, layout=layout
        )
        yield self._bytes.segment_frame(header + data + _padding(len(data)))


class _OpenSegment:
    """A segment that takes more tables."""

    def __init__(self, index: int, layout: Layout) -> None:
        self.index = index
        self.writer = SegmentWriter(layout)


class _Frames:
    """The archive's bytes as they come, cut into frames."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._frame = bytearray()
        self._begun_bytes = 0  # in the frames before

    @property
    def position(self) -> int:
        """Where in the archive the next byte comes to be."""
        return self._begun_bytes + len(self._frame)

    def begin_entry(self, entry_bytes: int) -> Iterator[RawFrame]:
        """End the frame if an entry of this size does not fit into it any more."""
        if self._frame and len(self._frame) + entry_bytes > self._frame_bytes:
            yield from self.end_frame()

    def append(self, data: bytes) -> Iterator[RawFrame]:
        """Take bytes; yield the frames that they fill."""
        self._frame += data
        while len(self._frame) >= self._frame_bytes + BLOCK_BYTES:
            full, self._frame = self._frame[: self._frame_bytes], self._frame[self._frame_bytes :]
            self._begun_bytes += len(full)
            yield RawFrame(full)

    def end_frame(self) -> Iterator[RawFrame]:
        """Yield what there is of a frame."""
        if self._frame:
            full, self._frame = self._frame, bytearray()
            self._begun_bytes += len(full)
            yield RawFrame(full)

    def segment_frame(self, data: bytes) -> RawFrame:
        """Return a segment as a frame of its own; the one before must be ended."""
        self._begun_bytes += len(data)
        return RawFrame(bytearray(data), is_segment=True)


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % BLOCK_BYTES)
