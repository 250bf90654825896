"""What the files of a data set hold, fetched as it is asked for: their bytes, or their columns."""

from __future__ import annotations

import codecs
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sojourn.columns import find_places, keeps_kinds, pick, to_pandas
from sojourn.dataset.caching import Recent
from sojourn.dataset.digests import Digester
from sojourn.dataset.foreign_frames import frames_of
from sojourn.dataset.frames import FrameId, Layout, check_digest, check_found_digest
from sojourn.dataset.segments import (
    PartId,
    SegmentId,
    SegmentSource,
    segment_ids,
    text_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sojourn.columns import Segment
    from sojourn.dataset.frames import Piece
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.stores.base import Store

# More are asked for ahead than one connection brings in the time that it takes to use one.
AHEAD = 6
# Each frame is some 8 MiB, and each segment 16, as they are written by default: those ahead, and
# those in use.
KEPT = AHEAD + 8
# Of a table that has several to itself: nobody else needs them, and in order each is used once.
_KEPT_OF_LARGE = 3
# Each is some 4 MiB of text, as they are written.
_TEXTS_KEPT = 4
_REQUESTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a table is wanted that its columns can give.

    Attributes:
        places: Which columns, from 0 on; None for all.
        rows: How many from the first on, at least one; None for all.
    """

    places: tuple[int, ...] | None = None
    rows: int | None = None


class Contents:
    """Frames and segments of one data set, the last few kept. For several threads at once."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._layout = Layout(manifest)
        self.source = frames = frames_of(store, manifest, self._layout)
        self._source = SegmentSource(store, manifest, self._layout, frames)
        self.frames: Recent[FrameId, bytes] = Recent(frames.fetch, keep=KEPT)
        self.segments: Recent[SegmentId, Segment] = Recent(self._source.fetch, keep=KEPT)
        self._of_large: Recent[SegmentId, Segment] = Recent(self._source.fetch, keep=_KEPT_OF_LARGE)
        self._texts: Recent[PartId, bytes] = Recent(self._text, keep=_TEXTS_KEPT)

    def pieces(self, member: Member) -> tuple[tuple[FrameId, Piece], ...] | None:
        """Return which frames hold a file's bytes; None if it is kept as columns."""
        return None if member.table else tuple(self._layout.pieces(member))

    def places(self, member: Member) -> tuple[tuple[FrameId | PartId, Piece], ...]:
        """Return what a file's bytes are in, in order: frames, or parts of a table."""
        return self.pieces(member) or tuple(text_pieces(member))

    def bytes_of(self, place: FrameId | PartId) -> bytes:
        """Return a decoded frame, or the text of a part of a table.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        return self._texts.get(place) if isinstance(place, PartId) else self.frames.get(place)

    def frames_of(self, member: Member) -> tuple[FrameId, ...]:
        """Return the frames that are fetched for a file: those of its bytes, or of its columns."""
        pieces = self.pieces(member)
        if pieces is not None:
            return tuple(frame_id for frame_id, _ in pieces)
        spans = (self._source.spans(segment_id) for segment_id in segment_ids(member))
        return tuple(sorted({frame_id for of_one in spans for frame_id, _, _ in of_one}))

    def hold(self, count: int) -> None:
        """Hold so many frames and segments from now on, if it were fewer."""
        self.frames.keep_at_least(count)
        self.segments.keep_at_least(count)

    def is_divided(self, member: Member) -> bool:
        """Tell whether a file's first bytes can be had without the others."""
        places = self.places(member)
        if len(places) != 1:
            return len(places) > 1
        first = places[0][0]
        return isinstance(first, FrameId) and self.source.is_streamed(first)

    def read(self, member: Member) -> bytes:
        """Return a file's bytes.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        pieces = self.pieces(member)
        data = self._written_anew(member) if pieces is None else self._stored(pieces)
        check_digest(self._store, self._manifest, member, data)
        return data

    def find_asked(self, member: Member, arguments: Mapping[str, Any]) -> Asked | None:
        """Return what of a file's columns is what pandas reads of its text with some arguments.

        None where pandas has to be asked; `table` may find that out, too.
        """
        if member.table is None or not arguments.keys() <= _ANSWERED:
            return None
        layout = self._source.layout_of(member)
        if not _names(arguments.get("encoding", "utf-8"), layout.style.encoding):
            return None
        columns, rows = arguments.get("usecols"), arguments.get("nrows")
        if columns is None and rows is None:
            return Asked()
        places = None if columns is None else find_places(layout, columns)
        is_clear = columns is None or places is not None
        # Truth values are numbers, too, and without a row nothing is inferred.
        has_rows = rows is None or (type(rows) is int and rows > 0)
        if layout.is_json or not is_clear or not has_rows:
            return None
        return Asked(places=places, rows=rows)

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield a file's bytes, a frame or a part of a table at a time.

        Raises:
            IntegrityError: the store holds something else than was pushed; the last bytes are not
                given out before that is known.
        """
        digester = Digester(member.digest)
        before = b""
        for data in self._pieces_of(member):
            if before:
                yield before
            digester.update(data)
            before = data
        check_found_digest(self._store, self._manifest, member, digester.digest())
        if before:
            yield before

    def _pieces_of(self, member: Member) -> Iterator[bytes]:
        pieces = self.pieces(member)
        if pieces is None:
            yield from self._texts_of(member)
        elif pieces and self.source.is_streamed(pieces[0][0]):
            yield from self.source.stream(pieces[0][0])
        else:
            for frame_id, piece in pieces:
                raw = memoryview(self.frames.get(frame_id))
                yield bytes(raw[piece.start : piece.start + piece.size_bytes])

    def table(self, member: Member, asked: Asked) -> Any | None:
        """Return a table that is kept as columns as pandas reads its text; nothing is parsed.

        Returns:
            None where pandas may infer something else of the rows that are asked for.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        layout = self._source.layout_of(member)
        table_columns = len(layout.columns)
        if asked.places is not None:
            layout = pick(layout, asked.places)
        parts = self._columns(member, _parts_with(member, asked.rows), asked.places)
        if asked.rows is not None:
            parts, is_whole = _first_rows(parts, asked.rows), asked.rows >= _rows_of(member)
            if not is_whole and not keeps_kinds(layout, parts, table_columns=table_columns):
                return None
        return to_pandas(layout, *parts)

    def _columns(
        self, member: Member, indexes: Sequence[int], places: tuple[int, ...] | None
    ) -> list[tuple[pa.Array, ...]]:
        """Return the columns of some parts of a table, of which only the first may be asked for."""
        ids = segment_ids(member)
        by_segment: dict[SegmentId, list[int]] = {}
        for index in indexes:
            by_segment.setdefault(ids[index], []).append(index)
        # Nobody else needs these; among the last few they would take the place of all others.
        is_alone = len(by_segment) == 1
        fetch = self.segments.get if is_alone else self._source.fetch

        def take(segment_id: SegmentId) -> list[tuple[pa.Array, ...]]:
            segment = fetch(segment_id)
            found = (self._source.columns(segment, member, i) for i in by_segment[segment_id])
            return [_picked(columns, places) for columns in found]

        if is_alone:
            return take(ids[indexes[0]])
        with ThreadPoolExecutor(_REQUESTS, "read") as pool:
            taken = dict(zip(by_segment, map(iter, pool.map(take, by_segment)), strict=True))
        return [next(taken[ids[index]]) for index in indexes]

    def needed(self, member: Member) -> Iterator[FrameId | SegmentId]:
        """Yield what is fetched for a file and kept for its neighbours, in order."""
        ids = dict.fromkeys(segment_ids(member))
        yield from ids if len(ids) == 1 else ()
        for frame_id, _ in self._layout.pieces(member):
            if not self.source.is_streamed(frame_id):
                yield frame_id

    def fetch(self, what: FrameId | SegmentId) -> object:
        """Have a frame or segment fetched, so that it is here when it is asked for."""
        return self.frames.get(what) if isinstance(what, FrameId) else self.segments.get(what)

    def _stored(self, pieces: Sequence[tuple[FrameId, Piece]]) -> bytes:
        frame_ids = [frame_id for frame_id, _ in pieces]
        if frame_ids and self.source.is_streamed(frame_ids[0]):
            # Too large to be kept for its neighbours, of which it has none.
            return b"".join(self.source.stream(frame_ids[0]))
        content = bytearray()
        with ThreadPoolExecutor(_REQUESTS, "read") as pool:
            # A frame is let go of as soon as its part is taken.
            frames = pool.map(self.frames.get, frame_ids) if len(pieces) > 1 else None
            for frame_id, piece in pieces:
                raw = next(frames) if frames else self.frames.get(frame_id)
                content += memoryview(raw)[piece.start : piece.start + piece.size_bytes]
        return bytes(content)

    def _written_anew(self, member: Member) -> bytes:
        return b"".join(self._texts_of(member))

    def _texts_of(self, member: Member) -> Iterator[bytes]:
        return (self._text(part_id) for part_id, _ in text_pieces(member))

    def _text(self, part_id: PartId) -> bytes:
        member = part_id.member
        ids = segment_ids(member)
        kept = self.segments if len(set(ids)) == 1 else self._of_large
        parts = [(member, part_id.part)]
        (found,) = self._source.texts(kept.get(ids[part_id.part]), parts)
        return b"".join(found[2])


# What `read` takes besides a name and is answered by columns.
_ANSWERED = {"encoding", "usecols", "nrows"}


def _names(encoding: Any, name: str) -> bool:
    """Tell whether something names an encoding, under any of its names."""
    try:
        return codecs.lookup(encoding).name == name
    except (LookupError, TypeError):
        return False


def _rows_of(member: Member) -> int:
    return sum(part.placement.rows for part in member.table.parts) if member.table else 0


def _parts_with(member: Member, rows: int | None) -> list[int]:
    """Return which parts of a table hold its first rows; all of them if None."""
    indexes: list[int] = []
    for index, part in enumerate(member.table.parts if member.table else ()):
        if rows is not None and rows <= 0:
            break
        indexes.append(index)
        rows = None if rows is None else rows - part.placement.rows
    return indexes


def _first_rows(parts: Sequence[tuple[pa.Array, ...]], rows: int) -> list[tuple[pa.Array, ...]]:
    kept = []
    for columns in parts:
        kept.append(tuple(column.slice(0, rows) for column in columns))
        rows = max(0, rows - len(columns[0]))
    return kept


def _picked(columns: tuple[pa.Array, ...], places: tuple[int, ...] | None) -> tuple[pa.Array, ...]:
    if places is None:
        return columns
    # A slice would keep all of its segment in memory, with the columns that nobody asked for.
    return tuple(pa.concat_arrays([columns[at], columns[at].slice(0, 0)]) for at in places)


class Ahead:
    """Has what files need fetched shortly before their turn, so that nobody waits for the link.

    Args:
        contents: Where it comes to be.
        members: The files, in the order in which they will be asked for.
    """

    def __init__(self, contents: Contents, members: Sequence[Member]) -> None:
        self._contents = contents
        self._pool = ThreadPoolExecutor(AHEAD, "ahead")
        self._order: dict[FrameId | SegmentId, int] = {}
        self._place: list[int] = []
        for member in members:
            first = next(contents.needed(member), None)
            if first is not None:
                self._order.setdefault(first, len(self._order))
            self._place.append(len(self._order))
        self._ids = list(self._order)
        self._asked = 0
        self._reached = 0

    def reach(self, index: int) -> None:
        """Have that fetched which follows what this file needs."""
        self._reached = self._place[index]
        until = min(self._reached + AHEAD - 1, len(self._ids))
        for what in self._ids[self._asked : until]:
            self._pool.submit(self._fetch, what)
        self._asked = max(self._asked, until)

    def _fetch(self, what: FrameId | SegmentId) -> None:
        # Whoever reads it by now fetches it; it may even have been used and dropped.
        if self._order[what] >= self._reached:
            self._contents.fetch(what)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
