"""The text of many tables of one segment, made together.

What tables share is written once, and what lies side by side at once: a numpy call for eight
thousand rows costs little more than one for one thousand, and other threads run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.columns.formatting import join_row_texts, run_bounds, run_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from sojourn.columns.layout import Layout
    from sojourn.columns.placing import Placement
    from sojourn.columns.segments import Segment

# Rows of a strip that are written at once: some MiB of text, and three times that meanwhile. Tables
# that share most of their rows are written together for twice the rows of one, however many it has.
MOST_ROWS = 8_192


def format_tables(
    layout: Layout, segment: Segment, placements: Sequence[Placement]
) -> Iterator[bytes | memoryview]:
    """Yield the rows of one table after another, each line ended, without a header.

    Args:
        layout: Of all the tables.
        segment: Where their columns are.
        placements: Where each lies in it.

    Raises:
        ValueError: the segment has no such rows, or its columns do not fit the layout.
    """
    bounds = list(run_bounds(layout))
    for batch in _batches(placements, bounds):
        yield from _format_batch(layout, segment, batch, bounds)


def _batches(
    placements: Sequence[Placement], bounds: Sequence[tuple[int, int]]
) -> Iterator[list[Placement]]:
    """Cut tables into batches that stretch over few rows of every strip, or over shared ones."""
    batch: list[Placement] = []
    extents: list[tuple[int, int]] = []
    for placement in placements:
        spans = [(start, start + placement.rows) for start in _run_starts(placement, bounds)]
        wider = [
            (min(low, start), max(high, end))
            for (low, high), (start, end) in zip(extents or spans, spans, strict=True)
        ]
        if batch and not _may_be_together(extents, wider, placement.rows):
            yield batch
            batch, wider = [], spans
        batch.append(placement)
        extents = wider
    if batch:
        yield batch


def _may_be_together(
    extents: Sequence[tuple[int, int]], wider: Sequence[tuple[int, int]], rows: int
) -> bool:
    """Tell whether a table of so many rows, which makes extents wider, may join a batch."""
    sizes = [high - low for low, high in wider]
    if max(sizes) <= MOST_ROWS:
        return True
    grown = [size - (high - low) for size, (low, high) in zip(sizes, extents, strict=True)]
    return max(sizes) <= 2 * rows and max(grown) <= rows // 2


def _run_starts(placement: Placement, bounds: Sequence[tuple[int, int]]) -> list[int]:
    starts = _starts(placement)
    return [starts[first] for first, _ in bounds]


def _starts(placement: Placement) -> list[int]:
    """Return at which row of its strip each column begins."""
    return [start for count, start in placement.starts for _ in range(count)]


def _format_batch(
    layout: Layout,
    segment: Segment,
    batch: Sequence[Placement],
    bounds: Sequence[tuple[int, int]],
) -> Iterator[bytes | memoryview]:
    if all(len(placement.starts) == 1 for placement in batch):
        # Every table has all of its columns side by side: its rows need not be joined of pieces.
        bounds = [(0, len(layout.columns))]
    pieces = [_Pieces(layout, segment, batch, first, stop) for first, stop in bounds]
    for number, placement in enumerate(batch):
        texts = [each.of(number, placement.rows) for each in pieces]
        yield join_row_texts(layout, texts, header=False, final_newline=True)


class _Pieces:
    """What all rows of a batch have of some columns side by side."""

    def __init__(
        self,
        layout: Layout,
        segment: Segment,
        batch: Sequence[Placement],
        first: int,
        stop: int,
    ) -> None:
        starts = [_starts(placement)[first:stop] for placement in batch]
        self._whole: pa.StringArray | None = None
        if all(len(set(each)) == 1 for each in starts):
            # They lie side by side in every table, so a stretch of all strips holds all of them.
            low = min(each[0] for each in starts)
            high = max(each[0] + p.rows for each, p in zip(starts, batch, strict=True))
            self._begins = [each[0] - low for each in starts]
            strips = segment.stretch(first, stop, low, high - low)
            self._whole = run_texts(layout, strips, first)
        else:
            each_columns = (segment.columns(placement)[first:stop] for placement in batch)
            self._texts = [run_texts(layout, columns, first) for columns in each_columns]

    def of(self, number: int, rows: int) -> pa.StringArray:
        """Return what a table of the batch has."""
        if self._whole is None:
            return self._texts[number]
        return self._whole.slice(self._begins[number], rows)
