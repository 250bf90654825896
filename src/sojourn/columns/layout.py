"""What a table's text looks like besides its values: delimiter, line ends, columns.

With the values it makes the text, to the byte. It knows nothing of where either is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias

Kind: TypeAlias = Literal["integer", "decimal", "float", "text", "boolean"]

DELIMITERS = (",", "\t", ";", "|")
NEWLINES = ("\n", "\r\n")
KINDS = ("integer", "decimal", "float", "text", "boolean")
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
            tell them apart, as Python's `repr` does, text is kept verbatim.
        decimals: How many digits every value has after its point; 0 unless it is a decimal.
    """

    name: str
    kind: Kind
    decimals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the text of a table is made from its values.

    Attributes:
        delimiter: One of DELIMITERS.
        newline: One of NEWLINES; it ends the header and every row, perhaps not the last one.
        columns: At least one, with distinct names.
    """

    delimiter: str
    newline: str
    columns: tuple[Column, ...]


def format_layout(layout: Layout) -> dict[str, Any]:
    """Return a document that JSON can hold and `parse_layout` reads."""
    return {
        "delimiter": layout.delimiter,
        "newline": layout.newline,
        "columns": [[column.name, column.kind, column.decimals] for column in layout.columns],
    }


def parse_layout(document: Any) -> Layout:
    """Read what `format_layout` made, trusting none of it.

    Raises:
        ValueError: it is malformed, or names a table that cannot be; it says why.
    """
    match document:
        case {"delimiter": str(delimiter), "newline": str(newline), "columns": list(columns)} if (
            len(document) == len(Layout.__slots__)
        ):
            layout = Layout(
                delimiter=delimiter,
                newline=newline,
                columns=tuple(_column(item) for item in columns),
            )
        case _:
            _fail("it is no record of a delimiter, a newline and columns")
    fault = find_fault(layout)
    if fault is not None:
        _fail(fault)
    return layout


def find_fault(layout: Layout) -> str | None:
    """Return what is wrong with a layout; None if its text can be written and read back."""
    if layout.delimiter not in DELIMITERS:
        return f"{layout.delimiter[:8]!r} is no delimiter"
    if layout.newline not in NEWLINES:
        return f"{layout.newline[:8]!r} ends no line"
    if not layout.columns:
        return "it has no columns"
    names = [column.name for column in layout.columns]
    if len(set(names)) < len(names):
        return "two of its columns have one name"  # pandas would rename the second
    if names[0][:1] in (" ", "\t"):
        return "its header begins with a blank"  # pandas may take it for a blank line
    faults = (_column_fault(column, layout.delimiter) for column in layout.columns)
    return next((fault for fault in faults if fault is not None), None)


def _column_fault(column: Column, delimiter: str) -> str | None:
    name = column.name
    if not name:
        return "a column has no name"
    if any(letter in name for letter in ('"', "\r", "\n", "\0", delimiter)):
        return f"the name {name[:80]!r} would need quotes"
    if name.startswith("\ufeff") or not _is_text(name):
        return f"the name {name[:80]!r} is not plain text"
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
        case [str(name), str(kind), int(decimals)] if not isinstance(decimals, bool):
            # The kind is checked with everything else, by `find_fault`.
            column = Column(name=name, kind=kind, decimals=decimals)  # type: ignore[arg-type]
        case _:
            _fail("a column is no name, kind and number of decimals")
    return column


def _fail(why: str) -> NoReturn:
    raise ValueError(f"The layout of a table cannot be used: {why}.")
