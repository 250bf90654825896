"""A way out of each loop of a script: whoever runs it may end a loop that has shown enough.

    for epoch in range(30):
        if __sojourn_is_leaving__ and __sojourn_leaves__(12): break      # on the line of the `for`
        ...

Both names are looked up among Python's own, and the first is False until there is a loop to leave.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_IS_LEAVING, _LEAVES = "__sojourn_is_leaving__", "__sojourn_leaves__"


def with_exits(text: str | bytes) -> ast.Module:
    """Parse a text, and put an exit at the beginning of each loop. Raises as `ast.parse`."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            node.body.insert(0, _exit(node.lineno))
    return tree


def install_exits(leaves: Callable[[int], bool]) -> None:
    """Define what the exits ask, for the rest of the process: whether the loop on a line ends."""
    vars(builtins).update({_IS_LEAVING: False, _LEAVES: leaves})


def open_exits() -> None:
    """Let loops ask from now on."""
    vars(builtins)[_IS_LEAVING] = True


def _exit(line: int) -> ast.stmt:
    (statement,) = ast.parse(f"if {_IS_LEAVING} and {_LEAVES}({line}): break").body
    return ast.increment_lineno(statement, line - 1)
