"""A table that keeps its width where nobody can widen the window: in a pipe, a file or a log."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

_WIDER_THAN_ANY_TABLE = 10_000


def at_full_width(table: Table) -> Table:
    """Give the table the width of its contents, and return it.

    Without this rich cuts cells off to fit 80 columns wherever it does not see a terminal.
    """
    console = Console(width=_WIDER_THAN_ANY_TABLE, file=io.StringIO())
    table.width = console.measure(table).maximum
    return table
