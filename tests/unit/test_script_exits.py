"""Exits in loops: a script does as it did until they are opened, and then a loop can be left."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

import pytest

from sojourn.script.exits import install_exits, open_exits, with_exits

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
seen = []
for x in range(3):
    while True:
        break
    for y in 'ab':
        seen.append((x, y))
    else:
        seen.append('else')
seen.append(x)
"""


@pytest.fixture(autouse=True)
def no_exits_left_behind() -> Iterator[None]:
    before = set(vars(builtins))
    yield
    for name in set(vars(builtins)) - before:
        delattr(builtins, name)


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(with_exits(text), "script.py", "exec"), names)
    return names


def test_closed_exits_change_nothing() -> None:
    install_exits(lambda _line: True)
    plain: dict[str, Any] = {}
    exec(SCRIPT, plain)

    assert run(SCRIPT)["seen"] == plain["seen"]


def test_the_loop_on_a_line_is_left_at_its_next_round_and_no_other() -> None:
    asked: list[int] = []
    install_exits(lambda line: asked.append(line) or (line == 3 and asked.count(3) > 1))  # type: ignore[func-returns-value]
    open_exits()

    assert run(SCRIPT)["seen"] == [(0, "a"), (0, "b"), "else", 1]
    assert asked == [3, 4, 6, 6, 3]


def test_lines_stay_where_they_are() -> None:
    lines = {node.lineno for node in ast.walk(ast.parse(SCRIPT)) if hasattr(node, "lineno")}

    assert lines == {
        node.lineno for node in ast.walk(with_exits(SCRIPT)) if hasattr(node, "lineno")
    }
