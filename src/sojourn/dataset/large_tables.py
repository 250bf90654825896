"""A table too large for memory as columns: block by block, into a scratch file.

Whether all of it can be kept as columns is known only at its end, so nothing of it goes into the
shard before.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Self

from sojourn.columns import SegmentWriter
from sojourn.dataset.manifest import DIGEST_PREFIX, Part
from sojourn.dataset.tables import Shape, delimiter_of
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future
    from types import TracebackType

    from sojourn.columns import Layout, Parsed, Parser
    from sojourn.dataset.listing import Entry
    from sojourn.dataset.source import Source

_BLOCK_BYTES = 4 * MIB
# A row that is longer is none of a table.
_LONGEST_ROW_BYTES = 1 * MIB


@dataclass(slots=True, kw_only=True)
class LargeTable:
    """A table that can be kept as columns. Leave it to drop its scratch file.

    Attributes:
        layout: Of all its segments.
        parts: Its rows; segments are numbered from 0.
        digest: Of its text.
        shape: Its rows and columns.
        ends_with_newline: Whether a line end ends its text.
    """

    layout: Layout
    parts: list[Part]
    digest: str
    shape: Shape
    ends_with_newline: bool
    spool: _Spool

    def segments(self) -> Iterator[bytes]:
        """Yield the segments' files, in order."""
        return self.spool.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.spool.close()


def read_large_table(
    entry: Entry,
    source: Source,
    *,
    parser: Parser,
    pool: Executor,
    ahead: int,
    advance: Callable[[int], None],
) -> LargeTable | None:
    """Read a file's columns; None where its text would not come back exactly from them.

    Args:
        entry: The file.
        source: Where it is.
        parser: Makes columns of its text.
        pool: Parses blocks.
        ahead: How many blocks may be in memory at once.
        advance: Takes how many bytes were dealt with; below zero where they were not after all.

    Raises:
        IntegrityError: the file changed meanwhile.
    """
    # It has no name, so that nothing of it is left however this process ends.
    spool = _Spool(tempfile.TemporaryFile(prefix="sojourn-"))  # noqa: SIM115 - LargeTable closes it
    reading = _Reading(parser=parser, pool=pool, ahead=ahead, advance=advance, spool=spool)
    try:
        found = reading.read(entry, source)
    except BaseException:
        spool.close()
        raise
    if found is None:
        spool.close()
        advance(-reading.counted_bytes)
    return found


class _Spool:
    """Segments one after another in a scratch file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sizes: list[int] = []

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self._sizes.append(len(data))

    def read(self) -> Iterator[bytes]:
        self._file.seek(0)
        for size_bytes in self._sizes:
            yield self._file.read(size_bytes)

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True, kw_only=True)
class _Reading:
    parser: Parser
    pool: Executor
    ahead: int
    advance: Callable[[int], None]
    spool: _Spool
    counted_bytes: int = 0
    _writer: SegmentWriter | None = None
    _segments: int = 0
    _parts: list[Part] = field(default_factory=list)
    _rows: int = 0

    def read(self, entry: Entry, source: Source) -> LargeTable | None:
        content = hashlib.sha256()
        layout: Layout | None = None
        last: Parsed | None = None
        blocks = _blocks(
            _hashed(source.chunks(entry), content),
            is_quoting=delimiter_of(entry.path) is not None,
        )
        for text_bytes, parsed in self._parsed(blocks):
            # Only the last block may lack a line end.
            if parsed is None or (last is not None and not last.ends_with_newline):
                return None
            layout = layout or parsed.layout
            self._place(parsed, text_bytes)
            last = parsed
        if layout is None or last is None or self._writer is None:
            return None
        self.spool.add(self._writer.dump())
        return LargeTable(
            layout=layout,
            parts=self._parts,
            digest=DIGEST_PREFIX + content.hexdigest(),
            shape=Shape(rows=self._rows, columns=len(layout.columns)),
            ends_with_newline=last.ends_with_newline,
            spool=self.spool,
        )

    def _parsed(self, blocks: Iterator[bytes | None]) -> Iterator[tuple[int, Parsed | None]]:
        """Yield each block's size and columns; the first block tells how to read the others."""
        block = next(blocks, None)
        first = None if block is None else self.parser(block, is_last=False)
        if block is None or first is None:
            yield 0, None
            return
        yield len(block), first
        waiting: deque[tuple[int, Future[Parsed | None]]] = deque()
        try:
            for following in blocks:
                if following is None:
                    yield 0, None
                    return
                future = self.pool.submit(
                    self.parser,
                    following,
                    layout=first.layout,
                    is_first=False,
                    is_last=False,
                )
                waiting.append((len(following), future))
                if len(waiting) >= self.ahead:
                    size_bytes, future = waiting.popleft()
                    yield size_bytes, future.result()
            while waiting:
                size_bytes, future = waiting.popleft()
                yield size_bytes, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _place(self, parsed: Parsed, text_bytes: int) -> None:
        placement = self._writer.add(parsed) if self._writer else None
        if placement is None:
            if self._writer is not None:
                self.spool.add(self._writer.dump())
            self._writer = SegmentWriter(parsed.layout)
            self._segments += 1
            placement = self._writer.add(parsed)
            if placement is None:
                raise AssertionError("an empty segment takes any table")
        self._parts.append(
            Part(segment=self._segments - 1, placement=placement, text_bytes=text_bytes)
        )
        self._rows += parsed.rows
        self.counted_bytes += text_bytes
        self.advance(text_bytes)


def _hashed(chunks: Iterator[bytes], content: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        content.update(chunk)
        yield chunk


def _blocks(chunks: Iterator[bytes], *, is_quoting: bool) -> Iterator[bytes | None]:
    """Yield whole lines, some MiB at a time; None where a line is too long for a table's row."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) < _BLOCK_BYTES:
            continue
        end = _end_of_rows(block, is_quoting=is_quoting)
        if end == 0:
            yield None
            return
        yield bytes(block[:end])
        del block[:end]
    if block:
        yield bytes(block)


def _end_of_rows(block: bytearray, *, is_quoting: bool) -> int:
    """Return where the last whole row ends; 0 if it is too long for a table's row."""
    least = len(block) - _LONGEST_ROW_BYTES
    end = block.rfind(b"\n", least) + 1
    # A line end between quotes ends no row. In JSON none is there, and not all quotes are in pairs.
    quotes = block.count(b'"', 0, end) if is_quoting else 0
    while end and quotes % 2:
        before = block.rfind(b"\n", least, end - 1) + 1
        quotes -= block.count(b'"', before, end)
        end = before
    return end
