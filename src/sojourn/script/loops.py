"""Which loops of a text hold a line, and how each of them may end. It reads; it runs nothing."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What the names say of whatever evaluates, or of what it is wrapped in.
_EVALUATING = ("eval", "valid", "test", "no_grad", "inference_mode")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop that holds a line.

    `is_asked` says that the line is that of what it goes over: it is being asked for its next item,
    and what is in it does not run now. `guards` are the tests of the `if`s within it that must hold
    (True) or fail (False) for the line to be reached, but for those that inner loops decide.
    """

    node: ast.For | ast.AsyncFor | ast.While
    is_asked: bool
    guards: tuple[tuple[ast.expr, bool], ...]

    @property
    def target(self) -> str:
        """The name that each item gets; "" where it is none, or there are several."""
        target = None if isinstance(self.node, ast.While) else self.node.target
        return target.id if isinstance(target, ast.Name) else ""

    @property
    def items(self) -> set[str]:
        """All the names that an item, or a part of it, gets."""
        return set() if isinstance(self.node, ast.While) else names_in(self.node.target)

    @property
    def mentions(self) -> str:
        """What names its items, all of it."""
        return "" if isinstance(self.node, ast.While) else ast.unparse(self.node.target)

    def evaluates_now_and_then(self) -> bool:
        """Whether an `if` in it that asks which of its rounds this is seems to evaluate."""
        is_while = isinstance(self.node, ast.While)
        return any(
            (is_while or names_in(node.test) & self.items)
            and any(word in ast.unparse(ast.Module(node.body, [])).lower() for word in _EVALUATING)
            for node in ast.walk(self.node)
            if isinstance(node, ast.If)
        )

    def early_end(self) -> int | None:
        """Return the line at which it may be left before its end, None if there is none."""
        counted = self.last_round()
        lines = _leaves(self.node.body, is_inner=False)
        return next((line for line in lines if counted is None or line != counted[0]), None)

    def last_round(self) -> tuple[int, ast.expr] | None:
        """Find `if step >= MOST: break`; returns the line of the `break`, and MOST."""
        for node in self.node.body:
            if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Break):
                match node.test:
                    case ast.Compare(
                        left=ast.Name(id=name),
                        ops=[ast.GtE() | ast.Gt() | ast.Eq()],
                        comparators=[most],
                    ) if name == self._counter:
                        return node.body[-1].lineno, most
        return None

    @property
    def _counter(self) -> str:
        """The name that counts its rounds from 0; "" if there is none."""
        match self.node:
            case ast.For(
                target=ast.Tuple(elts=[ast.Name(id=name), *_]),
                iter=ast.Call(func=ast.Name(id="enumerate"), args=[_], keywords=[]),
            ):
                return name
        return ""


def loops_around(tree: ast.Module, line: int, *, scope_line: int) -> list[Loop]:
    """Return the loops that hold a line, outermost first.

    Args:
        tree: The whole text.
        line: The line, counted from 1.
        scope_line: Where the function or class begins that runs it, as its code says (its first
            decorator); loops outside of that hold only what calls it.
    """
    path = _path(tree, line)
    start = max((i for i, node in enumerate(path) if _begins(node, scope_line)), default=-1)
    if any(isinstance(node, _SCOPES) for node in path[start + 1 :]):
        # The line is that of a definition itself, or of a lambda.
        return []
    own = path[start + 1 :]
    found = []
    for place, node in enumerate(own):
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            after = own[place + 1 :]
            in_body = bool(after) and after[0] in node.body
            header = None if isinstance(node, ast.While) else node.iter
            is_asked = header is not None and header.lineno <= line <= (header.end_lineno or 0)
            is_asked = is_asked and not in_body
            if in_body or is_asked:
                found.append(Loop(node=node, is_asked=is_asked, guards=tuple(_guards(after))))
    return found


def comprehension_at(tree: ast.Module, line: int) -> ast.expr | None:
    """Return what the only comprehension that begins on a line goes over.

    None where there is none or more than one, and where it has several `for`s or an `if`.
    """
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, Comprehension | ast.GeneratorExp) and node.lineno == line
    ]
    return goes_over(found[0]) if len(found) == 1 else None


def comprehensions_around(
    tree: ast.Module, start: tuple[int, int], end: tuple[int, int]
) -> list[Comprehension]:
    """Return the comprehensions that hold a place, outermost first; generators are none.

    Args:
        tree: The whole text.
        start: Line, from 1, and byte in it, where the place begins.
        end: Where it ends.
    """
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, Comprehension) and is_within(node, start, end)
    ]
    return sorted(found, key=_start)


def is_within(node: ast.expr, start: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether a place lies in an expression."""
    return _start(node) <= start and end <= (node.end_lineno or 0, node.end_col_offset or 0)


def goes_over(comprehension: Comprehension | ast.GeneratorExp) -> ast.expr | None:
    """Return what a comprehension goes over; None where it has several `for`s or an `if`."""
    generators = comprehension.generators
    return None if len(generators) > 1 or generators[0].ifs else generators[0].iter


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _begins(node: ast.AST, line: int) -> bool:
    if not isinstance(node, _DEFINITIONS):
        return False
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first == line


def _path(node: ast.AST, line: int) -> list[ast.AST]:
    """Return the statements around a line, outermost first."""
    path: list[ast.AST] = []
    inner: ast.AST | None = node
    while inner is not None:
        inner = next((child for child in _statements(inner) if _holds(child, line)), None)
        if inner is not None:
            path.append(inner)
    return path


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child


def _holds(node: ast.AST, line: int) -> bool:
    if isinstance(node, ast.match_case):
        return any(_holds(statement, line) for statement in node.body)
    first = node.lineno  # type: ignore[attr-defined]
    for decorator in getattr(node, "decorator_list", []):
        first = min(first, decorator.lineno)
    return bool(first <= line <= node.end_lineno)  # type: ignore[attr-defined]


def _guards(after: Sequence[ast.AST]) -> Iterator[tuple[ast.expr, bool]]:
    inner: set[str] = set()
    for place, node in enumerate(after):
        if isinstance(node, (ast.For, ast.AsyncFor)):
            inner |= names_in(node.target)
        if isinstance(node, ast.If) and place + 1 < len(after) and not names_in(node.test) & inner:
            yield node.test, after[place + 1] in node.body


def names_in(expression: ast.expr) -> set[str]:
    """Return the names that an expression uses."""
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def _leaves(body: Sequence[ast.AST], *, is_inner: bool) -> Iterator[int]:
    """Yield the lines that leave a loop before its end, unless it is the user who does."""
    for node in body:
        if isinstance(node, (*_SCOPES, ast.ExceptHandler)):
            continue
        if isinstance(node, ast.Return) or (isinstance(node, ast.Break) and not is_inner):
            yield node.lineno
            continue
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            yield from _leaves(node.body, is_inner=True)
            yield from _leaves(node.orelse, is_inner=is_inner)
            continue
        yield from _leaves([*_statements(node)], is_inner=is_inner)
