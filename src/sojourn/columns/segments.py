"""Columns of many tables in one Arrow file, in which what the tables share stands once.

The file has one row. Its columns are those of the tables, and each holds a list: a strip, in which
a table has a stretch. So a table whose window lies a few rows after the last one's adds a few rows.
Any reader of Arrow or Feather files opens it. Buffers are not compressed: what keeps a segment
does that. It is no file on a disk here, only its bytes.

    table 0   aabbccdd              strip of column 0   aabbccddee
    table 1     bbccddee            placements          (8, ((1, 0),)), (8, ((1, 2),))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.formatting import check_types
from sojourn.columns.messages import read_strips
from sojourn.columns.placing import MAX_ROWS, PROBE_ROWS, Placement, Strip, run_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.columns.layout import Layout
    from sojourn.columns.parsing import Parsed

TARGET_BYTES = 16 << 20


class SegmentWriter:
    """Takes tables of one layout until there is enough.

    Args:
        layout: Of all tables.
        target_bytes: How large the strips may grow; a single table may be larger.
    """

    def __init__(self, layout: Layout, *, target_bytes: int = TARGET_BYTES) -> None:
        self._layout = layout
        self._target_bytes = target_bytes
        self._strips = tuple(Strip() for _ in layout.columns)
        self._bytes = 0
        self._rows = 0
        self._shift = 0

    def add(self, parsed: Parsed) -> Placement | None:
        """Take a table and return where it lies; None, and nothing is taken, if it is too much.

        Raises:
            ValueError: the table has another layout.
        """
        if parsed.layout != self._layout:
            raise ValueError("A segment holds tables of one layout, and this one has another.")
        shifts = self._shifts(parsed.columns)
        lacking = [
            strip.lacking(column, shift)
            for strip, column, shift in zip(self._strips, parsed.columns, shifts, strict=True)
        ]
        new_bytes = sum(values.nbytes for values in lacking)
        new_rows = max(map(len, lacking))
        is_full = self._bytes + new_bytes > self._target_bytes or self._rows + new_rows > MAX_ROWS
        # What is there already is always taken, and so is whatever comes first.
        if is_full and new_rows and self._rows:
            return None
        self._bytes += new_bytes
        self._rows += new_rows
        starts = [
            strip.add(column, shift)
            for strip, column, shift in zip(self._strips, parsed.columns, shifts, strict=True)
        ]
        return Placement(rows=parsed.rows, starts=run_lengths(starts))

    def dump(self) -> bytes:
        """Return the segment; the same tables in the same order give the same bytes.

        Raises:
            ValueError: no table was taken.
        """
        if not self._rows:
            raise ValueError("A segment without a table cannot be written.")
        lists = [_list_of(strip.values()) for strip in self._strips]
        batch = pa.record_batch(lists, names=[column.name for column in self._layout.columns])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as file:
            file.write_batch(batch)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def _shifts(self, columns: Sequence[pa.Array]) -> list[int | None]:
        """Return where each column begins in the newest table; None for one that does not."""
        pairs = list(zip(self._strips, columns, strict=True))
        still = [strip.fits(column, 0) for strip, column in pairs]
        moved = [pair for pair, is_still in zip(pairs, still, strict=True) if not is_still]
        if moved and not any(strip.fits(column, self._shift) for strip, column in moved):
            # Where values repeat much fits by chance; the column that says most decides for all.
            strip, column = max(moved, key=lambda pair: _variety(pair[1]))
            self._shift = strip.find_shift(column) or self._shift
        return [
            0 if is_still else self._shift if strip.fits(column, self._shift) else None
            for (strip, column), is_still in zip(pairs, still, strict=True)
        ]


class Segment:
    """The strips of a segment. Get one with `load_segment`."""

    def __init__(self, strips: Sequence[pa.Array]) -> None:
        self._strips = tuple(strips)

    def columns(self, placement: Placement) -> tuple[pa.Array, ...]:
        """Return the columns of a table, which share the segment's memory.

        Raises:
            ValueError: the segment has no such rows.
        """
        # Counted before anything is repeated so often: a placement may claim any number.
        count = sum(count for count, _ in placement.starts)
        if count != len(self._strips):
            raise ValueError(f"A table of {count} columns is in a segment of {len(self._strips)}.")
        starts = [start for count, start in placement.starts for _ in range(count)]
        for start, strip in zip(starts, self._strips, strict=True):
            if start < 0 or placement.rows < 0 or start + placement.rows > len(strip):
                raise ValueError(
                    f"A table has {placement.rows} rows from row {start} on, and its segment "
                    f"ends at row {len(strip)}."
                )
        return tuple(
            strip.slice(start, placement.rows)
            for start, strip in zip(starts, self._strips, strict=True)
        )

    def stretch(self, first: int, stop: int, start: int, rows: int) -> tuple[pa.Array, ...]:
        """Return some rows of the strips of some columns side by side.

        Raises:
            ValueError: the segment has no such rows.
        """
        strips = self._strips[first:stop]
        if start < 0 or rows < 0 or any(start + rows > len(strip) for strip in strips):
            raise ValueError(f"The segment has no {rows} rows from row {start} on.")
        return tuple(strip.slice(start, rows) for strip in strips)


def load_segment(data: bytes | memoryview, layout: Layout) -> Segment:
    """Read what `SegmentWriter.dump` made, trusting none of it.

    Args:
        data: The whole segment; what is returned shares its memory.
        layout: Of its tables.

    Raises:
        ValueError: it is damaged, or of another layout.
    """
    try:
        strips = read_strips(data)
    except ValueError as error:
        raise ValueError(f"A segment cannot be read: {error}.") from error
    if [name for name, _ in strips] != [column.name for column in layout.columns]:
        raise ValueError("A segment has other columns than its tables.")
    values = [values for _, values in strips]
    check_types(layout, values)
    return Segment(values)


def _list_of(values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _variety(column: pa.Array) -> int:
    count: int = pc.count_distinct(column.slice(0, PROBE_ROWS)).as_py()
    return count
