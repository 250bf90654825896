r"""What stands around values: quotes, escapes, names, and what is between one value and the next.

    a,b           header    "a,b\n"
    "x y",1       row start '"', then x y, '",', 1, "\n"

A row's start is written behind the row before, so that every value has something behind it and
nothing before it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import booleans_of

if TYPE_CHECKING:
    from sojourn.columns.layout import Column, Layout

_MARK = "\ufeff"
_CONTROLS = "\\x00-\\x1f"
# What JSON escapes: https://www.rfc-editor.org/rfc/rfc8259#section-7, and letters outside of ASCII
# where a writer does that; Python's then escapes DEL as well.
_ESCAPED = f'[{_CONTROLS}"\\\\]'
_ESCAPED_IN_ASCII = r"[^ !#-\[\]-~]"


def header_text(layout: Layout) -> str:
    """Return what stands before the first row."""
    if layout.is_json:
        return ""
    names = layout.delimiter.join(_name(column.name, layout) for column in layout.columns)
    return (_MARK if layout.style.mark else "") + names + layout.newline


def row_start(layout: Layout) -> str:
    """Return what stands before the first value of each row."""
    if layout.is_json:
        return "{" + _key(layout.columns[0], layout)
    return _quote(layout.columns[0])


def separator(layout: Layout) -> str:
    """Return what separates values that stand side by side; nothing where that depends on them."""
    is_uneven = layout.is_json or any(map(_quote, layout.columns))
    return "" if is_uneven else layout.delimiter


def afters(layout: Layout, start: int, stop: int) -> list[str]:
    """Return what stands behind the value of some columns, to the next one's.

    Behind the last one of all that is the row's end and the start of the next.
    """
    sides = layout.columns[start : stop + 1]
    behind = [_between(left, right, layout) for left, right in pairwise(sides)]
    if stop == len(layout.columns):
        end = "}" if layout.is_json else _quote(layout.columns[-1])
        behind.append(end + layout.newline + row_start(layout))
    return behind


def encoded(text: bytes | memoryview, layout: Layout) -> bytes | memoryview:
    """Return UTF-8 in the encoding of the table's text.

    Raises:
        ValueError: the encoding lacks a letter of it.
    """
    encoding = layout.style.encoding
    return text if encoding == "utf-8" else bytes(text).decode().encode(encoding)


def dressed(values: pa.StringArray, column: Column, layout: Layout) -> pa.StringArray:
    """Return text as it stands in its fields."""
    if layout.is_json:
        return _filled(_in_quotes(_escaped(values, layout)), column)
    if column.quoted:
        return _filled(_in_quotes(_doubled(values)), column)
    return _quoted_where_needed(values, layout) if layout.style.quotes else values


def _between(left: Column, right: Column, layout: Layout) -> str:
    if layout.is_json:
        return layout.delimiter + _key(right, layout)
    return _quote(left) + layout.delimiter + _quote(right)


def _quote(column: Column) -> str:
    # Text has its quotes already, as what is missing there has none.
    return '"' if column.quoted and column.kind != "text" else ""


def _key(column: Column, layout: Layout) -> str:
    return f'"{_escaped_text(column.name, layout)}"' + layout.style.colon


def _name(name: str, layout: Layout) -> str:
    needs = layout.style.quotes and any(letter in name for letter in (layout.delimiter, '"'))
    if not layout.style.quotes_names and not needs:
        return name
    return '"' + name.replace('"', '""') + '"'


def _escaped_text(value: str, layout: Layout) -> str:
    text = json.dumps(value, ensure_ascii=layout.style.escapes_unicode)[1:-1]
    return text.replace("/", "\\/") if layout.style.escapes_slashes else text


def _escaped(values: pa.StringArray, layout: Layout) -> pa.StringArray:
    pattern = _ESCAPED_IN_ASCII if layout.style.escapes_unicode else _ESCAPED
    needs = pc.fill_null(pc.match_substring_regex(values, pattern=pattern), fill_value=False)
    if layout.style.escapes_slashes:
        needs = pc.or_(needs, pc.fill_null(pc.match_substring(values, "/"), fill_value=False))
    if not booleans_of(needs).any():
        return values
    texts = [_escaped_text(value, layout) for value in values.filter(needs).to_pylist()]
    return pc.replace_with_mask(values, needs, pa.array(texts, pa.string()))


def _doubled(values: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring(values, '"', '""')


def _in_quotes(values: pa.StringArray) -> pa.StringArray:
    return pc.binary_join_element_wise('"', values, '"', "")


def _filled(values: pa.StringArray, column: Column) -> pa.StringArray:
    return pc.fill_null(values, column.missing) if values.null_count else values


def _quoted_where_needed(values: pa.StringArray, layout: Layout) -> pa.StringArray:
    needs = pc.match_substring_regex(values, pattern=f'[{layout.delimiter}"\\r\\n]')
    if not booleans_of(needs).any():
        return values
    return pc.if_else(needs, _in_quotes(_doubled(values)), values)
