"""Which loops run, from the frames that lead to where they are asked for."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from sojourn.tracing.stack import RunningLoop, Stack

FILE = "train.py"
TEXT = textwrap.dedent(
    """\
    class Batches:
        def __init__(self):
            self.left = 2
        def __iter__(self):
            return self
        def __next__(self):
            self.left -= 1
            look('asked')
            if self.left < 0:
                raise StopIteration
    def step(_):
        look('step')
    def made():
        look('made')
        return range(5)
    def train():
        for epoch in range(3):
            losses = [step(b) for b in Batches()]
    def folds(n):
        return {
            k: [step(k) for _ in made()]
            for k in range(n)
        }
    def eaten(items, n=99):
        for item in items:
            pass
    def fed(n):
        eaten(step(e) for e in range(n))
    class Training:
        for epoch in range(4):
            step(epoch)
    total = sum(step(e) or 1 for e in range(6))
    """
)


@pytest.fixture(scope="module")
def seen() -> dict[str, list[list[RunningLoop]]]:
    """What was running, at each look, by what each look was for."""
    stack = Stack(
        lambda file, line: f"{file}:{line}" if file == FILE else None, {FILE: TEXT}, lambda _: None
    )
    found: dict[str, list[list[RunningLoop]]] = {}
    names: dict[str, Any] = {"look": lambda what: found.setdefault(what, []).append(stack.loops())}
    code = compile(f"{TEXT}train()\nfolds(7)\nfed(2)\n", FILE, "exec")
    exec(code, names)
    return found


def told(loops: list[RunningLoop]) -> list[tuple[int, bool, int | None]]:
    return [
        (loop.line, loop.is_asked, None if loop.count is None else loop.count.number)
        for loop in loops
    ]


@pytest.mark.parametrize(
    ("what", "number", "expected"),
    [
        ("step", 0, [(30, False, 4)]),
        ("step", 4, [(32, False, 6)]),
        ("asked", 0, [(17, False, 3), (18, True, None)]),
        ("step", 10, [(17, False, 3), (18, False, None)]),
        ("made", 0, [(20, False, 7)]),
        # Whoever asks for the items has another `n`.
        ("step", -1, [(25, True, None), (28, False, None)]),
    ],
)
def test_loops_comprehensions_and_classes_are_seen(
    seen: dict[str, list[list[RunningLoop]]],
    what: str,
    number: int,
    expected: list[tuple[int, bool, int | None]],
) -> None:
    assert told(seen[what][number]) == expected


def test_comprehensions_within_each_other_are_both_seen(
    seen: dict[str, list[list[RunningLoop]]],
) -> None:
    assert [loop.line for loop in seen["step"][-3]] == [20, 21]
