"""What a script keeps on the device from step to step: found by letting go, and measuring.

Things with a name are tried one after the other: variables of the user's own frames, what lists,
dicts and objects hold that they name. Each is cut off its graph, and where that frees little, taken
away; what that gives back of earlier steps' memory is what it kept.
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from sojourn.forecast.changes import Kept
from sojourn.forecast.growth import WORTH_NAMING_BYTES
from sojourn.forecast.trace import Alloc, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sojourn.forecast.changes import Changes
    from sojourn.tracing.recorder import Recorder

# Objects that are looked into, and how deep below a variable: `self.history["loss"]` is three.
_MOST_OBJECTS = 200_000
_DEEPEST = 4
_OPAQUE = (
    *(str, bytes, int, float, bool, type, ModuleType, FunctionType, BuiltinFunctionType),
    *(MethodType, torch.nn.Module, torch.optim.Optimizer, torch.utils.data.DataLoader),
)
_CONTAINERS = (list, dict, deque)
# Of a longer container the last ones are looked at: what is kept is put to the end.
_MOST_ITEMS = 10_000
# Frames of these are between the script and here.
_OUR_FILES = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


@dataclass(frozen=True, slots=True)
class _Holder:
    """Something with a name that holds tensors: a container, or a variable that is one."""

    name: str
    value: Any

    @property
    def is_variable(self) -> bool:
        return isinstance(self.value, torch.Tensor)


class Keeping:
    """Looks for what is kept, and lets go of what is known to be.

    Args:
        recorder: Says what is still there.
        changes: Whether to look, and what to let go.
        steps: After how many to look, four or more.
    """

    def __init__(self, recorder: Recorder, changes: Changes, steps: int) -> None:
        self.kept: tuple[Kept, ...] = ()
        self._recorder = recorder
        self._look_after = steps if changes.looks_for_kept else None
        self._released = {kept.holder: kept for kept in changes.released if kept.holder}
        self._ends: list[int] = []
        self._first: Any = None

    def install(self) -> None:
        """Watch steps for the rest of the process. Before what ends the script at one."""
        if self._look_after or self._released:
            register_optimizer_step_post_hook(self._after_step)

    def _after_step(self, optimizer: Any, *_: Any) -> None:
        if self._first is None:
            self._first = optimizer
        if optimizer is not self._first:
            return
        self._ends.append(self._recorder.mark_now())
        self.release()
        if len(self._ends) == self._look_after:
            self.kept = tuple(self._look())

    def release(self) -> None:
        """Let go of what is known to be kept.

        To be called at each step's end, and before the next begins, as scripts put away what they
        keep on either side of `optimizer.step()`.
        """
        for holder in _holders() if self._released else ():
            known = self._released.get(holder.name)
            if known is not None:
                _let_go(holder, _to_host if known.is_large else _cut_off)

    def _look(self) -> Iterator[Kept]:
        """Find what keeps the second step's blocks, if it does the third's, after the fourth."""
        gc.collect()
        growth_bytes = min(self._left_of(1), self._left_of(2))
        if growth_bytes < WORTH_NAMING_BYTES:
            return
        made = {event.block: event for event in self._recorder.events() if isinstance(event, Alloc)}
        unnamed_line = self._largest_line()
        for holder in list(_holders()):
            lines = self._lines(holder, made)
            cut_bytes = self._given_back(holder, _cut_off)
            whole_bytes = 0 if holder.is_variable else self._given_back(holder, _take_away)
            if cut_bytes + whole_bytes >= WORTH_NAMING_BYTES and lines:
                growth_bytes -= cut_bytes + whole_bytes
                yield Kept(
                    line=lines.most_common(1)[0][0],
                    holder=holder.name,
                    is_variable=holder.is_variable,
                    is_large=whole_bytes >= WORTH_NAMING_BYTES,
                    step_bytes=cut_bytes + whole_bytes,
                )
        if growth_bytes >= WORTH_NAMING_BYTES:
            yield Kept(
                line=unnamed_line,
                holder="",
                is_variable=False,
                is_large=False,
                step_bytes=growth_bytes,
            )

    def _left_of(self, step: int) -> int:
        """Bytes that are still there of a step, numbered from 0."""
        return self._recorder.live_bytes_of(self._ends[step - 1], self._ends[step])

    def _given_back(self, holder: _Holder, action: Callable[[Any], Any]) -> int:
        """Let go of what is held; returns how many bytes of the second step that gave back.

        Of the third, too, some may be held for one more step, by something else.
        """
        before = self._left_of(1)
        _let_go(holder, action)
        return before - self._left_of(1)

    def _lines(self, holder: _Holder, made: dict[int, Alloc]) -> Counter[str]:
        """Count which lines made the tensors that a holder holds."""
        lines: Counter[str] = Counter()
        for tensor in _tensors(holder.value):
            block = self._recorder.block_of(tensor)
            if block in made and made[block].role is not Role.PARAMETERS:
                lines[made[block].line] += 1
        return lines

    def _largest_line(self) -> str:
        sizes: Counter[str] = Counter()
        for event in self._recorder.alive_between(self._ends[0], self._ends[1]):
            sizes[event.line] += event.size_bytes
        return sizes.most_common(1)[0][0] if sizes else ""


def _holders() -> Iterator[_Holder]:
    """Yield what the user's own variables name, each thing once."""
    seen: set[int] = set()
    pending = deque((name, value, 0) for name, value in _variables())
    while pending and len(seen) < _MOST_OBJECTS:
        name, value, depth = pending.popleft()
        if id(value) in seen or isinstance(value, _OPAQUE):
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.grad_fn is not None:
                yield _Holder(name, value)
        elif isinstance(value, _CONTAINERS):
            if any(True for _ in _tensors(value)):
                yield _Holder(name, value)
            elif depth < _DEEPEST and isinstance(value, dict):
                pending.extend((f"{name}[{key!r}]", v, depth + 1) for key, v in value.items())
        elif depth < _DEEPEST and hasattr(value, "__dict__"):
            pending.extend((f"{name}.{key}", v, depth + 1) for key, v in vars(value).items())


