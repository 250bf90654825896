"""How a table of delimited text is written, told from its text, where that is no plain way.

Quotes around some or all fields, words for what is missing, a mark at the start, an encoding of its
own. What is found here is a guess: only formatting the columns again tells whether it is right.

    "a","b"         all names in quotes
    "x",1           a is text, all of it in quotes, and nothing stands for what is missing in it
    NA,             but NA; b is of integers, and nothing at all stands for what is missing
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sojourn.columns.kinds import MISSING_WORDS, find_kind, find_numbers
from sojourn.columns.layout import Column, Layout, Style

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "\ufeff"
_SAMPLE_BYTES = 1 << 15
# Going through more, at some 7 MB/s, would hold up packing.
_MOST_BYTES = 1 << 18
_SAMPLE_ROWS = 24
_Row = list[str]


def find_layout(data: bytes, *, delimiter: str, encoding: str, is_sample: bool) -> Layout | None:
    """Return how a table is written; None where it is in no way that is known here.

    Args:
        data: It, from its header on, in UTF-8.
        delimiter: What separates fields.
        encoding: What it is in where it is kept.
        is_sample: Go by its first rows, and not by its first 256 KiB.
    """
    most_bytes = _SAMPLE_BYTES if is_sample else _MOST_BYTES
    text = data[:most_bytes].decode(errors="ignore")
    is_cut = len(data) > most_bytes
    mark = text.startswith(_MARK)
    most = _SAMPLE_ROWS + 2 if is_sample else len(text)
    rows, newline = _fields(text.removeprefix(_MARK), delimiter, most=most)
    # The last row may be one that is cut.
    rows = rows[:-1] if is_cut else rows
    header, body = rows[:1], rows[1:]
    if not body or any(len(row) != len(header[0]) for row in body):
        return None
    columns = [
        _column(_bare(name), values, delimiter)
        for name, values in zip(header[0], zip(*body, strict=True), strict=True)
    ]
    found = tuple(column for column in columns if column is not None)
    if len(found) < len(columns):
        return None
    style = Style(
        quotes=b'"' in data,
        quotes_names=all(map(_is_quoted, header[0])),
        mark=mark,
        encoding=encoding,
    )
    return Layout(delimiter=delimiter, newline=newline, columns=found, style=style)


def _fields(text: str, delimiter: str, *, most: int) -> tuple[list[_Row], str]:
    """Return the fields of the first rows, in the quotes that they have, and what ends the first.

    Args:
        text: The rows.
        delimiter: What separates fields.
        most: How many rows are enough.
    """
    field = re.compile(rf'("(?:[^"]|"")*"|[^"\r\n{delimiter}]*)({re.escape(delimiter)}|\r?\n|\Z)')
    rows: list[_Row] = []
    row, newline, at = _Row(), "\n", 0
    while (at < len(text) or row) and len(rows) < most:
        match = field.match(text, at)
        if match is None:
            break
        row.append(match[1])
        at = match.end()
        if match[2] != delimiter:
            newline = newline if rows else match[2] or "\n"
            rows.append(row)
            row = _Row()
    # What is left then is a field that is cut, or none at all: one short row, which is noticed.
    is_rest = at < len(text) and len(rows) < most
    return ([*rows, [*row, text[at:]]] if is_rest else rows), newline


def _column(name: str, fields: Iterable[str], delimiter: str) -> Column | None:
    quoted: set[str] = set()
    bare: set[str] = set()
    for field in fields:
        (quoted if _is_quoted(field) else bare).add(field)
    if not quoted:
        return _bare_column(name, bare)
    values = set(map(_bare, quoted))
    if all(any(letter in value for letter in (delimiter, '"', "\r", "\n")) for value in values):
        return Column(name=name, kind="text")  # in quotes where it takes them, so others may not be
    if not bare:
        return _quoted_column(name, values)
    numbers = find_numbers(bare)
    if len(quoted) == 1 and values <= set(MISSING_WORDS) and numbers and not numbers[2]:
        return Column(name=name, kind=numbers[0], decimals=numbers[1], missing=quoted.pop())
    if len(bare) == 1 and bare <= set(MISSING_WORDS):
        return Column(name=name, kind="text", missing=bare.pop(), quoted=True)
    return None


def _bare_column(name: str, values: set[str]) -> Column | None:
    numbers = find_numbers(values)
    if numbers is not None:
        kind, decimals, missing = numbers
        return Column(name=name, kind=kind, decimals=decimals, missing=missing)
    found = find_kind(values)
    return None if found is None else Column(name=name, kind=found[0], decimals=found[1])


def _quoted_column(name: str, values: set[str]) -> Column | None:
    column = _bare_column(name, values)
    if column is None:
        return None
    return Column(
        name=name,
        kind=column.kind,
        decimals=column.decimals,
        missing=column.missing,
        quoted=True,
    )


def _is_quoted(field: str) -> bool:
    return field.startswith('"')


def _bare(field: str) -> str:
    return field[1:-1].replace('""', '"') if _is_quoted(field) else field
