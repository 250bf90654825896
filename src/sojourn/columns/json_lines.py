"""JSON lines to typed columns, where nothing is lost by it; anything unsure is refused.

Each line is an object with the same names in the same order, written as `json.dumps` or pandas'
`to_json` does: numbers, text, truth values, null. What comes out has been formatted again and
compared with what went in. How pandas reads it is `json_reading`'s; it reads no file.

    {"a": 1, "b": "x"}
"""

from __future__ import annotations

import json
from types import NoneType
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
from pyarrow import json as arrow_json

from sojourn.columns.formatting import format_rows
from sojourn.columns.kinds import find_kind
from sojourn.columns.layout import (
    FLOATS,
    JSON_COLONS,
    JSON_DELIMITERS,
    JSON_MISSING,
    Column,
    Layout,
    Style,
    find_fault,
)
from sojourn.columns.parsing import MAX_BYTES, Parsed
from sojourn.columns.values import held_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLE_BYTES = 1 << 15
# Going through more, line by line, would hold up packing.
_MOST_BYTES = 1 << 18
_SAMPLE_LINES = 24
_ARROW_TYPES = {
    "integer": pa.int64(),
    "decimal": pa.float64(),
    **dict.fromkeys(FLOATS, pa.float64()),
    "text": pa.string(),
    "boolean": pa.bool_(),
}


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def parse_json_lines(
    data: bytes,
    *,
    layout: Layout | None = None,
    is_first: bool = True,
    is_last: bool = True,  # noqa: ARG001 - as a Parser
) -> Parsed | None:
    """Return the columns of some JSON lines; None if they had better be kept as text.

    Args:
        data: Whole lines: a file, or a block of one that is cut behind a line end.
        layout: What the lines have to fit. Needed after the first block.
        is_first: Whether the file begins here.
        is_last: Whether the file ends here.

    Raises:
        ValueError: a block that is not the first came without a layout.
    """
    if layout is None and not is_first:
        raise ValueError("A block that is not the first of its table needs the first's layout.")
    if not data.startswith(b'{"') or len(data) > MAX_BYTES:
        return None
    if layout is not None:
        return _parse(data, layout) if layout.is_json else None
    sampled = _find_layout(data, is_sample=True)
    if sampled is None:
        return None
    parsed = _parse(data, sampled)
    if parsed is None:
        # What the sample shows is not so further down; this is slow, and rare.
        whole = _find_layout(data, is_sample=False)
        parsed = _parse(data, whole) if whole is not None and whole != sampled else None
    return parsed


def _find_layout(data: bytes, *, is_sample: bool) -> Layout | None:
    """Return how lines are written, by the first of them or the first 256 KiB; None if unknown."""
    newline = "\r\n" if data[: data.find(b"\n")].endswith(b"\r") else "\n"
    cut = data[: _SAMPLE_BYTES if is_sample else _MOST_BYTES]
    lines = cut.split(newline.encode(), _SAMPLE_LINES if is_sample else -1)
    # The last one may be cut, is the rest where there are more, or is nothing.
    is_whole = len(cut) == len(data) and not (is_sample and len(lines) > _SAMPLE_LINES)
    lines = lines[:-1] if not lines[-1] or (len(lines) > 1 and not is_whole) else lines
    try:
        rows = [_pairs(line) for line in lines]
        delimiter, colon = _separators(lines[0].decode())
    except (ValueError, RecursionError):
        return None
    names = [name for name, _ in rows[0]]
    if any([name for name, _ in row] != names for row in rows):
        return None
    columns = [_column(name, [row[at][1] for row in rows]) for at, name in enumerate(names)]
    found = tuple(column for column in columns if column is not None)
    style = Style(colon=colon, escapes_unicode=data.isascii(), escapes_slashes=b"\\/" in data)
    layout = Layout(delimiter=delimiter, newline=newline, columns=found, style=style)
    return layout if len(found) == len(columns) and find_fault(layout) is None else None


def _pairs(line: bytes) -> list[tuple[str, Any]]:
    """Return the names and values of an object, numbers as they are written.

    Raises:
        ValueError: this is no object.
    """
    pairs = json.loads(
        line,
        object_pairs_hook=list,
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=_refuse,
    )
    if not line.startswith(b"{"):
        _refuse("a line")
    return [(name, value) for name, value in pairs]


def _refuse(what: str) -> NoReturn:
    raise ValueError(f"{what} is none of a table in JSON lines")


def _separators(line: str) -> tuple[str, str]:
    """Return what separates values, and a name from its value, by the first two of each."""
    decoder = json.JSONDecoder()
    _, at = decoder.raw_decode(line, 1)
    colon = JSON_COLONS[0] if line.startswith(JSON_COLONS[0], at) else JSON_COLONS[1]
    _, at = decoder.raw_decode(line, at + len(colon))
    if line.startswith("}", at):
        return JSON_DELIMITERS[JSON_COLONS.index(colon)], colon
    spaced = line.startswith(JSON_DELIMITERS[0], at)
    return JSON_DELIMITERS[0] if spaced else JSON_DELIMITERS[1], colon


def _column(name: str, values: Sequence[Any]) -> Column | None:
    types = {type(value) for value in values}
    filled = types - {NoneType}
    if filled <= {_Number}:
        found = find_kind(value for value in values if value is not None)
        if found is None:
            return None
        return Column(name=name, kind=found[0], decimals=found[1], missing=JSON_MISSING)
    if filled == {str}:
        return Column(name=name, kind="text", missing=JSON_MISSING, quoted=True)
    if types == {bool}:
        return Column(name=name, kind="boolean", missing=JSON_MISSING)
    return None


def _parse(data: bytes, layout: Layout) -> Parsed | None:
    """Return the columns if they are of these kinds and make these lines; else None."""
    schema = pa.schema([(column.name, _ARROW_TYPES[column.kind]) for column in layout.columns])
    try:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid:  # of other names, of another kind, not UTF-8, or no JSON
        return None
    if not table.num_rows or table.column_names != schema.names:
        return None
    arrays = []
    for column, chunks in zip(layout.columns, table.columns, strict=True):
        array = _held(column, chunks.combine_chunks())
        if array is None:
            return None
        arrays.append(array)
    ends_with_newline = data.endswith(layout.newline.encode())
    if format_rows(layout, arrays, header=False, final_newline=ends_with_newline) != data:
        return None
    return Parsed(
        layout=layout,
        columns=tuple(arrays),
        rows=table.num_rows,
        ends_with_newline=ends_with_newline,
    )


def _held(column: Column, array: pa.Array) -> pa.Array | None:
    if column.kind == "boolean":
        return None if array.null_count else array
    # What pandas makes of it is left to pandas wherever it is not sure.
    return array if column.kind == "text" else held_numbers(column, array, is_first=False)
