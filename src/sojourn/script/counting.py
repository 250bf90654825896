"""How often a `for` loop goes round, told from its text and the names it can see. Nothing is run.

Only what Python itself made is asked: numbers, texts, ranges, lists, dicts, and what stands in an
object's own `__dict__`; besides, how large an array, a table or a tensor is, and what settings hold
(see `settings`). A property, a `__getattr__` or a function of the user's might do something.
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import dataclass
from numbers import Number
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any

from sojourn.script.settings import settings_content, settings_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Deeper expressions are nobody's number of epochs.
_DEEPEST = 30
# Names of what goes round as often as its first argument does, wherever it comes from.
_BARS = {"tqdm", "tqdm_notebook", "track", "progress_bar", "master_bar"}
_TRANSPARENT = {*_BARS, "enumerate", "iter", "list", "tuple", "reversed", "sorted"}
_COUNTING = {"trange", "tnrange", "epochs"}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_NUMERIC: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (int, float, min, max, round, abs, math.ceil, math.floor)
}
_NUMBERS = (bool, int, float)
_PLAIN = (*_NUMBERS, str, bytes, type(None))
# Whose own objects have a length and a shape that may be asked.
_LIBRARIES = {"numpy", "pandas", "torch", "torchvision", "datasets"}
_SIZED = (range, list, tuple, dict, set, frozenset, str, bytes)
# What asking may come to: a division by zero, a key that is not there, a tensor without a length.
_NOT_TOLD = (ArithmeticError, ValueError, TypeError, LookupError, RuntimeError)


class NotSeenError(Exception):
    """It cannot be told without running something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often a loop goes round; at most so often, if it is a bound."""

    number: int
    is_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What names mean where the loop stands.

    `length_of` knows how long some objects are that only others can ask, DataLoaders say; None for
    all else.
    """

    local: Mapping[str, Any]
    shared: Mapping[str, Any]
    length_of: Callable[[Any], int | None] = lambda _thing: None

    def look_up(self, name: str) -> Any:
        """Return what a name means.

        Raises:
            NotSeenError: nothing, or one of Python's own.
        """
        for scope in (self.local, self.shared):
            if name in scope:
                return scope[name]
        raise NotSeenError(name)

    def is_own(self, name: str) -> bool:
        """Whether the script has given a name a meaning."""
        return name in self.local or name in self.shared


def count_rounds(iterable: ast.expr, names: Names) -> Count:
    """Tell how often a loop over an expression goes round.

    Raises:
        NotSeenError: it cannot be told without running something.
    """
    try:
        return _rounds(iterable, names, 0)
    except _NOT_TOLD as error:
        raise NotSeenError(str(error)) from error


def find_value(expression: ast.expr, names: Names) -> Any:
    """Tell what an expression is.

    Raises:
        NotSeenError: it cannot be told without running something.
    """
    try:
        return _value(expression, names, 0)
    except _NOT_TOLD as error:
        raise NotSeenError(str(error)) from error


def _rounds(node: ast.expr, names: Names, depth: int) -> Count:  # noqa: PLR0911 - a table
    if depth > _DEEPEST:
        raise NotSeenError("too deep")
    if not isinstance(node, ast.Call):
        return Count(number=_length(_value(node, names, depth + 1), names))
    name = _called(node, names)
    if name == "range":
        return Count(number=len(_range(node, names, depth)))
    if name in _COUNTING:
        number = _value(_argument(node, 0), names, depth + 1)
        return Count(number=max(0, _whole(number)))
    if name in _TRANSPARENT:
        return _rounds(_argument(node, 0), names, depth + 1)
    if name == "zip":
        return _shortest(node.args, names, depth)
    if name == "islice":
        return _slice(node, names, depth)
    if isinstance(node.func, ast.Attribute):
        return _of_method(node.func, names, depth)
    raise NotSeenError(name)


def _of_method(function: ast.Attribute, names: Names, depth: int) -> Count:
    holder = _value(function.value, names, depth + 1)
    if type(holder) is dict and function.attr in {"items", "keys", "values"}:
        return Count(number=len(holder))
    if function.attr == "split" and not isinstance(holder, str):
        # What scikit-learn's splitters of data into folds have in common.
        return Count(number=_whole(own_attribute(holder, "n_splits")))
    raise NotSeenError(function.attr)


