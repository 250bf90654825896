"""A table's text to typed columns, where nothing is lost by it; anything unsure is refused.

What comes out has been formatted again and compared with what went in. The other half of the
promise, that reading the columns gives what `pandas.read_csv` makes of the text, rests on how
pandas infers types, which the rules here go by (`kinds.py`). It reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from sojourn.columns.dialects import find_layout
from sojourn.columns.dressing import header_text
from sojourn.columns.formatting import format_rows
from sojourn.columns.kinds import find_kind, find_numbers, is_hopeless, may_be, reads_as_text
from sojourn.columns.layout import (
    ENCODINGS,
    FLOATS,
    PLAIN,
    Column,
    Layout,
    find_fault,
    missing_word,
)
from sojourn.columns.values import held_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Arrow's offsets are 32 bits wide; a larger file comes in blocks.
MAX_BYTES = 1 << 30
_SAMPLE_BYTES = 1 << 15
_SAMPLE_LINES = 24
_MARK = b"\xef\xbb\xbf"
_REFUSED_STARTS = (b"\xfe\xff", b"\xff\xfe")
_ARROW_TYPES = {
    "integer": pa.int64(),
    "decimal": pa.float64(),
    **dict.fromkeys(FLOATS, pa.float64()),
    "text": pa.string(),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A table, or a block of one, as columns.

    Attributes:
        layout: With it, `format_rows` makes the text of the columns.
        columns: One array for each of the layout's columns: int32 for integers and decimals where
            that is enough and int64 where not, float64, string, or bool. Numbers may be null, and
            text in quotes.
        rows: At least one.
        ends_with_newline: Whether the last line is ended as the others are.
    """

    layout: Layout
    columns: tuple[pa.Array, ...]
    rows: int
    ends_with_newline: bool


class Parser(Protocol):
    """Makes columns of a table's text, as `parse` and `parse_json_lines` do."""

    def __call__(
        self,
        data: bytes,
        *,
        layout: Layout | None = None,
        is_first: bool = True,
        is_last: bool = True,
    ) -> Parsed | None:
        """Return the columns; None if they had better be kept as text."""
        ...


def parse(
    data: bytes,
    *,
    delimiter: str,
    layout: Layout | None = None,
    is_first: bool = True,
    is_last: bool = True,
) -> Parsed | None:
    """Return the columns of some lines of a table; None if they had better be kept as text.

    Args:
        data: Whole lines: a file, or a block of one that is cut behind a line end.
        delimiter: What separates fields.
        layout: What the lines have to fit. Needed after the first block. For a first one it
            spares finding it out, a third of the time: worth a try where files are alike.
        is_first: Whether the first line is the header.
        is_last: Whether the file ends here.

    Raises:
        ValueError: a block that is not the first came without a layout.
    """
    if layout is None and not is_first:
        raise ValueError("A block that is not the first of its table needs the first's layout.")
    if not data or len(data) > MAX_BYTES or data.startswith(_REFUSED_STARTS):
        return None
    if b"\0" in data:
        return None
    encodings = ENCODINGS if layout is None else (layout.style.encoding,)
    text, encoding = _as_utf8(data, encodings)
    if text is None:
        return None
    lines = _Lines(data=text, source=data, is_first=is_first, is_whole=is_first and is_last)
    if layout is not None:
        fits = layout.delimiter == delimiter and not layout.is_json and lines.fit(layout)
        return lines.parse(layout) if fits else None
    is_plain = b'"' not in data and not data.startswith(_MARK) and encoding == ENCODINGS[0]
    return (
        _parse_plain(lines, delimiter) if is_plain else _parse_dressed(lines, delimiter, encoding)
    )


def _as_utf8(data: bytes, encodings: Sequence[str]) -> tuple[bytes | None, str]:
    """Return text in UTF-8, and which of some encodings it was in; None if in none."""
    if data.isascii():
        return data, encodings[0]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return data if encoding == ENCODINGS[0] else text.encode(), encoding
    return None, ""


def _parse_dressed(lines: _Lines, delimiter: str, encoding: str) -> Parsed | None:
    """Return the columns of lines in quotes, with words for what is missing, or in Korean's own."""
    layout = find_layout(lines.data, delimiter=delimiter, encoding=encoding, is_sample=True)
    if layout is None or find_fault(layout) is not None:
        return None
    parsed = lines.parse(layout)
    if parsed is None:
        whole = find_layout(lines.data, delimiter=delimiter, encoding=encoding, is_sample=False)
        if whole is not None and whole != layout and find_fault(whole) is None:
            parsed = lines.parse(whole)
    return parsed


def _parse_plain(lines: _Lines, delimiter: str) -> Parsed | None:
    blank = lines.layout_of_text(delimiter)
    if blank is None or find_fault(blank) is not None:
        return None
    samples = lines.sample(blank)
    if samples is None or any(is_hopeless(sample) for sample in samples):
        return None
    layout = _with_kinds(blank, samples)
    parsed = None if layout is None else lines.parse(layout)
    if parsed is None:
        # What the sample shows is not so all the way down; this is slow, and rare.
        texts = lines.read(blank)
        whole = texts and _with_kinds(blank, (pc.unique(text).to_pylist() for text in texts))
        parsed = lines.parse(whole) if whole and whole != layout else None
    return parsed


