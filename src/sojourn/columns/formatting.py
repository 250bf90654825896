"""Columns back to the text that they were read from.

Numbers are written as cells of a fixed width (cells.py), and so is text where all of it is as long;
such columns stand side by side in one matrix, and one pass removes what is not there. So a row is a
few fragments, one for each run of such columns and one for each other column; Arrow joins them.
Tables that share rows can share their fragments.

Measured when this way was chosen, on a window of the sample of 1.2 MB, 10,080 rows of 13 decimals,
an integer and a text column: 0.45 ms to fill the cells and 0.75 ms to remove what is not there,
against 8.4 ms to write decimal128 with `pyarrow.csv`. Removing with `bytes.translate` takes as long
as Arrow's filter, and keeps other threads from running. `bench/columns.py` measures the whole.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of, missing_of, numbers_of
from sojourn.columns.cells import (
    Cells,
    NumberCells,
    TextCells,
    boolean_cells,
    even_letters,
    fill_rows,
    number_words,
)
from sojourn.columns.dressing import (
    afters,
    dressed,
    encoded,
    header_text,
    row_start,
    separator,
)
from sojourn.columns.layout import FLOATS, NEGATIVE_ZERO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sojourn.columns.layout import Column, Layout

# Cells that stay in a core's own cache between being written and being read.
_BLOCK_BYTES = 1 << 20
_CELL_BYTES = 16  # about as wide as a cell is
_LEAST_ROWS = 256  # with fewer, what each column costs once counts for more than its values
_Values: TypeAlias = "pa.Array | NDArray[np.void]"
_ALONE = ("text", *FLOATS)
# Between these Arrow writes a float that is no whole number as Python does.
_LEAST_PLAIN, _MOST_PLAIN = 1e-4, 1e10


def format_rows(
    layout: Layout, columns: Sequence[pa.Array], *, header: bool, final_newline: bool
) -> bytes:
    """Return the text of a table.

    Args:
        layout: How it looks.
        columns: Its values, one array for each of the layout's columns, all of one length.
        header: Whether the names come first.
        final_newline: Whether the last line is ended as the others are.

    Raises:
        ValueError: the columns do not fit the layout.
    """
    check_columns(layout, columns)
    rows = len(columns[0])
    step = max(_LEAST_ROWS, _BLOCK_BYTES // (_CELL_BYTES * len(columns)))
    blocks = (
        _texts(layout, [column.slice(at, step) for column in columns], 0)
        for at in range(0, rows, step)
    )
    return bytes(_join(layout, blocks, header=header, final_newline=final_newline))


def format_header(layout: Layout) -> bytes:
    """Return what stands before the first row, its line ended."""
    return bytes(encoded(header_text(layout).encode(), layout))


def row_texts(layout: Layout, columns: Sequence[pa.Array]) -> tuple[pa.StringArray, ...]:
    """Return the fragments of all rows, to be sliced and joined by `join_row_texts`.

    There is one array for each run of numeric columns and one for each text column. Where tables
    share rows, what is shared is formatted once.

    Raises:
        ValueError: the columns do not fit the layout.
    """
    check_columns(layout, columns)
    return tuple(
        run_texts(layout, columns[start:stop], start) for start, stop in run_bounds(layout)
    )


def run_texts(layout: Layout, columns: Sequence[pa.Array], first: int) -> pa.StringArray:
    """Return the fragments of all rows of some columns side by side.

    Args:
        layout: Of the table.
        columns: As a segment of this layout has them, all of one length.
        first: Which of the layout's columns is the first of them.
    """
    return _joined(_texts(layout, columns, first), separator(layout))


def join_row_texts(
    layout: Layout, texts: Sequence[pa.StringArray], *, header: bool, final_newline: bool
) -> bytes | memoryview:
    """Return the text of a table from fragments of its rows, as `format_rows` would.

    Where nothing is put before, between or behind them, it is the fragments' own memory.
    """
    return _join(layout, iter([texts]), header=header, final_newline=final_newline)


def float_texts(array: pa.DoubleArray, column: Column) -> pa.StringArray:
    """Return floats as Python's `repr` writes them, or as the column's kind says."""
    filled = pc.fill_null(array, 0.5)
    values = filled.to_numpy()
    texts = filled.cast(pa.string())
    with np.errstate(invalid="ignore"):  # what is no number is written somehow, and noticed later
        sizes = np.abs(values)
        is_plain = (sizes >= _LEAST_PLAIN) & (sizes < _MOST_PLAIN)
        is_whole = is_plain & (values == np.trunc(values))
    if is_whole.any():
        end = "" if column.kind == "number" else ".0"
        texts = _replaced(texts, is_whole, [f"{int(value)}{end}" for value in values[is_whole]])
    if not is_plain.all():
        write = _write_by_kind(column)
        texts = _replaced(texts, ~is_plain, list(map(write, values[~is_plain].tolist())))
    return pc.if_else(array.is_null(), column.missing, texts) if array.null_count else texts


def _write_by_kind(column: Column) -> Callable[[float], str]:
    if column.kind == "plain":
        return partial(np.format_float_positional, trim="0")
    if column.kind == "number":
        return lambda value: repr(value).removesuffix(".0")
    return repr


def _replaced(
    texts: pa.StringArray, where: NDArray[np.bool_], others: Sequence[str]
) -> pa.StringArray:
    return pc.replace_with_mask(texts, pa.array(where), pa.array(others, pa.string()))


def check_columns(layout: Layout, columns: Sequence[pa.Array]) -> None:
    """Raise ValueError if these are no columns of this layout, all of one length."""
    check_types(layout, columns)
    for column, array in zip(layout.columns, columns, strict=True):
        if len(array) != len(columns[0]):
            raise ValueError(f"{column.name!r} has {len(array)} values, not {len(columns[0])}.")


def check_types(layout: Layout, columns: Sequence[pa.Array]) -> None:
    """Raise ValueError if these are no columns of this layout, whatever their lengths."""
    if len(columns) != len(layout.columns):
        raise ValueError(f"{len(columns)} columns were given for {len(layout.columns)}.")
    for column, array in zip(layout.columns, columns, strict=True):
        if array.type not in _TYPES[column.kind]:
            raise ValueError(f"{column.name!r} is {column.kind} and was given as {array.type}.")
        may_lack = column.quoted if column.kind == "text" else column.kind != "boolean"
        if array.null_count and not may_lack:
            raise ValueError(f"{column.name!r} is {column.kind} and lacks values.")


_TYPES = {
    "integer": (pa.int32(), pa.int64()),
    "decimal": (pa.int32(), pa.int64()),
    **dict.fromkeys(FLOATS, (pa.float64(),)),
    "text": (pa.string(),),
    "boolean": (pa.bool_(),),
}


def run_bounds(layout: Layout) -> Iterator[tuple[int, int]]:
    """Yield where each run begins and ends: a text or float column, or others side by side."""
    indexes = range(len(layout.columns))
    # What is no cell of a fixed width is a group of its own; 0 stands for whatever is one.
    by_run = groupby(indexes, key=lambda i: i + 1 if layout.columns[i].kind in _ALONE else 0)
    for _, run in by_run:
        members = list(run)
        yield members[0], members[-1] + 1


def _texts(layout: Layout, arrays: Sequence[pa.Array], first: int) -> list[pa.StringArray]:
    """Return fragments of columns side by side; the separator, if any, belongs between them."""
    columns = layout.columns[first : first + len(arrays)]
    behind = afters(layout, first, first + len(arrays))
    values = [_values(column, array, layout) for column, array in zip(columns, arrays, strict=True)]
    texts = []
    for begin, end in _runs(values):
        after = behind[begin:end]
        if first + end < len(layout.columns) and separator(layout):
            after[-1] = ""  # written between the fragments
        if isinstance(values[begin], pa.StringArray):
            texts.append(_followed(values[begin], after[0]))
        else:
            run = zip(columns[begin:end], values[begin:end], after, strict=True)
            cells = [_cells(*each, is_json=layout.is_json) for each in run]
            texts.append(fill_rows(cells, len(arrays[0])))
    return texts


def _values(column: Column, array: pa.Array, layout: Layout) -> _Values:
    """Return what stands in the fields: text as it is where it has cells of no one width."""
    if column.kind == "text":
        texts = dressed(array, column, layout)
        return texts if (letters := even_letters(texts)) is None else letters
    return float_texts(array, column) if column.kind in FLOATS else array


def _runs(values: Sequence[_Values]) -> Iterator[tuple[int, int]]:
    """Yield where each run begins and ends: text that is of no one width, or others in a row."""
    alone = [isinstance(each, pa.StringArray) for each in values]
    by_run = groupby(range(len(values)), key=lambda i: i + 1 if alone[i] else 0)
    for _, run in by_run:
        members = list(run)
        yield members[0], members[-1] + 1


def _followed(values: pa.StringArray, after: str) -> pa.StringArray:
    return pc.binary_join_element_wise(values, after, "") if after else values


def _cells(column: Column, values: _Values, after: str, *, is_json: bool) -> Cells:
    if isinstance(values, np.ndarray):
        return TextCells(values=values, after=after.encode())
    if column.kind == "boolean":
        return boolean_cells(booleans_of(values), after, is_json=is_json)
    # Where a value is missing anything may stand: cells get wider by it, and the text does not.
    numbers, missing = numbers_of(values), missing_of(values)
    least, most = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    ends = (abs(least), abs(most))
    is_signed = least < 0
    words, letters = number_words(
        least_digits=1 if is_signed else len(str(least)),
        digits=len(str(max(ends))),
        decimals=column.decimals,
        is_signed=is_signed,
        after=after,
        missing=None if missing is None else column.missing,
    )
    return NumberCells(
        magnitudes=_magnitudes(numbers, column),
        is_negative=numbers < 0 if is_signed else None,
        missing=missing,
        words=words,
        letters=letters,
    )


def _magnitudes(numbers: NDArray[Any], column: Column) -> NDArray[Any]:
    # The magnitude of the least integer has no place in its own type, but in the unsigned one.
    magnitudes: NDArray[Any] = np.abs(numbers).view(f"u{numbers.dtype.itemsize}")
    if column.kind == "decimal":
        magnitudes[numbers == NEGATIVE_ZERO] = 0
    return magnitudes


def _join(
    layout: Layout,
    blocks: Iterator[Sequence[pa.StringArray]],
    *,
    header: bool,
    final_newline: bool,
) -> bytes | memoryview:
    start = row_start(layout)
    between = separator(layout)
    pieces: list[bytes | memoryview] = [(header_text(layout) if header else "").encode()]
    pieces.append(start.encode())
    pieces += [_letters(block, between) for block in blocks]
    pieces = [piece for piece in pieces if piece]
    text = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    # Each row has begun the next, and the last one had no next.
    ends_bytes = len(start.encode()) + (0 if final_newline else len(layout.newline))
    return encoded(text[: len(text) - ends_bytes] if ends_bytes else text, layout)


def _letters(texts: Sequence[pa.StringArray], between: str) -> memoryview:
    joined = _joined(texts, between)
    _, offsets, letters = joined.buffers()
    if letters is None or len(joined) == 0:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[joined.offset :]
    # Arrow's own view has signed bytes, which equal no others.
    return memoryview(letters).cast("B")[int(ends[0]) : int(ends[len(joined)])]


def _joined(texts: Sequence[pa.StringArray], between: str) -> pa.StringArray:
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, between)