def _shortest(parts: list[ast.expr], names: Names, depth: int) -> Count:
    known = []
    for part in parts:
        try:
            known.append(_rounds(part, names, depth + 1))
        except NotSeenError:
            continue
    if not known:
        raise NotSeenError("zip")
    is_bound = len(known) < len(parts) or any(count.is_bound for count in known)
    return Count(number=min(count.number for count in known), is_bound=is_bound)


def _slice(node: ast.Call, names: Names, depth: int) -> Count:
    bounds = [_value(argument, names, depth + 1) for argument in node.args[1:]]
    wanted = slice(*bounds)
    try:
        whole = _rounds(_argument(node, 0), names, depth + 1)
    except NotSeenError:
        if wanted.stop is None:
            raise
        return Count(number=len(range(*wanted.indices(_whole(wanted.stop)))), is_bound=True)
    number = len(range(*wanted.indices(whole.number)))
    return Count(number=number, is_bound=whole.is_bound)


def _range(node: ast.Call, names: Names, depth: int) -> range:
    return range(*(_whole(_value(argument, names, depth + 1)) for argument in node.args))


def _called(node: ast.Call, names: Names) -> str:
    """Return the name of what is called, by which it was made known."""
    try:
        function = _value(node.func, names, 0)
    except NotSeenError:
        return _bare(node.func, names)
    is_named = isinstance(function, (FunctionType, BuiltinFunctionType, type))
    return function.__name__ if is_named or type(function).__module__ == "numpy" else ""


def _bare(function: ast.expr, names: Names) -> str:
    """Return the name of one of Python's own functions, or of one that a lazy module has."""
    if isinstance(function, ast.Name) and not names.is_own(function.id):
        return function.id
    is_known = isinstance(function, ast.Attribute) and function.attr in _BARS | _COUNTING
    return function.attr if isinstance(function, ast.Attribute) and is_known else ""


def _argument(node: ast.Call, place: int) -> ast.expr:
    if len(node.args) > place:
        return node.args[place]
    # `tqdm(iterable=loader)`, `track(sequence=range(3))`.
    for keyword in node.keywords:
        if keyword.arg in {"iterable", "sequence", "gen"}:
            return keyword.value
    raise NotSeenError("no argument")


def _length(thing: Any, names: Names) -> int:
    known = names.length_of(thing)
    if known is not None:
        return known
    content = settings_content(thing)
    if type(thing) in _SIZED or content is not None:
        return len(thing if content is None else content)
    if type(thing).__module__.startswith("tqdm"):
        return _length(own_attribute(thing, "iterable"), names)
    if _is_of_library(thing) and hasattr(type(thing), "__len__"):
        return len(thing)
    raise NotSeenError(type(thing).__name__)


def _is_of_library(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] in _LIBRARIES


def _value(node: ast.expr, names: Names, depth: int) -> Any:  # noqa: C901, PLR0911, PLR0912 - a table
    if depth > _DEEPEST:
        raise NotSeenError("too deep")
    deeper = depth + 1
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return names.look_up(node.id)
        case ast.Attribute():
            return own_attribute(_value(node.value, names, deeper), node.attr)
        case ast.Subscript():
            return _item(_value(node.value, names, deeper), _value(node.slice, names, deeper))
        case ast.List() | ast.Tuple() | ast.Set():
            return tuple(_element(element, names, deeper) for element in node.elts)
        case ast.UnaryOp(op=ast.USub()):
            return -_number(_value(node.operand, names, deeper))
        case ast.UnaryOp(op=ast.Not()):
            return not _plain(_value(node.operand, names, deeper))
        case ast.BinOp() if type(node.op) in _OPERATIONS:
            left, right = (_number(_value(n, names, deeper)) for n in (node.left, node.right))
            return _OPERATIONS[type(node.op)](left, right)
        case ast.Compare():
            return _compare(node, names, deeper)
        case ast.BoolOp():
            return _either(node, names, deeper)
        case ast.IfExp():
            chosen = node.body if _plain(_value(node.test, names, deeper)) else node.orelse
            return _value(chosen, names, deeper)
        case ast.Call():
            return _result(node, names, deeper)
    raise NotSeenError(type(node).__name__)


def _element(node: ast.expr, names: Names, depth: int) -> Any:
    """Return an element of a literal; what it is does not matter for how many there are."""
    if isinstance(node, ast.Starred):
        raise NotSeenError("*")
    try:
        return _value(node, names, depth)
    except NotSeenError:
        return node


