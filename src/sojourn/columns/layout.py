r"""What a table's text looks like besides its values: delimiter, line ends, quotes, columns.

With the values it makes the text, to the byte. It knows nothing of where either is kept.

    a,b             delimiter ",", newline "\n", columns a and b
    1,x
    {"a": 1}        the same with the colon ": " is JSON lines, and the names stand in every row
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias

from sojourn.columns.kinds import MISSING_WORDS

Kind: TypeAlias = Literal["integer", "decimal", "float", "plain", "number", "text", "boolean"]

DELIMITERS = (",", "\t", ";", "|")
NEWLINES = ("\n", "\r\n")
KINDS = ("integer", "decimal", "float", "plain", "number", "text", "boolean")
FLOATS = ("float", "plain", "number")
JSON_DELIMITERS = (", ", ",")
JSON_COLONS = (": ", ":")
JSON_MISSING = "null"
ENCODINGS = ("utf-8", "cp949")
# 10^15 is a double, and so is every integer below MAX_SCALED: see reading.py.
MAX_DECIMALS = 15
# A double times 10^d is off by at most one part in 2^52, which is less than half a unit below
# 2^51: so far, rounding gives the scaled integer that was written.
MAX_SCALED = 1 << 51
# Stands for -0.0 among scaled integers, which have none: "%.2f" writes it for -0.001. A decimal
# with this very value is refused.
NEGATIVE_ZERO = -(1 << 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        name: As the header has it.
        kind: What its values are. Integers are int64, decimals are integers scaled by
            10^decimals (NEGATIVE_ZERO for -0.0), floats are written with the fewest digits that
            tell them apart, as Python's `repr` does; plain ones without exponents, and numbers
            without ".0" where they are whole. Text is kept verbatim.
        decimals: How many digits every value has after its point; 0 unless it is a decimal.
        missing: What stands for a missing value, in quotes of its own perhaps.
        quoted: Whether every value stands in quotes, and what stands for a missing number too. In
            a column of text what is missing does not.
    """

    name: str
    kind: Kind
    decimals: int = 0
    missing: str = ""
    quoted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What is not so in the plainest of texts.

    Attributes:
        colon: What stands between a name and a value in JSON lines; empty for anything else.
        escapes_unicode: Whether JSON has no letters outside of ASCII.
        escapes_slashes: Whether JSON has a backslash before each slash.
        quotes: Whether text and names stand in quotes where it takes them, which it does for
            delimiters, quotes and line ends.
        quotes_names: Whether all names stand in quotes.
        mark: Whether the text begins with a byte order mark.
        encoding: One of ENCODINGS.
    """

    colon: str = ""
    escapes_unicode: bool = False
    escapes_slashes: bool = False
    quotes: bool = False
    quotes_names: bool = False
    mark: bool = False
    encoding: str = "utf-8"


PLAIN = Style()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the text of a table is made from its values.

    Attributes:
        delimiter: One of DELIMITERS, or of JSON_DELIMITERS.
        newline: One of NEWLINES; it ends the header and every row, perhaps not the last one.
        columns: At least one, with distinct names.
        style: What else is to be said.
    """

    delimiter: str
    newline: str
    columns: tuple[Column, ...]
    style: Style = PLAIN

    @property
    def is_json(self) -> bool:
        """Whether each row is a JSON object."""
        return bool(self.style.colon)


def is_first_form(layout: Layout) -> bool:
    """Tell whether a layout says nothing that readers of the manifest's schema 2 do not know."""
    return layout.style == PLAIN and all(
        column.name and not column.missing and not column.quoted and column.kind in _FIRST_KINDS
        for column in layout.columns
    )


_FIRST_KINDS = ("integer", "decimal", "float", "text", "boolean")


def format_layout(layout: Layout) -> dict[str, Any]:
    """Return a document that JSON can hold and `parse_layout` reads."""
    document: dict[str, Any] = {
        "delimiter": layout.delimiter,
        "newline": layout.newline,
        "columns": [_column_document(column) for column in layout.columns],
    }
    style = {
        name: getattr(layout.style, name)
        for name in Style.__slots__
        if getattr(layout.style, name) != getattr(PLAIN, name)
    }
    return document | {"style": style} if style else document


def _column_document(column: Column) -> list[Any]:
    document = [column.name, column.kind, column.decimals]
    if column.missing or column.quoted:
        document += [column.missing, column.quoted]
    return document


def parse_layout(document: Any) -> Layout:
    """Read what `format_layout` made, trusting none of it.

    Raises:
        ValueError: it is malformed, or names a table that cannot be; it says why.
    """
    match document:
        case {"delimiter": str(delimiter), "newline": str(newline), "columns": list(columns)} if (
            document.keys() <= set(Layout.__slots__)
        ):
            layout = Layout(
                delimiter=delimiter,
                newline=newline,
                columns=tuple(_column(item) for item in columns),
                style=_style(document.get("style", {})),
            )
        case _:
            _fail("it is no record of a delimiter, a newline and columns")
    fault = find_fault(layout)
    if fault is not None:
        _fail(fault)
    return layout


def _style(document: object) -> Style:
    if not isinstance(document, dict) or not document.keys() <= set(Style.__slots__):
        _fail("its style is none")
    for name, value in document.items():
        if type(value) is not type(getattr(PLAIN, name)):
            _fail(f"its style has no such {name}")
    return Style(**document)


