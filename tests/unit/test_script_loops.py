"""Which loops of a text hold a line, and how they may end."""

from __future__ import annotations

import ast
import textwrap

import pytest

from sojourn.script.loops import Loop, comprehension_at, loops_around

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


def test_the_body_of_a_class_is_a_function_of_its_own() -> None:
    tree = ast.parse("for a in x:\n    class C:\n        for b in y:\n            step()\n")
    found = loops_around(tree, 4, scope_line=2)
    assert lines(found) == [(3, False)]


@pytest.mark.parametrize(
    ("text", "goes_over"),
    [
        ("[step(e) for e in range(9)]", "range(9)"),
        ("{e: 1 for e in y}", "y"),
        ("sum(step() for _ in y)", "y"),
        ("[1 for a in x for b in y]", None),
        ("[1 for a in x if a]", None),
        ("[[1 for a in x] for b in y]", None),
        ("step()", None),
    ],
)
def test_what_the_only_comprehension_of_a_line_goes_over(text: str, goes_over: str | None) -> None:
    found = comprehension_at(ast.parse(f"\n{text}\n"), 2)
    assert (found and ast.unparse(found)) == goes_over
