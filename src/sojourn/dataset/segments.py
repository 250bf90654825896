"""Tables that are kept as columns: their segments, fetched and checked, and their text anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.columns import format_rows, load_segment
from sojourn.dataset.frames import damaged
from sojourn.dataset.manifest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from sojourn.columns import Layout as TableLayout
    from sojourn.columns import Segment
    from sojourn.dataset.frames import FrameId, FrameSource, Layout
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.dataset.manifest import Segment as Place
    from sojourn.errors import IntegrityError
    from sojourn.stores.base import Store

# Rows whose text is made at once: some hundred KB of text, and ten times that while it is made.
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, order=True)
class SegmentId:
    """A segment: index of its shard, and index in it."""

    shard: int
    segment: int


def segment_ids(member: Member) -> tuple[SegmentId, ...]:
    """Return the segment of each part of a table; none of a file that is kept as bytes."""
    parts = member.table.parts if member.table else ()
    return tuple(SegmentId(member.shard, part.segment) for part in parts)


class SegmentSource:
    """Segments of one data set. May be used from several threads at once."""

    def __init__(
        self, store: Store, manifest: Manifest, layout: Layout, frames: FrameSource
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._layout = layout
        self._frames = frames

    def fetch(self, segment_id: SegmentId) -> Segment:
        """Return a segment.

        Raises:
            IntegrityError: the store holds something else than the manifest says.
        """
        return self.decode(segment_id, self.fetch_packed(segment_id))

    def fetch_packed(self, segment_id: SegmentId) -> list[bytes]:
        """Return the frames that a segment is in, as they are in the store.

        Raises:
            IntegrityError: the store holds less than the manifest says.
        """
        return [self._frames.fetch_packed(frame_id) for frame_id, _, _ in self._spans(segment_id)]

    def decode(self, segment_id: SegmentId, packed: list[bytes]) -> Segment:
        """Return the segment that frames hold.

        Raises:
            IntegrityError: they do not hold what the manifest says.
        """
        place = self._place(segment_id)
        pieces = []
        for (frame_id, start, size_bytes), data in zip(
            self._spans(segment_id), packed, strict=True
        ):
            raw = self._frames.decode(frame_id, data)
            pieces.append(memoryview(raw)[start : start + size_bytes])
        content = b"".join(pieces)
        if digest_of(content) != place.digest:
            raise self._damaged(segment_id.shard, "a segment does not match its digest")
        try:
            return load_segment(content, place.layout)
        except ValueError as error:
            raise self._damaged(segment_id.shard, "a segment cannot be read") from error

    def _place(self, segment_id: SegmentId) -> Place:
        return self._manifest.shards[segment_id.shard].segments[segment_id.segment]

    def _spans(self, segment_id: SegmentId) -> list[tuple[FrameId, int, int]]:
        place = self._place(segment_id)
        return list(
            self._layout.spans(segment_id.shard, offset=place.offset, size_bytes=place.size_bytes)
        )

    def columns(self, segment: Segment, member: Member, index: int) -> tuple[pa.Array, ...]:
        """Return the columns of a part of a table.

        Args:
            segment: The part's segment.
            member: The table.
            index: Which of its parts.

        Raises:
            IntegrityError: the segment does not hold it.
        """
        assert member.table is not None  # noqa: S101 - for mypy; callers choose such members
        try:
            return segment.columns(member.table.parts[index].placement)
        except ValueError as error:
            raise self._damaged(member.shard, f"{member.path!r} is not in its segment") from error

    def text(self, segment: Segment, member: Member, index: int) -> Iterator[bytes]:
        """Yield the text of a part of a table, some rows at a time. Arguments as in `columns`.

        Raises:
            IntegrityError: the segment does not hold it, or the text is not as long as it was.
        """
        assert member.table is not None  # noqa: S101 - as above
        parts = member.table.parts
        rows, left_bytes = parts[index].placement.rows, parts[index].text_bytes
        columns = self.columns(segment, member, index)
        for start in range(0, rows, _ROWS_AT_ONCE):
            ends_table = index == len(parts) - 1 and start + _ROWS_AT_ONCE >= rows
            text = format_rows(
                self.layout_of(member),
                tuple(column.slice(start, _ROWS_AT_ONCE) for column in columns),
                header=index == 0 and start == 0,
                final_newline=member.table.ends_with_newline or not ends_table,
            )
            left_bytes -= len(text)
            if left_bytes < 0:
                break
            yield text
        if left_bytes:
            raise self._damaged(member.shard, f"the rows of {member.path!r} make another text")

    def layout_of(self, member: Member) -> TableLayout:
        """Return what the columns of a table are, and how their text is written."""
        return self._place(segment_ids(member)[0]).layout

    def _damaged(self, shard: int, why: str) -> IntegrityError:
        return damaged(self._store, self._manifest.shards[shard].key, why)
