"""Columns as the tables that a library would have read from their text.

pandas is imported only where one of its tables is asked for. Nothing is parsed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of, missing_of, numbers_of
from sojourn.columns.formatting import check_columns
from sojourn.columns.json_reading import json_to_pandas
from sojourn.columns.kinds import MISSING_WORDS
from sojourn.columns.layout import NEGATIVE_ZERO, unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from sojourn.columns.layout import Column, Layout

_LONGEST_MISSING_WORD = max(map(len, MISSING_WORDS))


def to_pandas(layout: Layout, *parts: Sequence[pa.Array]) -> Any:
    """Return what `pandas.read_csv(file, float_precision="round_trip")` makes of the text.

    Of JSON lines that is what `pandas.read_json(file, lines=True)` makes.

    Args:
        layout: How the text looks.
        *parts: The columns of one block of rows after another; at least one block.

    Raises:
        ValueError: the columns do not fit the layout, or there are none.
    """
    import pandas as pd

    rows = _rows(layout, parts)
    if layout.is_json:
        return json_to_pandas(layout, parts)
    by_column = list(zip(*parts, strict=True))
    blocks = list(_number_blocks(layout, by_column, rows))
    # What pandas makes of names it makes of text: its dtype for strings, or, before 3.0, objects.
    names = pd.Index([column.name or unnamed(at) for at, column in enumerate(layout.columns)])
    for at, column in enumerate(layout.columns):
        if column.kind == "text":
            blocks.append((_text(by_column[at], names.dtype), np.array([at])))
    return _assemble(blocks, pd.RangeIndex(rows), names)


def to_arrow(layout: Layout, *parts: Sequence[pa.Array]) -> pa.Table:
    """Return an Arrow table: int64, float64, string and bool; text is kept verbatim.

    Args:
        layout: How the text looks.
        *parts: The columns of one block of rows after another; at least one block.

    Raises:
        ValueError: the columns do not fit the layout, or there are none.
    """
    _rows(layout, parts)
    columns = {
        column.name: pa.chunked_array([_arrow_values(column, array) for array in arrays])
        for column, arrays in zip(layout.columns, zip(*parts, strict=True), strict=True)
    }
    return pa.table(columns)


def _assemble(blocks: list[tuple[Any, NDArray[np.intp]]], index: Any, names: Any) -> Any:
    import pandas as pd

    try:
        # 28 columns one by one take longer than all else here.
        from pandas.api.internals import (  # type: ignore[import-not-found]
            create_dataframe_from_blocks,
        )
    except ImportError:  # before pandas 3.0
        columns = {int(at): block[row] for block, places in blocks for row, at in enumerate(places)}
        frame = pd.DataFrame({at: columns[at] for at in range(len(names))}, index=index)
        frame.columns = names
        return frame
    return create_dataframe_from_blocks(blocks, index, names)


def _rows(layout: Layout, parts: Sequence[Sequence[pa.Array]]) -> int:
    if not parts:
        raise ValueError("There are no columns to read.")
    for part in parts:
        check_columns(layout, part)
    return sum(len(part[0]) for part in parts)


def _arrow_values(column: Column, array: pa.Array) -> pa.Array:
    if column.kind == "integer":
        return array.cast(pa.int64())
    if column.kind == "decimal":
        values = np.empty(len(array))
        _write_decimals(values, array, column)
        return pa.array(values, mask=missing_of(array))
    return array


def _number_blocks(
    layout: Layout, by_column: list[tuple[pa.Array, ...]], rows: int
) -> Iterable[tuple[Any, NDArray[np.intp]]]:
    """Yield one array of shape (columns, rows) for each dtype, and where its columns stand."""
    members: dict[str, list[int]] = {}
    for at, column in enumerate(layout.columns):
        if column.kind != "text":
            members.setdefault(_dtype(column, by_column[at]), []).append(at)
    for dtype, indexes in members.items():
        block = np.empty((len(indexes), rows), dtype)
        for out, at in zip(block, indexes, strict=True):
            _write(out, by_column[at], layout.columns[at])
        yield block, np.array(indexes, np.intp)


def _dtype(column: Column, arrays: Iterable[pa.Array]) -> str:
    if column.kind == "boolean":
        return "bool"
    # pandas has no place for a missing value among integers.
    is_integer = column.kind == "integer" and not any(array.null_count for array in arrays)
    return "int64" if is_integer else "float64"


def _write(out: NDArray[Any], arrays: Iterable[pa.Array], column: Column) -> None:
    at = 0
    for array in arrays:
        values = out[at : at + len(array)]
        at += len(array)
        if column.kind == "boolean":
            values[:] = booleans_of(array)
            continue
        if column.kind == "decimal":
            _write_decimals(values, array, column)
        else:
            values[:] = numbers_of(array)
        missing = missing_of(array)
        if missing is not None:
            values[missing] = np.nan


def _write_decimals(out: NDArray[np.float64], array: pa.Array, column: Column) -> None:
    # A scaled integer and 10^decimals are doubles exactly, and IEEE 754 rounds their quotient
    # correctly: it is the double next to the decimal that was written, which is what a correct
    # parser makes of its text.
    numbers = numbers_of(array)
    np.divide(numbers, 10.0**column.decimals, out=out)
    if len(numbers) and numbers.min() <= NEGATIVE_ZERO:
        out[numbers == NEGATIVE_ZERO] = -0.0


def _text(arrays: Sequence[pa.Array], dtype: Any) -> Any:
    values = pa.chunked_array([_without_missing_words(array) for array in arrays])
    if dtype == np.dtype(object):
        objects = values.to_numpy()
        objects[booleans_of(values.is_null())] = np.nan
        return objects.reshape(1, -1)
    return dtype.__from_arrow__(values)


def _without_missing_words(array: pa.StringArray) -> pa.StringArray:
    # Most columns have not even a word as short as these.
    shortest = pc.min(pc.binary_length(array)).as_py()
    if shortest is None or shortest > _LONGEST_MISSING_WORD:
        return array
    missing = pc.is_in(array, value_set=_missing_words())
    return pc.if_else(missing, None, array) if pc.any(missing).as_py() else array


@cache
def _missing_words() -> pa.StringArray:
    # Made where it is first needed: pyarrow imports pandas, if there is one, to make any array.
    return pa.array(MISSING_WORDS)
