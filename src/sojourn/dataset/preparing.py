"""Read one file for a shard: its digest, and its columns if it is a table that can be kept so.

Several are read side by side, in threads; what is sewn together afterwards is `archive`'s.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.columns import PLAIN
from sojourn.dataset.counting import counter_of
from sojourn.dataset.manifest import DIGEST_PREFIX
from sojourn.dataset.tables import Shape, parser_of
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.columns import Layout, Parsed, Parser
    from sojourn.dataset.listing import Entry
    from sojourn.dataset.source import Source

# Larger files are not held in memory, but read piece by piece.
WHOLE_FILE_BYTES = 4 * MIB
# Smaller ones are read in less time than their columns take to find.
SMALLEST_TABLE_BYTES = 1024
# How many entries may be read side by side.
FARTHEST_AHEAD = 8
# A guess that does not fit costs little if a first row tells, and as much as a parse if not.
_MOST_GUESSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An entry with its contents: `data` of a file up to 4 MiB, and `parsed` of a table."""

    entry: Entry
    digest: str | None = None
    data: bytes | None = None
    parsed: Parsed | None = None
    shape: Shape | None = None


class NearbyLayouts:
    """Layouts that tables some way back have, which are a good guess for the next.

    For one entry they are always the same, however many others are being read meanwhile; so what
    is packed does not depend on how many cores do it.
    """

    def __init__(self) -> None:
        self._found: deque[Layout | None] = deque()
        self._forgotten = 0
        self._known: tuple[Layout, ...] = ()

    def note(self, prepared: Prepared) -> None:
        """Take what came of the next entry, in their order."""
        parsed = prepared.parsed
        # Others are soon found out, or depend on more than one row.
        is_plain = parsed is not None and parsed.layout.style == PLAIN
        self._found.append(parsed.layout if parsed is not None and is_plain else None)

    def before(self, index: int) -> tuple[Layout, ...]:
        """Return them for an entry; all that are `FARTHEST_AHEAD` before it must be noted.

        Args:
            index: Of the entry, not less than when last asked.
        """
        while self._forgotten <= index - FARTHEST_AHEAD:
            layout = self._found.popleft()
            self._forgotten += 1
            if layout is not None:
                others = (known for known in self._known if known != layout)
                self._known = (layout, *others)[:_MOST_GUESSES]
        return self._known


def prepare(
    entry: Entry, source: Source, *, as_tables: bool, known: Sequence[Layout] = ()
) -> Prepared:
    """Read a file and, if it is a table, its columns.

    Args:
        entry: What is read; a link or folder has nothing to read.
        source: Where from.
        as_tables: Keep tables as columns where that is exact.
        known: Layouts that tables nearby have; the first that fits is taken. What comes out
            depends on them.

    Raises:
        IntegrityError: the file changed meanwhile.
    """
    if entry.kind != "file" or entry.size_bytes > WHOLE_FILE_BYTES:
        return Prepared(entry=entry)
    data = b"".join(source.chunks(entry))
    digest = DIGEST_PREFIX + hashlib.sha256(data).hexdigest()
    parser = parser_of(entry.path)
    is_kept = as_tables and entry.size_bytes >= SMALLEST_TABLE_BYTES
    parsed = _parse(parser, data, known) if parser and is_kept else None
    if parsed is not None:
        shape = Shape(rows=parsed.rows, columns=len(parsed.columns))
        return Prepared(entry=entry, digest=digest, data=data, parsed=parsed, shape=shape)
    counter = counter_of(entry.path)
    if counter is None:
        return Prepared(entry=entry, digest=digest, data=data)
    counter.update(data)
    return Prepared(entry=entry, digest=digest, data=data, shape=counter.finish())


def _parse(parser: Parser, data: bytes, known: Sequence[Layout]) -> Parsed | None:
    for layout in known:
        parsed = parser(data, layout=layout)
        if parsed is not None:
            return parsed
    return parser(data)
