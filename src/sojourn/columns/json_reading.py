"""JSON lines that are kept as columns, as the table that pandas makes of them.

`pandas.read_json` guesses: text may become numbers, numbers whole ones, and what a name says is a
date one. And its floats are those of its own quick parser, which may be off in the last digit, and
differently from build to build. So only what leaves no room is made from the columns: integers,
truth values, text in which something is surely no number, and floats as that parser computes them,
if on a sample of floats it is seen to. Other numbers are handed to that very parser, and
all else as lines of their own, so that it is pandas that guesses.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of, missing_of, numbers_of
from sojourn.columns.formatting import float_texts, format_rows
from sojourn.columns.kinds import surely_text
from sojourn.columns.layout import (
    FLOATS,
    MAX_DECIMALS,
    MAX_SCALED,
    NEGATIVE_ZERO,
    Column,
    Layout,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Floats that are tried for each number of digits behind the point.
_PROBES = 200
_POWERS = 10 ** np.arange(MAX_DECIMALS + 1)
_PARTS = np.array([float(f"1e-{decimals}") for decimals in range(MAX_DECIMALS + 1)])
_MOST_INTEGER = 2.0**63
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
    labels = _labels(tuple(names))
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
    frame.columns = labels.copy()
    return frame


@lru_cache(maxsize=64)
def _labels(names: tuple[str, ...]) -> Any:
    """Return what pandas makes of names, which it takes for numbers or dates where all may be."""
    import pandas as pd

    line = json.dumps(dict.fromkeys(names, 0)).encode()
    return pd.read_json(pa.BufferReader(line), lines=True).columns


def _sure_values(column: Column, pieces: Sequence[pa.Array], text_dtype: Any) -> Any:
    """Return values of which pandas can make nothing else; None if it might."""
    if _is_like_date(column.name):
        return None
    if column.kind == "text" and any(surely_text(piece).any() for piece in pieces):
        return _text(pieces, text_dtype)
    if column.kind == "integer" and not any(piece.null_count for piece in pieces):
        return pa.chunked_array([piece.cast(pa.int64()) for piece in pieces]).to_numpy()
    if column.kind in ("decimal", *FLOATS) and not _is_empty(pieces) and _sums_are_known():
        return _floats(column, pieces)
    return pa.chunked_array(pieces).to_numpy() if column.kind == "boolean" else None


def _floats(column: Column, pieces: Sequence[pa.Array]) -> NDArray[Any]:
    """Return floats as pandas' parser of JSON computes them; integers if all of them are whole."""
    values = np.concatenate([_float_values(column, piece) for piece in pieces])
    is_whole = not any(piece.null_count for piece in pieces) and (values == np.trunc(values)).all()
    # Whole numbers beyond integers stay floats.
    if is_whole and ((values >= -_MOST_INTEGER) & (values < _MOST_INTEGER)).all():
        return values.astype(np.int64)
    return values


def _float_values(column: Column, piece: pa.Array) -> NDArray[np.float64]:
    """Return floats as pandas' parser of JSON computes them; NaN where they are missing.

    It adds the digits before the point to those behind it times a power of ten, so it rounds twice.
    Source: createDouble in pandas/_libs/src/vendored/ujson/lib/ultrajsondec.c.
    """
    missing = missing_of(piece)
    if column.kind == "decimal":
        scaled = numbers_of(piece).astype(np.int64)
        is_negative = scaled < 0
        # One value stands for minus zero, which has a sign and no digits.
        scaled[scaled == NEGATIVE_ZERO] = 0
        values = _sums(np.abs(scaled), np.full(len(scaled), column.decimals), is_negative)
    else:
        values = _sums_of_shortest(column, pc.fill_null(piece, 0.5))
    if missing is not None:
        values[missing] = np.nan
    return values


def _sums(
    scaled: NDArray[np.int64], decimals: NDArray[np.intp], is_negative: NDArray[np.bool_]
) -> NDArray[np.float64]:
    before, behind = np.divmod(scaled, _POWERS[decimals])
    values: NDArray[np.float64] = before + behind * _PARTS[decimals]
    values[is_negative] *= -1.0
    return values


def _sums_of_shortest(column: Column, piece: pa.DoubleArray) -> NDArray[np.float64]:
    texts = float_texts(piece, column)
    sizes = pc.utf8_length(texts).to_numpy()
    points = pc.find_substring(texts, ".").to_numpy()
    decimals = np.where(points < 0, 0, sizes - points - 1)
    has_exponent = booleans_of(pc.match_substring(texts, "e"))
    floats = piece.to_numpy()
    is_short = ~has_exponent & (decimals <= MAX_DECIMALS)
    decimals = np.where(is_short, decimals, 0).astype(np.intp)
    with np.errstate(over="ignore"):
        scaled = np.rint(np.abs(floats) * _POWERS[decimals])
    # As far as rounding gives the digits that were written: see MAX_SCALED.
    is_short &= scaled < MAX_SCALED
    scaled = np.where(is_short, scaled, 0).astype(np.int64)
    values = _sums(scaled, decimals, np.signbit(floats))
    if not is_short.all():
        values[~is_short] = _parsed(texts.filter(pa.array(~is_short)))
    return values


def _parsed(texts: pa.StringArray) -> NDArray[np.float64]:
    """Return what pandas' parser of JSON makes of numbers."""
    import pandas as pd

    document = pa.BufferReader(b'{"x":[' + ",".join(texts.to_pylist()).encode() + b"]}")
    # Each is a float or a whole number that is one, so nothing is lost by what pandas guesses.
    values: NDArray[np.float64] = pd.read_json(document, convert_axes=False, dtype=False)[
        "x"
    ].to_numpy(np.float64)
    return values


@cache
def _sums_are_known() -> bool:
    """Tell whether the installed pandas computes floats as it did where this was written.

    Where its compiler fuses the product and the sum, some of these come out otherwise.
    """
    rng = np.random.default_rng(0)
    for decimals in range(1, MAX_DECIMALS + 1):
        scaled = rng.integers(0, 10 ** min(decimals + 2, 15), _PROBES)
        column = Column(name="x", kind="decimal", decimals=decimals)
        layout = Layout(delimiter=",", newline="\n", columns=(column,))
        lines = format_rows(layout, [pa.array(scaled)], header=False, final_newline=False)
        theirs = _parsed(pa.array(lines.decode().split("\n")))
        ours = _sums(scaled, np.full(_PROBES, decimals), scaled < 0)
        if not np.array_equal(ours.view(np.int64), theirs.view(np.int64)):
            return False
    return True


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
    document = pa.BufferReader(b"{" + b",".join(lists) + b"}")
    return pd.read_json(document, convert_axes=False)


def _text(pieces: Sequence[pa.Array], dtype: Any) -> Any:
    values = pa.chunked_array(pieces)
    # Before pandas 3.0 text is objects, and what is missing is None.
    return values.to_numpy() if dtype == np.dtype(object) else dtype.__from_arrow__(values)


def _is_like_date(name: str) -> bool:
    return any(part in name.lower() for part in _DATE_PARTS)


def _is_empty(pieces: Sequence[pa.Array]) -> bool:
    return all(piece.null_count == len(piece) for piece in pieces)
