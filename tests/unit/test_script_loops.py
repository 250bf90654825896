"""Which loops of a text hold a line, and how they may end."""

from __future__ import annotations

import ast
import textwrap

import pytest

from sojourn.script.loops import Loop, loops_around

TEXT = textwrap.dedent(
    """\
    for outer in range(2):
        def work(n):
            for a in range(n):
                while True:
                    step(a)
                else:
                    step(-1)
        for b in load(
            outer,
        ):
            if b > 1:
                step(b)
            elif outer:
                step(outer)
        else:
            step(0)
    @wrapped
    def other():
        for c in range(3):
            [step(c) for c in range(9)]
            if c: break
        for i, x in enumerate(y):
            step(i)
            if i >= most:
                break
        for d in range(4):
            try:
                step(d)
            except KeyboardInterrupt:
                break
            for e in d:
                if e: break
            with x: return
    """
)
TREE = ast.parse(TEXT)


def at(line: int, scope_line: int = 0) -> list[Loop]:
    return loops_around(TREE, line, scope_line=scope_line)


def lines(loops: list[Loop]) -> list[tuple[int, bool]]:
    return [(loop.node.lineno, loop.is_asked) for loop in loops]


@pytest.mark.parametrize(
    ("line", "scope_line", "expected"),
    [
        (5, 2, [(3, False), (4, False)]),
        (7, 2, [(3, False)]),
        (3, 2, [(3, True)]),
        (4, 2, [(3, False)]),
        (9, 0, [(1, False), (8, True)]),
        (12, 0, [(1, False), (8, False)]),
        (16, 0, [(1, False)]),
        (1, 0, [(1, True)]),
        (20, 17, [(19, False)]),
        # A line within a definition that runs as another one's: nothing is known of it.
        (5, 0, []),
    ],
)
def test_the_loops_of_the_running_function_are_found(
    line: int, scope_line: int, expected: list[tuple[int, bool]]
) -> None:
    assert lines(at(line, scope_line)) == expected


def test_the_tests_on_the_way_are_those_that_no_inner_loop_decides() -> None:
    outer, inner = at(14)
    assert [(ast.unparse(test), holds) for test, holds in inner.guards] == [
        ("b > 1", False),
        ("outer", True),
    ]
    assert [(ast.unparse(test), holds) for test, holds in outer.guards] == [("outer", True)]


def test_a_break_or_return_ends_a_loop_early_and_the_user_does_not_count() -> None:
    (one,) = at(20, 17)
    assert one.early_end() == 21
    (last,) = at(28, 17)
    assert last.early_end() == 33
    (outer,) = at(1)
    assert outer.early_end() is None


def test_a_break_after_a_number_of_rounds_counts_them() -> None:
    (loop,) = at(23, 17)
    found = loop.last_round()
    assert found is not None
    assert (found[0], ast.unparse(found[1])) == (25, "most")
    assert loop.early_end() is None
