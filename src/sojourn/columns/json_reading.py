"""JSON lines that are kept as columns, as the table that pandas makes of them.

`pandas.read_json` guesses: text may become numbers, numbers whole ones, and what a name says is a
date one. And its floats are those of its own quick parser, which may be off in the last digit, and
differently from machine to machine. So only what leaves no room is made from the columns: integers,
truth values, and text in which something is surely no number. Other numbers are handed to that very
parser, a column at a time, and all else as lines of their own, so that it is pandas that guesses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sojourn.columns.formatting import format_rows
from sojourn.columns.kinds import surely_text
from sojourn.columns.layout import Column, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

# Wider than what pandas takes for names of dates, which has grown over time. Source:
# https://pandas.pydata.org/docs/reference/api/pandas.read_json.html, convert_dates.
_DATE_PARTS = ("_at", "date", "time", "modified")


def json_to_pandas(layout: Layout, parts: Sequence[Sequence[pa.Array]]) -> Any:
    """Return what `pandas.read_json(file, lines=True)` makes of the text.

    Args:
        layout: How the text looks.
        parts: The columns of one block of rows after another; at least one block.
    """
    import pandas as pd

    names = [column.name for column in layout.columns]
    first = [array.slice(0, 1) for array in parts[0]]
    labels = _read_lines(layout, [first]).columns
    if labels.tolist() != names:
        return _read_lines(layout, parts)  # names that pandas takes for numbers or dates
    arrays: dict[int, Any] = {}
    numbers, unsure = [], []
    for at, column in enumerate(layout.columns):
        pieces = [part[at] for part in parts]
        sure = _sure_values(column, pieces, labels.dtype)
        if sure is not None:
            arrays[at] = sure
        elif column.kind == "text" or _is_like_date(column.name) or _is_empty(pieces):
            unsure.append(at)
        else:
            numbers.append(at)
    if numbers:
        found = _read_numbers(layout, parts, numbers)
        arrays |= {at: found.iloc[:, index].array for index, at in enumerate(numbers)}
    if unsure:
        few = replace(layout, columns=tuple(layout.columns[at] for at in unsure))
        found = _read_lines(few, [[part[at] for at in unsure] for part in parts])
        if found.columns.tolist() != [names[at] for at in unsure]:
            return _read_lines(layout, parts)
        arrays |= {at: found.iloc[:, index].array for index, at in enumerate(unsure)}
    frame = pd.DataFrame({at: arrays[at] for at in range(len(names))}, copy=False)
    frame.columns = labels
    return frame


def _sure_values(column: Column, pieces: Sequence[pa.Array], text_dtype: Any) -> Any:
    """Return values of which pandas can make nothing else; None if it might."""
    if _is_like_date(column.name):
        return None
    if column.kind == "text" and any(surely_text(piece).any() for piece in pieces):
        return _text(pieces, text_dtype)
    if column.kind == "integer" and not any(piece.null_count for piece in pieces):
        return pa.chunked_array([piece.cast(pa.int64()) for piece in pieces]).to_numpy()
    return pa.chunked_array(pieces).to_numpy() if column.kind == "boolean" else None


def _read_lines(layout: Layout, parts: Sequence[Sequence[pa.Array]]) -> Any:
    import pandas as pd

    texts = [format_rows(layout, part, header=False, final_newline=True) for part in parts]
    return pd.read_json(pa.BufferReader(b"".join(texts)), lines=True)


def _read_numbers(layout: Layout, parts: Sequence[Sequence[pa.Array]], places: list[int]) -> Any:
    """Return what pandas makes of columns of numbers, by the same parser and the same guesses."""
    import pandas as pd

    lists = []
    for number, at in enumerate(places):
        column = replace(layout.columns[at], name=f"number {number}")
        plain = Layout(delimiter=",", newline="\n", columns=(column,))
        pieces = [[part[at]] for part in parts]
        texts = [format_rows(plain, piece, header=False, final_newline=True) for piece in pieces]
        values = b"".join(texts)[:-1].replace(b"\n", b",")
        lists.append(b'"%s":[%s]' % (column.name.encode(), values))
    return pd.read_json(pa.BufferReader(b"{" + b",".join(lists) + b"}"))


def _text(pieces: Sequence[pa.Array], dtype: Any) -> Any:
    values = pa.chunked_array(pieces)
    # Before pandas 3.0 text is objects, and what is missing is None.
    return values.to_numpy() if dtype == np.dtype(object) else dtype.__from_arrow__(values)


def _is_like_date(name: str) -> bool:
    return any(part in name.lower() for part in _DATE_PARTS)


def _is_empty(pieces: Sequence[pa.Array]) -> bool:
    return all(piece.null_count == len(piece) for piece in pieces)
