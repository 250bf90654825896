"""On which line of a TOML text something stands, for errors; the parser does not keep it."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?")
_QUOTES = ('"""', "'''")


def find_line(text: str, table: str, key: str | None = None) -> int | None:
    """Return the number of the line of a key in a table, or else of the table's header.

    Args:
        text: The file.
        table: As TOML writes its header: `runtime_types."colab/t4"`.
        key: Of that table; None: the header is meant.

    Returns:
        The number, from 1 on; None where the table has no header of its own.
    """
    found, is_within, is_text = None, False, False
    for number, line in enumerate(text.split("\n"), start=1):
        if is_text:
            is_text = not _opens_or_closes(line)
            continue
        header = _HEADER.fullmatch(line)
        if header is not None:
            is_within = _bare(header[1]) == _bare(table)
            found = number if is_within and found is None else found
        elif is_within and key is not None and _gives(line, key):
            return number
        is_text = _opens_or_closes(line)
    return found


def _opens_or_closes(line: str) -> bool:
    """Whether a text of several lines begins or ends on a line."""
    return any(line.count(quotes) % 2 for quotes in _QUOTES)


def _bare(header: str) -> str:
    return re.sub(r"[\s\"']", "", header)


def _gives(line: str, key: str) -> bool:
    name, equals, _ = line.partition("=")
    return bool(equals) and _bare(name) == key
