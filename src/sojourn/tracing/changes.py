"""Changes around a script whose text stays as it is, so that a changed job can be traced.

Each does what the lines do that the user is told to write: autocast lasts from a model's forward
pass until the backward pass, so that the loss is in it; of several backward passes only the last
is followed by a step; repeated blocks are wrapped before the model first runs.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from sojourn.forecast.changes import TRACED_PASSES
from sojourn.forecast.trace import Phase
from sojourn.tracing.blocks import checkpoint_model
from sojourn.tracing.keeping import Keeping
from sojourn.tracing.low_bit_optimizers import optimizer_classes
from sojourn.tracing.traits import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.forecast.changes import Changes
    from sojourn.forecast.trace import Trace
    from sojourn.tracing.recorder import Recorder


class Changed:
    """The changes in force, and what was seen of the script. To be made before all other hooks.

    Args:
        changes: What to change.
        recorder: Says where the script is.
        steps: How many steps of its optimizers are traced.
    """

    def __init__(self, changes: Changes, recorder: Recorder, steps: int) -> None:
        before_model: list[Callable[[Any], None]] = []
        if changes.autocast is not None:
            before_model.append(_Autocast(recorder, changes.autocast).enter)
        if changes.is_checkpointed:
            before_model.append(_once_each(checkpoint_model))
        if changes.optimizer is not None:
            _replace_adam(optimizer_classes(recorder, lambda: None)[changes.optimizer])
        self._keeping = Keeping(recorder, changes, steps)
        if changes.released:
            before_model.append(lambda _model: self._keeping.release())
        self._watch = Watch(recorder, before_model)
        self._watch.install()
        self._keeping.install()
        if changes.accumulate > 1:
            _accumulate(TRACED_PASSES)

    def see_next_batch(self) -> None:
        """Note that training asks for its next batch."""
        self._watch.see_next_batch()

    def noted_in(self, trace: Trace) -> Trace:
        """Return the trace with what was seen of the script."""
        return replace(
            trace,
            step_ends=tuple(self._watch.step_ends),
            traits=self._watch.traits(self._keeping.kept),
        )


def _once_each(function: Callable[[Any], None]) -> Callable[[Any], None]:
    done: dict[int, Any] = {}

    def run(model: Any) -> None:
        if id(model) not in done:
            done[id(model)] = model
            function(model)

    return run


def _replace_adam(stand_in: type[torch.optim.Optimizer]) -> None:
    """Let another optimizer take the place of torch's Adam and AdamW."""
    for holder in ("torch.optim", "torch.optim.adam", "torch.optim.adamw"):
        for name in ("Adam", "AdamW"):
            if hasattr(sys.modules[holder], name):
                setattr(sys.modules[holder], name, stand_in)


class _Autocast:
    """Autocast from a model's forward pass to the backward pass."""

    def __init__(self, recorder: Recorder, dtype: str) -> None:
        self._recorder = recorder
        self._dtype = getattr(torch, dtype)
        self._open: Any = None
        run = torch.autograd.graph._engine_run_backward  # noqa: SLF001 - the one door to the engine

        @functools.wraps(run)
        def backward(*args: Any, **kwargs: Any) -> Any:
            self._leave()
            return run(*args, **kwargs)

        torch.autograd.graph._engine_run_backward = backward  # noqa: SLF001
        torch.autograd._engine_run_backward = backward  # type: ignore[attr-defined]  # noqa: SLF001

    def enter(self, _model: Any) -> None:
        is_training = self._recorder.phase in {Phase.SETUP, Phase.FORWARD}
        if is_training and self._open is None and not torch.is_autocast_enabled("cuda"):
            self._open = torch.autocast("cuda", dtype=self._dtype)
            self._open.__enter__()

    def _leave(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


def _accumulate(passes: int) -> None:
    """Let optimizers step, and gradients be cleared, only after every so many calls of `step`."""
    waiting: Counter[int] = Counter()
    optimizer_class: Any = torch.optim.Optimizer
    hook_step = optimizer_class.profile_hook_step

    def every_so_often(step: Callable[..., Any]) -> Callable[..., Any]:
        hooked = hook_step(step)

        @functools.wraps(hooked)
        def run(optimizer: Any, closure: Any = None, **kwargs: Any) -> Any:
            waiting[id(optimizer)] = (waiting[id(optimizer)] + 1) % passes
            if not waiting[id(optimizer)]:
                given = () if closure is None else (closure,)
                return hooked(optimizer, *given, **kwargs)
            return closure() if closure is not None else None

        return run

    optimizer_class.profile_hook_step = staticmethod(every_so_often)
    module_class: Any = torch.nn.Module
    clear, clear_module = optimizer_class.zero_grad, module_class.zero_grad

    @functools.wraps(clear)
    def zero_grad(optimizer: Any, *args: Any, **kwargs: Any) -> None:
        if not waiting[id(optimizer)]:
            clear(optimizer, *args, **kwargs)

    @functools.wraps(clear_module)
    def module_zero_grad(module: Any, *args: Any, **kwargs: Any) -> None:
        if not any(waiting.values()):
            clear_module(module, *args, **kwargs)

    optimizer_class.zero_grad = zero_grad
    module_class.zero_grad = module_zero_grad