def _with_kinds(blank: Layout, samples: Iterable[Iterable[str]]) -> Layout | None:
    columns = []
    for column, values in zip(blank.columns, samples, strict=True):
        distinct = set(values)
        found = find_numbers(distinct) or find_kind(distinct)
        if found is None:
            return None
        kind, decimals, *missing = found
        columns.append(
            Column(name=column.name, kind=kind, decimals=decimals, missing="".join(missing))
        )
    return Layout(delimiter=blank.delimiter, newline=blank.newline, columns=tuple(columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """Lines of a table, the first of which may be its header; `data` is `source` in UTF-8."""

    data: bytes
    source: bytes
    is_first: bool
    is_whole: bool

    def layout_of_text(self, delimiter: str) -> Layout | None:
        """Return what the header says, as if all columns were text."""
        end = self.data.find(b"\n")
        newline = "\r\n" if self.data[:end].endswith(b"\r") else "\n"
        try:
            line = self.data[: end + 1].decode()
        except UnicodeDecodeError:
            return None
        names = line.removesuffix(newline).split(delimiter)
        columns = tuple(Column(name=name, kind="text") for name in names)
        return Layout(delimiter=delimiter, newline=newline, columns=columns)

    def fit(self, layout: Layout) -> bool:
        """Tell whether the header is the layout's, and the first row may be."""
        header = _header_in_utf8(layout) if self.is_first else b""
        if not self.data.startswith(header):
            return False
        if layout.style != PLAIN:
            return True
        end = self.data.find(b"\n", len(header)) + 1
        row = self.data[len(header) : end or None].decode(errors="replace")
        values = row.removesuffix(layout.newline).split(layout.delimiter)
        columns = layout.columns
        return len(values) == len(columns) and all(map(may_be, values, columns))

    def sample(self, blank: Layout) -> Sequence[Sequence[str]] | None:
        """Return some of the values of each column; None if these are no whole rows."""
        start = len(_header_in_utf8(blank))
        try:
            text = self.data[start : start + _SAMPLE_BYTES].decode(errors="ignore")
        except UnicodeDecodeError:
            return None
        lines = text.split(blank.newline, _SAMPLE_LINES)
        # The last one may be cut, and is the rest where there are more.
        lines = lines[:-1] if len(lines) > 1 else lines
        rows = [line.split(blank.delimiter) for line in lines]
        if any(len(row) != len(blank.columns) for row in rows):
            return None
        return list(zip(*rows, strict=True))

    def parse(self, layout: Layout) -> Parsed | None:
        """Return the columns if they are of these kinds and make these lines; else None."""
        found = self.read(layout)
        if found is None:
            return None
        columns = [
            self._checked(column, array, layout)
            for column, array in zip(layout.columns, found, strict=True)
        ]
        arrays = tuple(array for array in columns if array is not None)
        if len(arrays) < len(columns):
            return None
        ends_with_newline = self.data.endswith(layout.newline.encode())
        text = format_rows(layout, arrays, header=self.is_first, final_newline=ends_with_newline)
        if text != self.source:
            return None
        return Parsed(
            layout=layout,
            columns=arrays,
            rows=len(arrays[0]),
            ends_with_newline=ends_with_newline,
        )

    def read(self, layout: Layout) -> list[pa.Array] | None:
        """Return each column as Arrow reads it; None if it cannot, or there are no rows."""
        skipped = len(_header_in_utf8(layout)) if self.is_first else 0
        size = len(self.data) - skipped
        if size <= 0:
            return None
        names = [column.name for column in layout.columns]
        try:
            table = csv.read_csv(
                pa.BufferReader(pa.py_buffer(self.data).slice(skipped)),
                csv.ReadOptions(use_threads=False, column_names=names, block_size=size + 1),
                csv.ParseOptions(
                    delimiter=layout.delimiter,
                    quote_char='"' if layout.style.quotes else False,
                    newlines_in_values=layout.style.quotes,
                ),
                _conversion(layout),
            )
        except pa.ArrowInvalid:  # ragged, not UTF-8, or of another kind
            return None
        return [column.combine_chunks() for column in table.columns] if table.num_rows else None

    def _checked(self, column: Column, array: pa.Array, layout: Layout) -> pa.Array | None:
        if column.kind == "boolean":
            return None if array.null_count else array
        if column.kind != "text":
            return held_numbers(column, array, is_first=self.is_first)
        if array.null_count and not column.quoted:
            array = pc.fill_null(array, _only_spelling(layout))
        # pandas may take a line for blank that begins with a blank.
        if column is layout.columns[0] and not column.quoted and _begins_with_blank(array):
            return None
        columns = len(layout.columns)
        return array if reads_as_text(array, columns=columns, is_whole=self.is_whole) else None


def _conversion(layout: Layout) -> csv.ConvertOptions:
    """Return what Arrow is to make of fields."""
    text_lacks = _text_lacks(layout)
    return csv.ConvertOptions(
        column_types={column.name: _ARROW_TYPES[column.kind] for column in layout.columns},
        null_values=sorted(_spellings(layout)),
        strings_can_be_null=text_lacks,
        quoted_strings_can_be_null=not text_lacks,
        true_values=["True"],
        false_values=["False"],
    )


def _text_lacks(layout: Layout) -> bool:
    """Tell whether something may be missing in text, where in quotes nothing is."""
    numbers = [column for column in layout.columns if column.kind != "text"]
    in_quotes = any(c.quoted or c.missing != missing_word(c) for c in numbers)
    texts = any(column.kind == "text" and column.quoted for column in layout.columns)
    return texts and not in_quotes


def _spellings(layout: Layout) -> set[str]:
    """Return what stands for what is missing anywhere, without quotes."""
    lacking = (c for c in layout.columns if c.kind != "text" or c.quoted)
    return {missing_word(c) for c in lacking}


def _only_spelling(layout: Layout) -> str:
    # With several, what this makes may not be what was read, and that is noticed.
    return min(_spellings(layout))


def _header_in_utf8(layout: Layout) -> bytes:
    return header_text(layout).encode()


def _begins_with_blank(array: pa.StringArray) -> bool:
    return any(pc.any(pc.starts_with(array, blank)).as_py() for blank in (" ", "\t"))
