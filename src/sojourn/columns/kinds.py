r"""Which kind of column some text is, as pandas would infer it; None where that is not sure.

pandas (https://pandas.pydata.org/docs/user_guide/io.html#csv-text-files) tries int64, float64 and
bool on a column, and keeps it as text if one value is none of these. It does so for one chunk of
rows after another, and a column that is text in one chunk and numbers in another comes out mixed.
So a text column must have something in every chunk that is surely text. Text that is surely no
number is what no grammar of numbers could take, whatever version of pandas reads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sojourn.columns.layout import Column, Kind

# Source: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, na_values.
MISSING_WORDS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
# A chunk has at least a quarter of this many fields divided by the columns.
# Source: DEFAULT_BUFFER_HEURISTIC in pandas/_libs/parsers.pyx, 2^18 up to 3.0 and 2^20 since, and
# the greatest power of two of rows that needs fewer.
_LEAST_CHUNK_FIELDS = (1 << 18) // 4

_INTEGER = re.compile(r"-?[1-9][0-9]*|0")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.([0-9]{1,15})")
# What Python's repr, and so pandas' to_csv, makes of finite floats; that it does is checked later.
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:e[+-][0-9]{2,3})?|e[+-][0-9]{2,3})|inf)")
# So small that `repr` would write an exponent.
_PLAIN = re.compile(r"-?0\.0000[0-9]*[1-9][0-9]*")
# pandas may take a column's larger integers, in a chunk without anything else, for text.
_SHORT_INTEGER = re.compile(r"-?[1-9][0-9]{0,14}|0")
_BOOLEANS = {"True", "False"}
# Read by Python's re and by Arrow's RE2. Each alternative takes more than pandas does.
_PERHAPS_NO_TEXT = (
    r"^[ \t\v\f\r\n]*(?:"
    r"[+-]?[ \t\v\f\r\n]*(?:"
    r"[0-9_]*[.]?[0-9_]*(?:[eEdD][+-]?[0-9_]*)?[jJlLfF%]?"
    r"|0[xX][0-9a-fA-F_.]*(?:[pP][+-]?[0-9]*)?"
    r"|(?is:(?:inf|nan|true|false).*)"
    r")|(?i:[+-]?1[.]#(?:ind|qnan)|#n/a(?: n/a)?|#na|<na>|n/a|na|null|none)"
    r")[ \t\v\f\r\n]*$"
)
_PERHAPS_NO_TEXT_RE = re.compile(_PERHAPS_NO_TEXT, re.DOTALL)
# No number, truth value or missing word begins with one of these letters, or outside of ASCII.
_BEGINS_TEXT = np.zeros(256, np.bool_)
_BEGINS_TEXT[list(b"ABCGHJKLMOPQRSUVWXYZabcghjklmopqrsuvwxyz")] = True
_BEGINS_TEXT[0x80:] = True


def find_numbers(values: Iterable[str]) -> tuple[Kind, int, str] | None:
    """Return the kind, decimals and word for what is missing of numbers; None if they are none."""
    distinct = set(values)
    words = distinct.intersection(MISSING_WORDS)
    # Without a word of its own, a column may yet come to have missing values.
    word = words.pop() if words else ""
    found = None if words else _number_kind(distinct - {word})
    return None if found is None else (*found, word)


def find_kind(values: Iterable[str]) -> tuple[Kind, int] | None:
    """Return the kind of a column with these values and its decimals; None if it is not sure."""
    distinct = set(values)
    filled = distinct - {""}
    numbers = _number_kind(filled)
    if numbers is not None:
        return numbers
    if distinct <= _BOOLEANS:
        return "boolean", 0
    if not all(map(_PERHAPS_NO_TEXT_RE.match, filled)):
        return "text", 0
    return None


def may_be(value: str, column: Column) -> bool:
    """Tell whether a value can stand in a column; where that takes longer to find out, it can."""
    if column.quoted or value == column.missing:
        return True
    if column.kind == "integer":
        return _INTEGER.fullmatch(value) is not None
    if column.kind == "decimal":
        match = _DECIMAL.fullmatch(value)
        return match is not None and len(match[1]) == column.decimals
    return column.kind != "float" or _FLOAT.fullmatch(value) is not None


def _number_kind(filled: set[str]) -> tuple[Kind, int] | None:
    if all(map(_INTEGER.fullmatch, filled)):
        return "integer", 0
    matches = [_DECIMAL.fullmatch(value) for value in filled]
    digits = {len(match[1]) if match else 0 for match in matches}
    if len(digits) == 1 and 0 not in digits:
        return "decimal", digits.pop()
    if all(map(_FLOAT.fullmatch, filled)):
        return "plain" if any(map(_PLAIN.fullmatch, filled)) else "float", 0
    if all(_FLOAT.fullmatch(value) or _SHORT_INTEGER.fullmatch(value) for value in filled):
        return "number", 0
    return None


def is_hopeless(values: Iterable[str]) -> bool:
    """Tell whether a column is refused for these values, unless text comes that is none yet."""
    distinct = set(values)
    found = find_kind(distinct) or find_numbers(distinct)
    return found is None and not distinct <= {*MISSING_WORDS, *_BOOLEANS}


def reads_as_text(column: pa.StringArray, *, columns: int, is_whole: bool) -> bool:
    """Tell whether pandas makes a text column of this, however it cuts the rows into chunks.

    Args:
        column: The values, or a block of them.
        columns: How many columns the table has.
        is_whole: Whether these are all rows of the table.
    """
    if len(column) == 0:
        return False
    chunk_rows = max(1, _LEAST_CHUNK_FIELDS // columns)
    # Where a value in each stretch is surely text, no other need be looked at.
    if surely_text(column.take(_one_in_each(chunk_rows, rows=len(column)))).all():
        return True
    surely = np.flatnonzero(surely_text(column))
    if len(surely) == 0:
        return False
    if is_whole and len(column) <= chunk_rows:
        return True
    # The last row may be a chunk by itself, and no stretch crosses from block to block.
    gaps = np.diff(surely, prepend=-1)
    return bool(surely[-1] == len(column) - 1 and gaps.max() <= chunk_rows)


def _one_in_each(chunk_rows: int, *, rows: int) -> pa.Array:
    """Return the numbers of rows so that every stretch of so many rows has one: first and last."""
    return pa.array(np.append(np.arange(0, rows - 1, chunk_rows), rows - 1))


def surely_text(column: pa.StringArray) -> NDArray[np.bool_]:
    """Return which values no grammar of numbers could take."""
    _, offset_buffer, letter_buffer = column.buffers()
    if letter_buffer is None or letter_buffer.size == 0:
        return np.zeros(len(column), np.bool_)
    offsets = np.frombuffer(offset_buffer, np.int32)[column.offset :][: len(column) + 1]
    letters = np.frombuffer(letter_buffer, np.uint8)
    # An empty value at the very end begins behind the last letter.
    begins = letters[np.minimum(offsets[:-1], len(letters) - 1)]
    surely = _BEGINS_TEXT[begins] & (offsets[1:] > offsets[:-1])
    if not surely.all():
        # Regular expressions take twenty times as long, so only the rest goes through them.
        rest = column.filter(pa.array(~surely))
        perhaps = pc.match_substring_regex(rest, pattern=_PERHAPS_NO_TEXT)
        surely[~surely] = ~booleans_of(pc.fill_null(perhaps, fill_value=True))
    return surely