def _variables() -> Iterator[tuple[str, Any]]:
    """Yield the variables of the frames that led here, innermost first, then the script's own."""
    main = sys.modules["__main__"].__dict__
    frame = sys._getframe()  # noqa: SLF001 - the stack is what it gives
    while frame is not None:
        if frame.f_locals is not main and not frame.f_code.co_filename.startswith(_OUR_FILES):
            yield from [(name, v) for name, v in frame.f_locals.items() if v is not main]
        frame = frame.f_back  # type: ignore[assignment]
    yield from [(name, value) for name, value in main.items() if not name.startswith("__")]


def _tensors(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the device's tensors in a container, or the tensor itself."""
    if isinstance(value, FakeTensor):
        yield value
    elif depth < _DEEPEST and isinstance(value, (*_CONTAINERS, tuple)):
        items = value.values() if isinstance(value, dict) else value
        for item in list(itertools.islice(reversed(items), _MOST_ITEMS)):
            yield from _tensors(item, depth + 1)


def _let_go(holder: _Holder, action: Callable[[Any], Any]) -> None:
    if not holder.is_variable:
        _replaced(holder.value, action)
    elif not holder.value._is_view():  # noqa: SLF001 - a view cannot be cut off in place
        holder.value.detach_()


def _replaced(value: Any, action: Callable[[Any], Any]) -> Any:
    """Apply an action to each of the device's tensors; containers change in place."""
    if isinstance(value, FakeTensor):
        return action(value)
    if isinstance(value, dict):
        for key, item in list(value.items()):
            if isinstance(item, (FakeTensor, *_CONTAINERS, tuple)):
                value[key] = _replaced(item, action)
    elif isinstance(value, (list, deque)):
        for index, item in enumerate(list(value)):
            value[index] = _replaced(item, action)
    elif type(value) is tuple:
        return tuple(_replaced(item, action) for item in value)
    return value


def _cut_off(tensor: Any) -> Any:
    return tensor if isinstance(tensor, torch.nn.Parameter) else tensor.detach()


def _to_host(tensor: Any) -> Any:
    return tensor if isinstance(tensor, torch.nn.Parameter) else tensor.detach().cpu()


def _take_away(tensor: Any) -> Any:
    return tensor if isinstance(tensor, torch.nn.Parameter) else None
