"""Check the tables of a shard that are kept as columns while its frames pass by, each once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sojourn.dataset.manifest import DIGEST_PREFIX
from sojourn.dataset.segments import SegmentId, segment_ids
from sojourn.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sojourn.columns import Segment
    from sojourn.dataset.frames import FrameId
    from sojourn.dataset.manifest import Member
    from sojourn.dataset.segments import SegmentSource


class TableChecks:
    """Writes the text of tables anew, and compares it with their digests.

    A segment is held until its last frame has passed. What is written here has the parts of a table
    in the order of their segments; of one that has not, some segments are fetched once more.

    Args:
        source: Of segments.
        tables: Those of one shard.
    """

    def __init__(self, source: SegmentSource, tables: Sequence[Member]) -> None:
        self._source = source
        self._texts = [_Text(source, member) for member in tables]
        self._users: dict[SegmentId, list[_Text]] = {}
        self._spans: dict[FrameId, list[tuple[SegmentId, int, int]]] = {}
        self._missing: dict[SegmentId, int] = {}
        self._pieces: dict[SegmentId, list[memoryview]] = {}
        for text in self._texts:
            for segment_id in dict.fromkeys(segment_ids(text.member)):
                self._users.setdefault(segment_id, []).append(text)
        for segment_id in self._users:
            spans = source.spans(segment_id)
            self._missing[segment_id] = len(spans)
            for frame_id, start, size_bytes in spans:
                self._spans.setdefault(frame_id, []).append((segment_id, start, size_bytes))

    def take(self, frame_id: FrameId, raw: memoryview) -> None:
        """Take the next frame of the shard, decoded."""
        for segment_id, start, size_bytes in self._spans.get(frame_id, ()):
            pieces = self._pieces.setdefault(segment_id, [])
            pieces.append(raw[start : start + size_bytes])
            if len(pieces) == self._missing[segment_id]:
                self._write(segment_id, self._pieces.pop(segment_id))

    def problems(self) -> Iterator[tuple[Member, str]]:
        """Yield the tables that are wrong, and why, once all frames were taken."""
        for text in self._texts:
            wrong = text.finish()
            if wrong is not None:
                yield text.member, wrong

    def _write(self, segment_id: SegmentId, pieces: list[memoryview]) -> None:
        try:
            segment = self._source.load(segment_id, pieces)
        except IntegrityError as error:
            for text in self._users[segment_id]:
                text.fail(error.message)
            return
        for text in self._users[segment_id]:
            text.write(segment_id, segment)


class _Text:
    """The text of a table as far as it is written, of which only the digest is kept."""

    def __init__(self, source: SegmentSource, member: Member) -> None:
        self.member = member
        self._source = source
        self._ids = segment_ids(member)
        self._parts = 0
        self._digest = hashlib.sha256()
        self._wrong: str | None = None

    @property
    def _next(self) -> SegmentId | None:
        return self._ids[self._parts] if self._parts < len(self._ids) else None

    def fail(self, why: str) -> None:
        """Note what is wrong; the first thing counts."""
        self._wrong = self._wrong or why

    def write(self, segment_id: SegmentId, segment: Segment) -> None:
        """Write the next parts, as far as they are in a segment."""
        try:
            while not self._wrong and self._next == segment_id:
                for _, _, text in self._source.texts(segment, [(self.member, self._parts)]):
                    for piece in text:
                        self._digest.update(piece)
                self._parts += 1
        except IntegrityError as error:
            self.fail(error.message)

    def finish(self) -> str | None:
        """Return what is wrong with the table; None if it is as it was pushed."""
        try:
            while not self._wrong and (following := self._next) is not None:
                self.write(following, self._source.fetch(following))
        except IntegrityError as error:
            self.fail(error.message)
        if self._wrong is None and DIGEST_PREFIX + self._digest.hexdigest() != self.member.digest:
            return "its contents differ"
        return self._wrong
