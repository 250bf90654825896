r"""Which files are tables, and the rows and columns of a CSV or TSV while its bytes pass by.

Counts what pandas would read with its defaults: the first line that is not blank is the header,
lines of nothing but blanks are skipped, and a line end between quotes ends no row. A quote counts
as one only where it begins a field; elsewhere it is a letter.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sojourn.columns import parse, parse_json_lines

if TYPE_CHECKING:
    from sojourn.columns import Parser

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
# Longer lines, or a file without line feeds, are not worth holding on to.
_LONGEST_LINE_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Rows without the header, and columns."""

    rows: int
    columns: int


def delimiter_of(path: str) -> str | None:
    """Return what separates the fields of a table with this name; None if it is none we count."""
    return _DELIMITERS.get(_ending(path))


def parser_of(path: str) -> Parser | None:
    """Return what makes columns of a table with this name; None if it is none."""
    if _ending(path) in _JSON_LINES:
        return parse_json_lines
    delimiter = delimiter_of(path)
    return None if delimiter is None else partial(parse, delimiter=delimiter)


def _ending(path: str) -> str:
    return path[path.rfind(".") :].lower() if "." in path else ""


class TableCounter:
    """Takes a table's bytes in pieces of any size and tells its shape at the end."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        blank = rb" " if delimiter == "\t" else rb" \t"
        self._line = re.compile(rb"[" + blank + rb"]*[^\r\n" + blank + rb"][^\r\n]*")
        # What a line that may be blank begins with.
        self._blank_starts = (b"\n", b"\r", b" ") + (() if delimiter == "\t" else (b"\t",))
        begins_field = rb"(?:\A|(?<=[\r\n" + delimiter.encode() + rb"]))"
        self._quoted = re.compile(begins_field + rb'"[^"]*+(?:""[^"]*+)*+(?:"|(?P<open>\Z))')
        self._header = b""
        self._unfinished = b""
        self._lines = 0
        self._told = True

    def update(self, data: bytes) -> None:
        """Count the next piece."""
        if not self._told:
            return
        # Only whole lines are counted; the last one waits for what follows.
        data = self._unfinished + data
        plain = self._without_quotes(data)
        end = plain.rfind(b"\n") + 1
        self._unfinished = data[end:]
        self._told = len(self._unfinished) <= _LONGEST_LINE_BYTES and b"\0" not in data
        self._count(data[:end], plain[:end])

    def finish(self) -> Shape | None:
        """Return the shape; None where it cannot be told."""
        rest = self._unfinished
        if any(field["open"] is not None for field in self._quoted.finditer(rest)):
            return None
        self._count(rest, self._without_quotes(rest))
        columns = self._columns() if self._told and self._lines else None
        return None if columns is None else Shape(rows=self._lines - 1, columns=columns)

    def _without_quotes(self, data: bytes) -> bytes:
        """Return data of the same length where what is quoted is but one letter, repeated."""
        if b'"' not in data:
            return data
        return self._quoted.sub(lambda field: b"q" * len(field[0]), data)

    def _count(self, data: bytes, plain: bytes) -> None:
        if not plain:
            return
        if self._lines == 0:
            # The header is in what is counted until the first line that is not blank.
            self._header = data[: _LONGEST_LINE_BYTES * 2]
        if self._is_plain(plain):
            self._lines += plain.count(b"\n") + (not plain.endswith(b"\n"))
        else:
            self._lines += len(self._line.findall(plain))

    def _is_plain(self, data: bytes) -> bool:
        """Tell whether every line feed, and nothing else, ends a line that is not blank."""
        # Searches, ten times as quick as one regular expression for all; and those for one byte
        # are ten times as quick again.
        if data.startswith(self._blank_starts):
            return False
        if any(start in data and b"\n" + start in data for start in self._blank_starts):
            return False
        return b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")

    def _columns(self) -> int | None:
        text = self._header.removeprefix(_BOM).decode("utf-8", errors="replace")
        try:
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter):
                if len(record) > 1 or (record and record[0].strip(" \t")):
                    return len(record)
        except csv.Error:
            return None
        return None
