"""Some columns and the first rows of a table, where pandas makes of these what it makes of all.

pandas infers what a column is from the rows that it reads, and from no other column. So whichever
columns are picked come out as they do with all others beside them; the first rows do where they
alone leave no doubt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sojourn.columns.arrays import missing_of, numbers_of
from sojourn.columns.kinds import reads_as_text
from sojourn.columns.layout import unnamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.columns.layout import Column, Layout

_COLLECTIONS = (list, tuple, set, frozenset)


def find_places(layout: Layout, usecols: Any) -> tuple[int, ...] | None:
    """Return the places of columns that pandas' argument of this name takes, in their order.

    Names and places come in any order and may be repeated. What is neither all names nor all
    places, or not there, is for pandas to judge: then it is None.

    Source: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, usecols.
    """
    if not isinstance(usecols, _COLLECTIONS) or not usecols:
        return None
    names = [column.name for column in _named(layout)]
    # Numbers of numpy's, truth values and the like are left to pandas.
    if all(type(item) is int for item in usecols):
        places = set(usecols)
        return tuple(sorted(places)) if places <= set(range(len(names))) else None
    if all(type(item) is str for item in usecols):
        wanted = set(usecols)
        found = tuple(at for at, name in enumerate(names) if name in wanted)
        return found if len(found) == len(wanted) else None
    return None


def pick(layout: Layout, places: Sequence[int]) -> Layout:
    """Return the layout of some columns, under the names that pandas has for them."""
    named = _named(layout)
    return replace(layout, columns=tuple(named[at] for at in places))


def keeps_kinds(layout: Layout, parts: Sequence[Sequence[pa.Array]], *, table_columns: int) -> bool:
    """Tell whether pandas, given only these rows, infers what it infers of the whole table.

    Args:
        layout: Of the columns that are there.
        parts: The first rows: the columns of one block after another; at least one row.
        table_columns: How many columns the text has, by which pandas cuts rows into chunks.
    """
    return all(
        _keeps_kind(column, arrays, table_columns)
        for column, arrays in zip(layout.columns, zip(*parts, strict=True), strict=True)
    )


def _keeps_kind(column: Column, arrays: Sequence[pa.Array], table_columns: int) -> bool:
    if column.kind == "text":
        values = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)
        return reads_as_text(values, columns=table_columns, is_whole=True)
    # Without any that is not whole, these are integers. All others say in each value what they are.
    return column.kind != "number" or any(map(_has_fraction, arrays))


def _has_fraction(array: pa.DoubleArray) -> bool:
    values, missing = numbers_of(array), missing_of(array)
    is_fraction = values != np.trunc(values)
    return bool((is_fraction if missing is None else is_fraction & ~missing).any())


def _named(layout: Layout) -> tuple[Column, ...]:
    return tuple(
        column if column.name else replace(column, name=unnamed(at))
        for at, column in enumerate(layout.columns)
    )
