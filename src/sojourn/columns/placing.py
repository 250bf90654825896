"""Where the values of a table lie in strips, and where a table finds its own in them.

A strip is all values of one column that a segment holds, one table after another; tables that
share values share a stretch of it. This is the search for that, on arrays in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MAX_ROWS = (1 << 31) - 1  # Arrow's offsets into a list have 32 bits
# So many values have to agree before a shift is tried on all of them.
PROBE_ROWS = 8
_SHIFTS_TRIED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a table lies in the strips of a segment.

    Attributes:
        rows: How many it has.
        starts: From the first column to the last: how many side by side begin at which row of
            their strips.
    """

    rows: int
    starts: tuple[tuple[int, int], ...]


def format_placement(placement: Placement) -> list[int]:
    """Return a document that JSON can hold and `parse_placement` reads."""
    return [placement.rows, *(number for run in placement.starts for number in run)]


def parse_placement(document: Any) -> Placement:
    """Read what `format_placement` made, trusting none of it.

    Raises:
        ValueError: it is malformed. Whether a segment has such rows, the segment tells.
    """
    match document:
        case [rows, *runs] if isinstance(document, list) and all(map(_is_count, document)):
            columns, starts = runs[::2], runs[1::2]
            if rows and columns and all(columns) and len(columns) == len(starts):
                return Placement(rows=rows, starts=tuple(zip(columns, starts, strict=True)))
    raise ValueError("A table's place in a segment is not its rows, then columns and starts.")


def run_lengths(starts: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return how often each of some numbers occurs before another one, and the number."""
    return tuple((len(list(run)), start) for start, run in groupby(starts))


def _is_count(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= MAX_ROWS


class Strip:
    """The values of one column of a segment that is being written."""

    def __init__(self) -> None:
        self._pieces: list[pa.Array] = []
        self._rows = 0
        # Where the newest table begins, and all of the strip from there on.
        self._start = 0
        self._newest: pa.Array | None = None

    def fits(self, column: pa.Array, shift: int) -> bool:
        """Tell whether a column begins with what the newest table has from a row on."""
        rows = self._shared_rows(column, shift)
        if self._newest is None or rows <= 0:
            return False
        ours, theirs = self._newest.slice(shift, rows), column.slice(0, rows)
        if ours.type == pa.float64():
            # 0.0 and -0.0 are equal, and are written otherwise.
            ours, theirs = ours.view(pa.int64()), theirs.view(pa.int64())
        elif ours.type != theirs.type:
            ours, theirs = ours.cast(pa.int64()), theirs.cast(pa.int64())
        return bool(ours.equals(theirs))

    def find_shift(self, column: pa.Array) -> int | None:
        """Return the first row of the newest table, after its first, from where a column fits."""
        probe = column.slice(0, PROBE_ROWS)
        if self._newest is None or probe.null_count:
            return None
        ends = len(self._newest) - len(probe)
        if ends < 1:
            return None
        agree = np.ones(ends, np.bool_)
        for at, value in enumerate(probe):
            agree &= _where(self._newest.slice(1 + at, ends), value)
        candidates = (np.flatnonzero(agree)[:_SHIFTS_TRIED] + 1).tolist()
        return next((shift for shift in candidates if self.fits(column, shift)), None)

    def lacking(self, column: pa.Array, shift: int | None) -> pa.Array:
        """Return what the strip lacks of a column that lies there, or anywhere if None."""
        return column if shift is None else column.slice(self._shared_rows(column, shift))

    def add(self, column: pa.Array, shift: int | None) -> int:
        """Take a column that lies there, or at the end if None; return its first row."""
        piece = self.lacking(column, shift)
        self._start = self._rows if shift is None else self._start + shift
        # A slice would keep all of its table in memory, and there are thousands.
        self._pieces.append(pa.concat_arrays([piece, piece.slice(0, 0)]))
        self._rows += len(piece)
        ends = self._start + len(column)
        if self._newest is None or ends == self._rows:
            self._newest = column
        else:
            self._newest = self._newest.slice(shift or 0)
        return self._start

    def values(self) -> pa.Array:
        """Return the whole strip, of the smallest type that holds it."""
        types = {piece.type for piece in self._pieces}
        type_ = types.pop() if len(types) == 1 else pa.int64()
        return pa.concat_arrays([piece.cast(type_) for piece in self._pieces])

    def _shared_rows(self, column: pa.Array, shift: int) -> int:
        return min(len(self._newest or ()) - shift, len(column))


def _where(array: pa.Array, value: pa.Scalar) -> NDArray[np.bool_]:
    return booleans_of(pc.fill_null(pc.equal(array, value), fill_value=False))
