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


def run(text: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(with_exits(text, "script.py"), "script.py", "exec"), names)
    return names


def test_closed_exits_change_nothing() -> None:
    names: dict[str, Any] = {}
    install_exits(lambda _line: True, names)
    plain: dict[str, Any] = {}
    exec(SCRIPT, plain)

    assert run(SCRIPT, names)["seen"] == plain["seen"]


def test_the_loop_on_a_line_is_left_at_its_next_round_and_no_other() -> None:
    asked: list[int] = []
    names: dict[str, Any] = {}
    install_exits(
        lambda line: asked.append(line) or (line == 3 and asked.count(3) > 1),  # type: ignore[func-returns-value]
        names,
    )
    open_exits(names)

    assert run(SCRIPT, names)["seen"] == [(0, "a"), (0, "b"), "else", 1]
    assert asked == [3, 4, 6, 6, 3]


ELSE = """
seen = []
for x in range(3):
    seen.append(x)
else:
    for y in range(2):
        seen.append('else')
for x in range(2):
    while True:
        seen.append('in')
        if x:
            break
    else:
        seen.append('not on')
        continue
    seen.append('on')
"""


def test_what_a_loop_does_at_its_end_is_done_on_the_way_out_unless_it_goes_on_elsewhere() -> None:
    names: dict[str, Any] = {}
    asked: list[int] = []
    install_exits(
        lambda line: asked.append(line) or (line in {3, 9} and asked.count(line) > 1),  # type: ignore[func-returns-value]
        names,
    )
    open_exits(names)

    assert run(ELSE, names)["seen"] == [0, "else", "else", "in", "on", "on"]
    assert asked == [3, 3, 6, 6, 8, 9, 9, 8, 9]


def test_a_function_that_is_sent_elsewhere_by_value_does_as_before() -> None:
    names: dict[str, Any] = {}
    install_exits(lambda _line: True, names)
    text = "def count(most):\n    n = 0\n    for _ in range(most):\n        n += 1\n    return n\n"
    function = run(text, names)["count"]
    # As cloudpickle does, for joblib, Ray and Dask.
    taken = {name: names[name] for name in function.__code__.co_names if name in names}
    there = type(function)(function.__code__, {**taken, "__builtins__": {"range": range}})

    assert there(3) == 3


def test_lines_stay_where_they_are() -> None:
    lines = {node.lineno for node in ast.walk(ast.parse(SCRIPT)) if hasattr(node, "lineno")}

    assert lines == {
        node.lineno for node in ast.walk(with_exits(SCRIPT, "script.py")) if hasattr(node, "lineno")
    }


def test_a_text_that_is_no_python_names_its_file() -> None:
    with pytest.raises(SyntaxError) as caught:
        with_exits(b"def (:\n", "helpers.py")
    assert caught.value.filename == "helpers.py"
