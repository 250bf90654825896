"""Read one file for a shard: its digest, and its columns if it is a table that can be kept so.

Several are read side by side, in threads; what is sewn together afterwards is `archive`'s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.counting import counter_of
from sojourn.dataset.manifest import DIGEST_PREFIX
from sojourn.dataset.tables import Shape, parser_of
from sojourn.units import MIB

if TYPE_CHECKING:
    from sojourn.columns import Parsed
    from sojourn.dataset.listing import Entry
    from sojourn.dataset.source import Source

# Larger files are not held in memory, but read piece by piece.
WHOLE_FILE_BYTES = 4 * MIB
# Smaller ones are read in less time than their columns take to find.
SMALLEST_TABLE_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An entry with its contents: `data` of a file up to 4 MiB, and `parsed` of a table."""

    entry: Entry
    digest: str | None = None
    data: bytes | None = None
    parsed: Parsed | None = None
    shape: Shape | None = None


def prepare(entry: Entry, source: Source, *, as_tables: bool) -> Prepared:
    """Read a file and, if it is a table, its columns.

    Args:
        entry: What is read; a link or folder has nothing to read.
        source: Where from.
        as_tables: Keep tables as columns where that is exact.

    Raises:
        IntegrityError: the file changed meanwhile.
    """
    if entry.kind != "file" or entry.size_bytes > WHOLE_FILE_BYTES:
        return Prepared(entry=entry)
    data = b"".join(source.chunks(entry))
    digest = DIGEST_PREFIX + hashlib.sha256(data).hexdigest()
    parser = parser_of(entry.path)
    is_kept = as_tables and entry.size_bytes >= SMALLEST_TABLE_BYTES
    parsed = parser(data) if parser and is_kept else None
    if parsed is not None:
        shape = Shape(rows=parsed.rows, columns=len(parsed.columns))
        return Prepared(entry=entry, digest=digest, data=data, parsed=parsed, shape=shape)
    counter = counter_of(entry.path)
    if counter is None:
        return Prepared(entry=entry, digest=digest, data=data)
    counter.update(data)
    return Prepared(entry=entry, digest=digest, data=data, shape=counter.finish())
