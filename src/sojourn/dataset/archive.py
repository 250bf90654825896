"""The tar archive that a shard is, cut into frames: entries in order, and tables as columns.

    entries → read and parsed side by side → bytes of files, or rows in open segments → frames

A frame holds whole entries, up to its size; a larger file begins a frame and fills as many as it
needs; a segment is a frame of its own, so that it can be fetched alone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from sojourn.columns import SegmentWriter
from sojourn.dataset.counting import counter_of
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
    segment_name,
)
from sojourn.dataset.packing import RawFrame
from sojourn.dataset.preparing import FARTHEST_AHEAD, NearbyLayouts, Prepared, prepare
from sojourn.dataset.shards import BLOCK_BYTES, END_OF_ARCHIVE, tar_header
from sojourn.dataset.tables import parser_of
from sojourn.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    from sojourn.columns import Layout, Parsed, Placement
    from sojourn.dataset.large_tables import LargeTable
    from sojourn.dataset.source import Source
    from sojourn.dataset.tables import Shape

# Tables of more layouts than this, in turn, would make many small segments or fill the memory.
_MOST_OPEN_SEGMENTS = 4
# A segment of less text costs more, with its record in the manifest, than its columns save.
_SMALLEST_SEGMENT_BYTES = 32 * KIB
_SEGMENT_MODE = 0o644


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
        self._ahead = min(ahead, FARTHEST_AHEAD)
        self._advance = advance
        self._bytes = _Frames(frame_bytes)
        self._open: dict[Layout, _OpenSegment] = {}
        self._segments: dict[int, Segment] = {}
        self._segments_begun = 0
        # None for a table whose segment is not written yet.
        self._members: list[Member | None] = []

    @property
    def members(self) -> tuple[Member, ...]:
        """What the shard holds, in the order of its entries."""
        return tuple(member for member in self._members if member is not None)

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
        left = enumerate(entries)
        nearby = NearbyLayouts()
        waiting: deque[Future[Prepared]] = deque()
        try:
            while True:
                for index, entry in islice(left, self._ahead - len(waiting)):
                    waiting.append(self._prepare(entry, nearby.before(index)))
                if not waiting:
                    return
                prepared = waiting.popleft().result()
                nearby.note(prepared)
                yield prepared
        finally:
            for future in waiting:
                future.cancel()

    def _prepare(self, entry: Entry, known: Sequence[Layout]) -> Future[Prepared]:
        return self._pool.submit(
            prepare, entry, self._source, as_tables=self._as_tables, known=known
        )

    def _add_small(self, prepared: Prepared) -> Iterator[RawFrame]:
        self._members.append(None)
        yield from self._write_file(prepared, slot=len(self._members) - 1)
        entry = prepared.entry
        self._advance(entry.size_bytes, entry.kind == "file")

    def _write_file(self, prepared: Prepared, *, slot: int) -> Iterator[RawFrame]:
        entry = prepared.entry
        header = tar_header(entry)
        yield from self._bytes.begin_entry(len(header) + entry.size_bytes)
        yield from self._bytes.append(header)
        offset = self._bytes.position
        yield from self._bytes.append(prepared.data or b"")
        yield from self._bytes.append(_padding(entry.size_bytes))
        self._members[slot] = self._member(entry, offset, prepared.digest, prepared.shape)

    def _add_large(self, entry: Entry) -> Iterator[RawFrame]:
        parser = parser_of(entry.path) if self._as_tables else None
        if parser is not None:
            found = read_large_table(
                entry,
                self._source,
                parser=parser,
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
        counter = counter_of(entry.path)
        for data in self._source.chunks(entry):
            content.update(data)
            if counter:
                counter.update(data)
            self._advance(len(data), 0)
            yield from self._bytes.append(data)
        yield from self._bytes.append(_padding(entry.size_bytes))
        shape = counter.finish() if counter else None
        digest = DIGEST_PREFIX + content.hexdigest()
        self._members.append(self._member(entry, offset, digest, shape))
        self._advance(0, 1)

    def _member(self, entry: Entry, offset: int, digest: str | None, shape: Shape | None) -> Member:
        is_file = entry.kind == "file"
        return Member(
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

    def _add_table(self, prepared: Prepared, parsed: Parsed) -> Iterator[RawFrame]:
        layout = parsed.layout
        segment = self._open.get(layout)
        placement = segment.writer.add(parsed) if segment else None
        if segment is None or placement is None:
            if segment is not None:
                yield from self._close(layout)
            elif len(self._open) >= _MOST_OPEN_SEGMENTS:
                yield from self._close(next(iter(self._open)))
            segment = self._open[layout] = _OpenSegment(layout)
            placement = segment.writer.add(parsed)
            if placement is None:
                raise AssertionError("an empty segment takes any table")
        segment.take(prepared, placement, slot=len(self._members))
        self._members.append(None)
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
        self._members.append(self._table_member(entry, found.digest, found.shape, table))
        self._advance(0, 1)

    def _table_member(
        self, entry: Entry, digest: str | None, shape: Shape | None, table: Table
    ) -> Member:
        return Member(
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

    def _close(self, layout: Layout) -> Iterator[RawFrame]:
        """Write a segment, or its tables' text where there is too little of it."""
        segment = self._open.pop(layout)
        if segment.text_bytes < _SMALLEST_SEGMENT_BYTES:
            for taken in segment.taken:
                yield from self._write_file(taken.prepared, slot=taken.slot)
            return
        index = self._segments_begun
        self._segments_begun += 1
        yield from self._write(index, segment.writer.dump(), layout)
        for taken in segment.taken:
            entry = taken.prepared.entry
            part = Part(segment=index, placement=taken.placement, text_bytes=entry.size_bytes)
            table = Table(parts=(part,), ends_with_newline=taken.ends_with_newline)
            self._members[taken.slot] = self._table_member(
                entry, taken.prepared.digest, taken.prepared.shape, table
            )

    def _write(self, index: int, data: bytes, layout: Layout) -> Iterator[RawFrame]:
        """Write a segment's file, named after its contents so that shards can be unpacked alike."""
        digest = digest_of(data)
        header = tar_header(
            Entry(
                path=f"{SEGMENTS_FOLDER}/{segment_name(digest)}",
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


@dataclass(frozen=True, slots=True)
class _Taken:
    """A table that is in a segment, and which of the members it is."""

    prepared: Prepared
    placement: Placement
    slot: int
    ends_with_newline: bool


class _OpenSegment:
    """A segment that takes more tables."""

    def __init__(self, layout: Layout) -> None:
        self.writer = SegmentWriter(layout)
        self.taken: list[_Taken] = []
        self.text_bytes = 0

    def take(self, prepared: Prepared, placement: Placement, *, slot: int) -> None:
        """Note that the segment holds a table; its text is kept while it may yet be needed."""
        ends_with_newline = prepared.parsed is not None and prepared.parsed.ends_with_newline
        self.text_bytes += prepared.entry.size_bytes
        self.taken.append(
            _Taken(replace(prepared, parsed=None), placement, slot, ends_with_newline)
        )
        if self.text_bytes >= _SMALLEST_SEGMENT_BYTES:
            self.taken = [
                replace(taken, prepared=replace(taken.prepared, data=None))
                if taken.prepared.data
                else taken
                for taken in self.taken
            ]


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
