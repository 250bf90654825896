"""What the files of a data set hold, fetched as it is asked for: their bytes, or their columns."""

from __future__ import annotations

import codecs
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sojourn.columns import to_pandas
from sojourn.dataset.caching import Recent
from sojourn.dataset.digests import Digester
from sojourn.dataset.foreign_frames import frames_of
from sojourn.dataset.frames import FrameId, Layout, check_digest, check_found_digest
from sojourn.dataset.segments import SegmentId, SegmentSource, segment_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sojourn.columns import Segment
    from sojourn.dataset.frames import Piece
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.stores.base import Store

# More are asked for ahead than one connection brings in the time that it takes to use one.
AHEAD = 6
# Frames are 8 MiB, segments 16, as they are written by default: those ahead, and those in use.
_KEPT = AHEAD + 8
_REQUESTS = 8


class Contents:
    """Frames and segments of one data set, the last few kept. For several threads at once."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._layout = Layout(manifest)
        self.source = frames = frames_of(store, manifest, self._layout)
        self._source = SegmentSource(store, manifest, self._layout, frames)
        self.frames: Recent[FrameId, bytes] = Recent(frames.fetch, keep=_KEPT)
        self.segments: Recent[SegmentId, Segment] = Recent(self._source.fetch, keep=_KEPT)

    def pieces(self, member: Member) -> tuple[tuple[FrameId, Piece], ...] | None:
        """Return which frames hold a file's bytes; None if it is kept as columns."""
        return None if member.table else tuple(self._layout.pieces(member))

    def read(self, member: Member) -> bytes:
        """Return a file's bytes.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        pieces = self.pieces(member)
        data = self._written_anew(member) if pieces is None else self._stored(pieces)
        check_digest(self._store, self._manifest, member, data)
        return data

    def reads_as_columns(self, member: Member, arguments: Mapping[str, Any]) -> bool:
        """Tell whether a file's columns are what pandas reads of its text with some arguments."""
        if member.table is None or not arguments.keys() <= {"encoding"}:
            return False
        encoding = arguments.get("encoding", "utf-8")
        try:
            name = codecs.lookup(encoding).name
        except (LookupError, TypeError):
            return False
        return name == self._source.layout_of(member).style.encoding

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
            for index, segment_id in enumerate(segment_ids(member)):
                segment = self.segments.get(segment_id)
                for _, _, text in self._source.texts(segment, [(member, index)]):
                    yield text
        elif pieces and self.source.is_streamed(pieces[0][0]):
            yield from self.source.stream(pieces[0][0])
        else:
            for frame_id, piece in pieces:
                raw = memoryview(self.frames.get(frame_id))
                yield bytes(raw[piece.start : piece.start + piece.size_bytes])

    def table(self, member: Member) -> Any:
        """Return a table that is kept as columns as pandas reads its text; nothing is parsed.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        ids = segment_ids(member)
        distinct = list(dict.fromkeys(ids))
        if len(distinct) == 1:
            segments = {distinct[0]: self.segments.get(distinct[0])}
        else:
            # Nobody else needs these; among the last few they would take the place of all others.
            with ThreadPoolExecutor(_REQUESTS, "read") as pool:
                segments = dict(zip(distinct, pool.map(self._source.fetch, distinct), strict=True))
        parts = [
            self._source.columns(segments[segment_id], member, index)
            for index, segment_id in enumerate(ids)
        ]
        return to_pandas(self._source.layout_of(member), *parts)

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
        return b"".join(
            text
            for index, segment_id in enumerate(segment_ids(member))
            for _, _, text in self._source.texts(self.segments.get(segment_id), [(member, index)])
        )


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