def find_fault(layout: Layout) -> str | None:
    """Return what is wrong with a layout; None if its text can be written and read back."""
    if layout.newline not in NEWLINES:
        return f"{layout.newline[:8]!r} ends no line"
    if not layout.columns:
        return "it has no columns"
    names = [column.name for column in layout.columns]
    if len(set(names)) < len(names):
        return "two of its columns have one name"  # pandas would rename the second
    fault = _json_fault(layout) if layout.is_json else _delimited_fault(layout)
    if fault is not None:
        return fault
    name_fault = _json_name_fault if layout.is_json else _name_fault
    faults = (name_fault(name, layout) for name in names)
    kind_faults = (_kind_fault(column) for column in layout.columns)
    return next((fault for fault in (*faults, *kind_faults) if fault is not None), None)


def _json_fault(layout: Layout) -> str | None:
    style = layout.style
    if layout.delimiter not in JSON_DELIMITERS or style.colon not in JSON_COLONS:
        return f"{layout.delimiter[:8]!r} and {style.colon[:8]!r} separate nothing in JSON"
    if style.quotes or style.quotes_names or style.mark or style.encoding != PLAIN.encoding:
        return "it is JSON, and has a style that is none of JSON's"
    for column in layout.columns:
        if column.missing != JSON_MISSING or column.quoted != (column.kind == "text"):
            return f"the column {column.name[:80]!r} is not written as JSON is"
    return None


def _delimited_fault(layout: Layout) -> str | None:
    style, names = layout.style, [column.name for column in layout.columns]
    if layout.delimiter not in DELIMITERS:
        return f"{layout.delimiter[:8]!r} is no delimiter"
    if style.escapes_unicode or style.escapes_slashes:
        return "it is not JSON, and has a style of JSON's"
    if style.encoding not in ENCODINGS or (style.mark and style.encoding != PLAIN.encoding):
        return f"{style.encoding[:20]!r} is no encoding that it can have"
    if names[0][:1] in (" ", "\t") and not style.quotes_names:
        return "its header begins with a blank"  # pandas may take it for a blank line
    if names == [""] or any(unnamed(at) in names for at, name in enumerate(names) if not name):
        return "a column without a name has none to go by"
    faults = (_missing_fault(column, style) for column in layout.columns)
    return next((fault for fault in faults if fault is not None), None)


def missing_word(column: Column) -> str:
    """Return what stands for a missing value, without the quotes that it may have."""
    word = column.missing
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word


def unnamed(at: int) -> str:
    """Return what pandas calls a column without a name; `at` counts from 0."""
    return f"Unnamed: {at}"


def _missing_fault(column: Column, style: Style) -> str | None:
    in_quotes = column.missing != missing_word(column)
    if missing_word(column) not in MISSING_WORDS or (
        in_quotes and (column.quoted or not style.quotes)
    ):
        return f"{column.missing[:20]!r} stands for nothing that is missing"
    if column.missing and column.kind in ("text", "boolean") and not _may_lack(column):
        return f"the column {column.name[:80]!r} lacks nothing"
    if column.quoted and not style.quotes:
        return f"the column {column.name[:80]!r} has quotes, and its table has none"
    return None


def _may_lack(column: Column) -> bool:
    return column.kind == "text" and column.quoted


def _name_fault(name: str, layout: Layout) -> str | None:
    forbidden = ("\r", "\n", "\0") if layout.style.quotes else ('"', "\r", "\n", "\0")
    if any(letter in name for letter in forbidden) or (
        layout.delimiter in name and not layout.style.quotes
    ):
        return f"the name {name[:80]!r} would need quotes"
    if name.startswith("\ufeff") or not _is_text(name):
        return f"the name {name[:80]!r} is not plain text"
    return None


def _json_name_fault(name: str, _layout: Layout) -> str | None:
    if "\0" in name or not _is_text(name):
        return f"the name {name[:80]!r} is not plain text"
    return None


def _kind_fault(column: Column) -> str | None:
    if column.kind not in KINDS:
        return f"{column.kind[:80]!r} is no kind of column"
    least, most = (1, MAX_DECIMALS) if column.kind == "decimal" else (0, 0)
    if not least <= column.decimals <= most:
        return f"a column of kind {column.kind} has {column.decimals} decimals"
    return None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _column(document: object) -> Column:
    match document:
        case [str(name), str(kind), int(decimals), *rest] if not isinstance(decimals, bool):
            missing, quoted = _dress(rest)
            # The kind is checked with everything else, by `find_fault`.
            column = Column(
                name=name,
                kind=kind,  # type: ignore[arg-type]
                decimals=decimals,
                missing=missing,
                quoted=quoted,
            )
        case _:
            _fail("a column is no name, kind and number of decimals")
    return column


def _dress(document: list[object]) -> tuple[str, bool]:
    match document or ["", False]:
        case [str(missing), bool(quoted)]:
            pass
        case _:
            _fail("a column is no name, kind, decimals, word for missing ones, and whether quoted")
    return missing, quoted


def _fail(why: str) -> NoReturn:
    raise ValueError(f"The layout of a table cannot be used: {why}.")
