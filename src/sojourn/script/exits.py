"""A way out of each loop of a script: whoever runs it may end a loop that has shown enough.

    for epoch in range(30):
        if __sojourn_is_leaving__ and __sojourn_leaves__(12): break      # on the line of the `for`
        ...

Both names are looked up among Python's own, and the first is False until there is a loop to leave.
What a loop does at its end (`else`) is done on the way out as well.
"""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_IS_LEAVING, _LEAVES = "__sojourn_is_leaving__", "__sojourn_leaves__"
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def with_exits(text: str | bytes, filename: str) -> ast.Module:
    """Parse a text, and put an exit at the beginning of each loop. Raises as `ast.parse`.

    Args:
        text: The code.
        filename: What a `SyntaxError` names as its place.
    """
    tree = ast.parse(text, filename)
    # All of them first: what stands in an exit has its own exits already.
    for node in [node for node in ast.walk(tree) if isinstance(node, _LOOPS)]:
        node.body.insert(0, _exit(node))
    return tree


def install_exits(leaves: Callable[[int], bool], names: dict[str, Any]) -> None:
    """Define what the exits ask, for the rest of the process: whether the loop on a line ends.

    Args:
        leaves: Says so of the loop on a line, when it comes to its next round.
        names: The script's own. A function that is sent to another process by value takes along
            what it finds there, so that it does as before where nobody has defined anything.
    """
    vars(builtins).update({_IS_LEAVING: False, _LEAVES: leaves})
    names[_IS_LEAVING] = False


def open_exits(names: dict[str, Any]) -> None:
    """Let loops ask from now on.

    Args:
        names: The script's own, as they were given to `install_exits`.
    """
    vars(builtins)[_IS_LEAVING] = names[_IS_LEAVING] = True


def _exit(loop: ast.For | ast.AsyncFor | ast.While) -> ast.stmt:
    (statement,) = ast.parse(f"if {_IS_LEAVING} and {_LEAVES}({loop.lineno}): break").body
    ast.increment_lineno(statement, loop.lineno - 1)
    if isinstance(statement, ast.If) and _can_stand_within(loop.orelse):
        statement.body[:0] = loop.orelse
    return statement


def _can_stand_within(orelse: list[ast.stmt]) -> bool:
    """Whether statements after a loop do the same in it; copies of copies would be too many."""
    inner = [node for statement in orelse for node in ast.walk(statement)]
    leaves = any(isinstance(node, (ast.Break, ast.Continue)) for node in inner)
    return not leaves and not any(isinstance(node, _LOOPS) and node.orelse for node in inner)
