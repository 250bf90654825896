"""Tables that are kept as columns: their segments, fetched and checked, and their text anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sojourn.columns import format_header, format_tables, load_segment
from sojourn.dataset.frames import Piece, damaged
from sojourn.dataset.manifest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from sojourn.columns import Layout as TableLayout
    from sojourn.columns import Segment
    from sojourn.dataset.frames import FrameId, Frames, Layout
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.dataset.manifest import Segment as Place
    from sojourn.errors import IntegrityError
    from sojourn.stores.base import Store


Text: TypeAlias = "tuple[bytes | memoryview, ...]"
"""A text in pieces, which are written one after another."""


@dataclass(frozen=True, slots=True, order=True)
class SegmentId:
    """A segment: index of its shard, and index in it."""

    shard: int
    segment: int


@dataclass(frozen=True, slots=True)
class PartId:
    """A part of a table that is kept as columns: the table's path, and which of its parts."""

    path: str
    part: int
    member: Member = field(compare=False, repr=False)


def segment_ids(member: Member) -> tuple[SegmentId, ...]:
    """Return the segment of each part of a table; none of a file that is kept as bytes."""
    parts = member.table.parts if member.table else ()
    return tuple(SegmentId(member.shard, part.segment) for part in parts)


def text_pieces(member: Member) -> Iterator[tuple[PartId, Piece]]:
    """Yield the parts of a table that is kept as columns, with where in its text theirs is."""
    at = 0
    for index, part in enumerate(member.table.parts if member.table else ()):
        yield (
            PartId(member.path, index, member),
            Piece(member=member, at=at, start=0, size_bytes=part.text_bytes),
        )
        at += part.text_bytes


class SegmentSource:
    """Segments of one data set. May be used from several threads at once."""

    def __init__(self, store: Store, manifest: Manifest, layout: Layout, frames: Frames) -> None:
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
        return [self._frames.fetch_packed(frame_id) for frame_id, _, _ in self.spans(segment_id)]

    def decode(
        self, segment_id: SegmentId, packed: list[bytes], *, trusts: bool = False
    ) -> Segment:
        """Return the segment that frames hold.

        Args:
            segment_id: Which.
            packed: Its frames, as they are in the store.
            trusts: Its digest is not looked at, as those of all texts are that are made of it.

        Raises:
            IntegrityError: they do not hold what the manifest says.
        """
        pieces = []
        for (frame_id, start, size_bytes), data in zip(self.spans(segment_id), packed, strict=True):
            raw = self._frames.decode(frame_id, data)
            pieces.append(memoryview(raw)[start : start + size_bytes])
        return self.load(segment_id, pieces, trusts=trusts)

    def load(
        self, segment_id: SegmentId, pieces: Sequence[memoryview], *, trusts: bool = False
    ) -> Segment:
        """Return the segment that these bytes are, one piece after another.

        Raises:
            IntegrityError: they are not what the manifest says.
        """
        place = self._place(segment_id)
        content = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
        if not trusts and digest_of(content) != place.digest:
            raise self._damaged(segment_id.shard, "a segment does not match its digest")
        try:
            return load_segment(content, place.layout)
        except ValueError as error:
            raise self._damaged(segment_id.shard, "a segment cannot be read") from error

    def _place(self, segment_id: SegmentId) -> Place:
        return self._manifest.shards[segment_id.shard].segments[segment_id.segment]

    def spans(self, segment_id: SegmentId) -> list[tuple[FrameId, int, int]]:
        """Return which frames hold a segment: which, from where in it, how many bytes."""
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

    def texts(
        self, segment: Segment, parts: Sequence[tuple[Member, int]]
    ) -> Iterator[tuple[Member, int, Text]]:
        """Yield parts of tables with their text, piece after piece, in the given order.

        Args:
            segment: Where all of them are.
            parts: Tables, and which of their parts.

        Raises:
            IntegrityError: the segment does not hold one, or its text is not as long as it was.
        """
        if not parts:
            return
        layout = self.layout_of(parts[0][0])
        found = [(m, index, m.table.parts[index]) for m, index in parts if m.table is not None]
        bodies = format_tables(layout, segment, [part.placement for _, _, part in found])
        header = format_header(layout)
        shard = parts[0][0].shard
        try:
            for (member, index, part), body in zip(found, bodies, strict=True):
                if not self._ends_line(member, index):
                    body = body[: -len(layout.newline)]  # noqa: PLW2901 - without its last line end
                text = (header, body) if index == 0 else (body,)
                if sum(map(len, text)) != part.text_bytes:
                    why = f"the rows of {member.path!r} make another text"
                    raise self._damaged(shard, why)
                yield member, index, text
        except ValueError as error:
            raise self._damaged(shard, "a table is not in its segment") from error

    @staticmethod
    def _ends_line(member: Member, index: int) -> bool:
        table = member.table
        return table is None or table.ends_with_newline or index < len(table.parts) - 1

    def layout_of(self, member: Member) -> TableLayout:
        """Return what the columns of a table are, and how their text is written."""
        return self._place(segment_ids(member)[0]).layout

    def _damaged(self, shard: int, why: str) -> IntegrityError:
        return damaged(self._store, self._manifest.shards[shard].key, why)
