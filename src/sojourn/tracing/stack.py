"""Which of the script's own loops are running, from the frames that lead to where it is now.

What it remembers holds no frame and no variable, so that nothing lives longer for it.
"""

from __future__ import annotations

import ast
import dis
import inspect
import itertools
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sojourn.script.counting import Count, Names, NotSeenError, count_rounds, find_value
from sojourn.script.loops import (
    Comprehension,
    Loop,
    comprehension_at,
    comprehensions_around,
    goes_over,
    is_within,
    loops_around,
    names_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# Rounds of a loop that are gone through to see in how many of them a line is reached.
_MOST_ROUNDS = 10_000
# Up to here, a function's frame keeps what `f_locals` gave, and with it all its tensors.
_KEEPS_LOCALS = sys.version_info < (3, 13)
# The names of their code.
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
_ARE_INLINED = sys.version_info >= (3, 12)
_FOR_ITER = dis.opmap["FOR_ITER"]
# Who holds such a dict while it is looked at: its frame, the variable here, the call that counts.
_OWN_HOLDERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLoop:
    """A loop that is running.

    `frame` and `line` tell it from others. `is_asked` says that it is being asked for its next
    item. `count` is in how many of its rounds the line is reached that was looked at, `rounds` how
    many there are; None where that is not known. `ends_early` names the line that may leave it
    before its end, `label` the loop itself. `evaluates_now_and_then` says that some of its
    rounds, and not all, seem to evaluate; `is_over_kinds` that its items are texts or loaders
    ("train", "val"), of which each round may do something else.
    """

    frame: int
    line: int
    label: str
    is_asked: bool
    is_while: bool
    count: Count | None
    rounds: Count | None
    mentions: str
    ends_early: str
    evaluates_now_and_then: bool
    is_over_kinds: bool


class Stack:
    """Finds the running loops.

    Args:
        label: Names a line of the user's own code, and gives None for everybody else's.
        texts: The code of files that stand otherwise on the disk, by file name.
        length_of: How long an object is that only others can ask; None for all else.
    """

    def __init__(
        self,
        label: Callable[[str, int], str | None],
        texts: dict[str, str],
        length_of: Callable[[Any], int | None],
    ) -> None:
        self._label = label
        self._texts = texts
        self._length_of = length_of
        self._trees: dict[str, ast.Module | None] = {}

    def loops(self) -> list[RunningLoop]:
        """Return the script's own loops that led here, outermost first."""
        found: list[RunningLoop] = []
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the stack is what it gives
        while frame is not None:
            if self._label(frame.f_code.co_filename, frame.f_lineno) is not None:
                found[:0] = self._loops_of(frame)
            frame = frame.f_back
        return found

    def _loops_of(self, frame: FrameType) -> Sequence[RunningLoop]:
        code = frame.f_code
        tree = self._tree(code.co_filename)
        if tree is not None and code.co_name in _COMPREHENSIONS:
            return [self._comprehension(tree, frame)]
        if tree is None or (code.co_name.startswith("<") and code.co_name != "<module>"):
            return []
        scope_line = 0 if code.co_name == "<module>" else code.co_firstlineno
        loops = loops_around(tree, frame.f_lineno, scope_line=scope_line)
        inlined = _inlined(tree, frame)
        if not loops and not inlined:
            return []
        names = self._names(frame)
        return [
            *(self._seen(loop, frame, names) for loop in loops),
            *(self._gone_over(one.lineno, goes_over(one), frame, names) for one in inlined),
        ]

    def _comprehension(self, tree: ast.Module, frame: FrameType) -> RunningLoop:
        """Return a comprehension that has a frame of its own, up to Python 3.11, as a loop."""
        line, caller = frame.f_code.co_firstlineno, frame.f_back
        # Whoever asks a generator for its items may be another, with names of its own.
        if caller is None or not any(frame.f_code is one for one in caller.f_code.co_consts):
            return self._gone_over(line, None, frame, self._names(frame))
        return self._gone_over(line, comprehension_at(tree, line), frame, self._names(caller))

    def _gone_over(
        self, line: int, items: ast.expr | None, frame: FrameType, names: Names
    ) -> RunningLoop:
        count = None
        if items is not None:
            with suppress(NotSeenError):
                count = count_rounds(items, names)
        return RunningLoop(
            frame=id(frame),
            line=line,
            label=self._label(frame.f_code.co_filename, line) or "",
            is_asked=_is_asking(frame),
            is_while=False,
            count=count,
            rounds=count,
            mentions="",
            ends_early="",
            evaluates_now_and_then=False,
            is_over_kinds=False,
        )

    def _seen(self, loop: Loop, frame: FrameType, names: Names) -> RunningLoop:
        filename = frame.f_code.co_filename
        early = loop.early_end()
        rounds = _rounds(loop, names)
        return RunningLoop(
            frame=id(frame),
            line=loop.node.lineno,
            label=self._label(filename, loop.node.lineno) or "",
            is_asked=loop.is_asked,
            is_while=isinstance(loop.node, ast.While),
            count=rounds and _reached(loop, rounds, names),
            rounds=rounds,
            mentions=loop.mentions,
            ends_early=(self._label(filename, early) or "") if early else "",
            evaluates_now_and_then=loop.evaluates_now_and_then(),
            is_over_kinds=any(self._is_kind(names.local.get(name)) for name in loop.items),
        )

    def _is_kind(self, item: Any) -> bool:
        return isinstance(item, str) or self._length_of(item) is not None

    def _names(self, frame: FrameType) -> Names:
        local = frame.f_locals
        names = Names(local=dict(local), shared=frame.f_globals, length_of=self._length_of)
        is_function = frame.f_code.co_flags & inspect.CO_OPTIMIZED
        if _KEEPS_LOCALS and is_function and sys.getrefcount(local) <= _OWN_HOLDERS:
            local.clear()
        return names

    def _tree(self, filename: str) -> ast.Module | None:
        if filename not in self._trees:
            self._trees[filename] = _parsed(self._texts.get(filename), filename)
        return self._trees[filename]


def _is_asking(frame: FrameType) -> bool:
    """Whether a frame is just asking for the next item of what a loop goes over."""
    return frame.f_code.co_code[frame.f_lasti] == _FOR_ITER


def _inlined(tree: ast.Module, frame: FrameType) -> list[Comprehension]:
    """Return the comprehensions that run in a frame of others, from Python 3.12 on."""
    if not _ARE_INLINED:
        return []
    positions = itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
    line, end_line, column, end_column = next(positions, (None,) * 4)
    if line is None or end_line is None or column is None or end_column is None:
        return []
    place = (line, column), (end_line, end_column)
    return [
        one
        for one in comprehensions_around(tree, *place)
        # What it goes over first is made before it begins.
        if _is_asking(frame) or not is_within(one.generators[0].iter, *place)
    ]


def _parsed(text: str | None, filename: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            # A stray backslash in the user's string is not ours to complain about.
            warnings.simplefilter("ignore")
            return ast.parse(Path(filename).read_bytes() if text is None else text)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _rounds(loop: Loop, names: Names) -> Count | None:
    """Tell how often a loop goes round; None where that is not known."""
    counts = []
    if not isinstance(loop.node, ast.While):
        with suppress(NotSeenError):
            counts.append(count_rounds(loop.node.iter, names))
    if (last := loop.last_round()) is not None:
        with suppress(NotSeenError):
            most = find_value(last[1], names)
            counts += [Count(number=most)] if type(most) is int and most > 0 else []
    return min(counts, key=lambda count: count.number, default=None)


def _reached(loop: Loop, rounds: Count, names: Names) -> Count:
    """Tell in how many rounds the `if`s on the way that ask for the item let the line be reached.

    The others are taken to do so.
    """
    tests = [(test, holds) for test, holds in loop.guards if loop.target in names_in(test)]
    if not tests or isinstance(loop.node, ast.While):
        return rounds
    try:
        items = find_value(loop.node.iter, names)
    except NotSeenError:
        return rounds
    if not isinstance(items, (range, list, tuple)) or len(items) > _MOST_ROUNDS:
        return rounds
    reached = sum(
        all(_passes(test, holds, loop, names, item) for test, holds in tests) for item in items
    )
    return replace(rounds, number=reached)


def _passes(test: ast.expr, holds: bool, loop: Loop, names: Names, item: Any) -> bool:  # noqa: FBT001
    with_item = replace(names, local={**names.local, loop.target: item})
    try:
        return bool(find_value(test, with_item)) is holds
    except NotSeenError:
        return True