def _compare(node: ast.Compare, names: Names, depth: int) -> bool:
    left = _value(node.left, names, depth)
    for kind, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, names, depth)
        for side in (left, right):
            for part in side if type(side) in {tuple, list} else (side,):
                _plain(part)
        if not _COMPARISONS[type(kind)](left, right):
            return False
        left = right
    return True


def _either(node: ast.BoolOp, names: Names, depth: int) -> Any:
    """Return what `and` or `or` comes to."""
    ends_at = isinstance(node.op, ast.Or)
    value: Any = None
    for part in node.values:
        value = _plain(_value(part, names, depth))
        if bool(value) is ends_at:
            return value
    return value


def _result(node: ast.Call, names: Names, depth: int) -> Any:
    if isinstance(node.func, ast.Attribute) and node.func.attr == "size" and node.args:
        shape = own_attribute(_value(node.func.value, names, depth), "shape")
        return shape[_whole(_value(node.args[0], names, depth))]
    if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        return _got(_value(node.func.value, names, depth), node.args, names, depth)
    name = _called(node, names)
    if name == "len":
        return _length(_value(_argument(node, 0), names, depth), names)
    if name == "range":
        return _range(node, names, depth)
    if name in _NUMERIC and not node.keywords:
        return _NUMERIC[name](*(_number(_value(a, names, depth)) for a in node.args))
    raise NotSeenError(name)


def _got(holder: Any, arguments: list[ast.expr], names: Names, depth: int) -> Any:
    """Return what `holder.get(key, default)` gives, if that is a dict's or settings' own."""
    content = holder if type(holder) is dict else settings_content(holder)
    if type(content) is not dict:
        raise NotSeenError(type(holder).__name__)
    key, *default = arguments
    name = _plain(_value(key, names, depth))
    if name in content or not default:
        return _item(holder, name)
    return _value(default[0], names, depth)


def own_attribute(thing: Any, name: str) -> Any:
    """Return an attribute that an object, or its class, simply has.

    Raises:
        NotSeenError: there is none, or something would be run to get it.
    """
    if name == "shape" and _is_of_library(thing) and not isinstance(thing, type):
        return tuple(map(int, thing.shape))
    content = settings_content(thing)
    if content is not None and name in content:
        return _item(thing, name)
    if isinstance(thing, ModuleType):
        holders: list[Mapping[str, Any]] = [vars(thing)]
    else:
        kind = thing if isinstance(thing, type) else type(thing)
        own = {} if isinstance(thing, type) else _own_dict(thing)
        holders = [own, *(type.__getattribute__(base, "__dict__") for base in kind.__mro__)]
    for holder in holders:
        if name in holder:
            value = holder[name]
            if isinstance(value, MemberDescriptorType) and not isinstance(thing, type):
                return value.__get__(thing, type(thing))
            if isinstance(value, (*_PLAIN, *_SIZED)) or holder is holders[0]:
                return value
            raise NotSeenError(name)
    if isinstance(thing, dict) and dict.__contains__(thing, name):
        # Settings that are read as attributes (yacs, EasyDict, Munch).
        return dict.__getitem__(thing, name)
    raise NotSeenError(name)


def _own_dict(thing: Any) -> Mapping[str, Any]:
    try:
        own = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return own if isinstance(own, dict) else {}


def _item(holder: Any, key: Any) -> Any:
    content = settings_content(holder)
    if content is not None:
        return settings_value(_item(content, key))
    kinds: tuple[Any, ...] = (dict, list, tuple)
    for kind in kinds:
        if isinstance(holder, kind):
            # Not a subclass's own, which may do anything.
            return kind.__getitem__(holder, key)
    raise NotSeenError(type(holder).__name__)


def _number(value: Any) -> Any:
    if type(value) in _NUMBERS:
        return value
    if type(value).__module__ == "numpy" and isinstance(value, Number):
        # One of numpy's own kinds of number.
        return value.item()  # type: ignore[attr-defined]
    raise NotSeenError(type(value).__name__)


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    raise NotSeenError(type(value).__name__)


def _whole(value: Any) -> int:
    number = _number(value)
    if type(number) is float:
        raise NotSeenError("float")
    return int(number)
