"""A training step as a function, for what cannot be run as a script.

The function is named by its file and name, as it has to reach another process: `train.py:step`. The
file is imported there, not run as `__main__`; the function is then called until its optimizers have
stepped twice, each time with what the batch function gives for the batch size, if there is one.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError, UsageError
from sojourn.forecast.trace import Phase
from sojourn.tracing.request import StepFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.script.source import ScriptSource
    from sojourn.tracing.hooks import Loaders, Steps
    from sojourn.tracing.recorder import Recorder

# Calls after which an optimizer that has not stepped twice is taken to step too seldom.
_MOST_CALLS = 32
_HOW = (
    "Name a function in a .py file: sojourn.plan(step='train.py:train_step'), or "
    "sojourn plan train.py --step train_step."
)


class PlanAskedForError(BaseException):
    """The file asks for a plan itself: what it defines for that stands above that line."""


def parse_step(
    target: str | Path | None,
    step: str | Callable[..., Any] | None,
    batch: str | Callable[..., Any] | None,
) -> tuple[Path, StepFunction | None]:
    """Find the file and the functions that are meant.

    Args:
        target: The file, if it is not named with the step.
        step: A function, its name, or its file and name: `train.py:train_step`.
        batch: A function in the same file that takes a batch size, or its name.

    Raises:
        UsageError: neither names a file, or one names a function that no other process can find.
    """
    if step is None:
        if target is None or batch is not None:
            what = "There is no script to plan." if target is None else "batch= needs a step=."
            raise UsageError(what, remedy=f"Give a script, sojourn.plan('train.py'). {_HOW}")
        return Path(target), None
    file, function = _file_and_name(step)
    path = file or (Path(target) if target is not None else None)
    if path is None:
        raise UsageError(f"In which file {function!r} stands is not said.", remedy=_HOW)
    batch_file, batch_function = _file_and_name(batch) if batch is not None else (None, "")
    for other in (batch_file, Path(target) if target is not None else None):
        if other is not None and other.resolve() != path.resolve():
            raise UsageError(
                f"{function!r} is in {path.name}, something else in {other.name}.",
                remedy="Keep what a step needs in one file, which may import others.",
            )
    for name in (function, batch_function) if batch is not None else (function,):
        if not name.isidentifier():
            raise UsageError(f"{name!r} is no name of a function in {path.name}.", remedy=_HOW)
    return path, StepFunction(function=function, batch=batch_function)


def _file_and_name(named: str | Callable[..., Any]) -> tuple[Path | None, str]:
    if isinstance(named, str):
        file, _, name = named.rpartition(":")
        return (Path(file) if file else None), name
    name = getattr(named, "__qualname__", "")
    source = inspect.getsourcefile(named) if inspect.isfunction(named) else None
    is_found = source is not None and Path(source).is_file() and "ipykernel" not in source
    if source is None or not is_found or not name.isidentifier():
        raise UsageError(
            f"{name or repr(named)} cannot be found from another process: it is not a function at "
            "the top of a .py file.",
            remedy=f"Write it to one (in a notebook: %%writefile steps.py). {_HOW}",
        )
    return Path(source), name


def run_step(
    source: ScriptSource,
    step: StepFunction,
    *,
    batch_size: int | None,
    recorder: Recorder,
    steps: Steps,
    loaders: Loaders,
) -> None:
    """Import the file, and call the step until it has stepped often enough.

    Raises:
        TraceError: there is no such function, it wants other arguments, or trains nothing.
        StopTrace: enough was seen.
    """
    module = _import(source, step.function, steps)
    function = _find(module, step.function, source.path.name)
    arguments = _batches(module, step, source.path.name, batch_size, loaders)
    _check_call(function, step, arguments is not None)
    mark = 0
    for calls in range(1, _MOST_CALLS + 1):
        function(*(() if arguments is None else (arguments(),)))
        if calls == steps.wanted:
            mark = recorder.mark_now()
            if not steps.known:
                break
    if steps.count == 0 and recorder.has_phase(Phase.BACKWARD, 0):
        # What steps is no optimizer of torch's: each call is a step.
        recorder.forget(mark)
        steps.taken[0] = steps.wanted
        return
    raise TraceError(
        f"{step.function}() was called {_MOST_CALLS} times, and its optimizer stepped "
        f"{steps.count} times.",
        remedy="Give a function that ends with optimizer.step(), or that accumulates over fewer "
        "calls.",
    )


def _import(source: ScriptSource, name: str, steps: Steps) -> ModuleType:
    # It imports torch, and this module is read where nothing is traced, too.
    from sojourn.tracing.hooks import StopTrace

    module = ModuleType(source.path.stem)
    module.__file__ = source.filename
    sys.modules[module.__name__] = module
    # Tracing knows nothing of the package's public face; the file, which may call it, does.
    vars(sys.modules["sojourn"])["plan"] = _ask_for_plan
    try:
        exec(source.compiled(), vars(module))  # noqa: S102 - the user's own file is the job
    except (PlanAskedForError, StopTrace):
        if steps.count and name not in _bound_names(source):
            _find(module, name, source.path.name)
    if steps.count:
        raise TraceError(
            f"{source.path.name} trains as it is imported.",
            remedy="Put what trains below `if __name__ == '__main__':`, or plan it as a script, "
            "without --step.",
        )
    return module


def _bound_names(source: ScriptSource) -> set[str]:
    """Return what the file may give a name to, below the line too at which its import ended."""
    nodes = list(ast.walk(ast.parse(source.code)))
    return {
        *(n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))),
        *((n.asname or n.name) for n in nodes if isinstance(n, ast.alias)),
        *(n.id for n in nodes if isinstance(n, ast.Name)),
    }


def _ask_for_plan(*_args: Any, **_kwargs: Any) -> Any:
    raise PlanAskedForError


def _find(module: ModuleType, name: str, file: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = vars(module).get(name)
    if callable(function):
        return function
    own = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == file]
    own = own or [n for n, v in vars(module).items() if inspect.isfunction(v)]
    raise TraceError(
        f"{file} has no function {name!r}.",
        remedy=f"It has: {', '.join(own) or 'none at its top level'}.",
    )


def _batches(
    module: ModuleType, step: StepFunction, file: str, batch_size: int | None, loaders: Loaders
) -> Callable[[], Any] | None:
    """Return what makes one batch; None where the step makes its own."""
    if not step.batch:
        return None
    make = _find(module, step.batch, file)
    parameters = list(inspect.signature(make).parameters.values())
    if not parameters:
        return make
    size = batch_size if batch_size is not None else parameters[0].default
    if not isinstance(size, int):
        raise TraceError(
            f"{step.batch}() wants a batch size, and none is given.",
            remedy="Say which: --batch-size 32, batch_size=32, or a default in the function.",
        )
    loaders.batch_size, loaders.overridden = size, True
    return lambda: make(size)


def _check_call(function: Callable[..., Any], step: StepFunction, has_batch: bool) -> None:  # noqa: FBT001
    given = ("a batch",) if has_batch else ()
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        remedy = (
            f"Let {step.function}() take the batch, and nothing else that it must have."
            if has_batch
            else f"Let {step.function}() take nothing, or name what makes its batch: --batch "
            "make_batch, which takes the batch size."
        )
        raise TraceError(f"{step.function}() cannot be called: {error}.", remedy=remedy) from error
