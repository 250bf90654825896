"""What a script is seen to do that decides which changes make sense for it."""

from __future__ import annotations

import functools
import sys
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils import checkpoint

from sojourn.forecast.changes import Blocks, Chain, Kept, Traits
from sojourn.forecast.trace import Phase
from sojourn.tracing.blocks import longest_chain, repeated_blocks, switchable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.tracing.recorder import Recorder

_HALF = (torch.float16, torch.bfloat16)
_TRAINERS = {
    "transformers.trainer": "transformers",
    "lightning.pytorch.trainer.trainer": "lightning",
    "pytorch_lightning.trainer.trainer": "lightning",
}


class Watch:
    """Watches a script's models and optimizers, and calls others when a model is run to train.

    Args:
        recorder: Says which phase it is.
        before_model: Called with each model, a module that no other one calls, each time before it
            runs with gradients.
    """

    def __init__(self, recorder: Recorder, before_model: Sequence[Callable[[Any], None]]) -> None:
        self._recorder = recorder
        self._before_model = before_model
        self._depth = threading.local()
        self._models: dict[int, Any] = {}
        self._optimizers: list[str] = []
        self._is_half = False
        self._is_checkpointed = False
        self._blocks: dict[str, list[str]] = {}
        self._chain: Chain | None = None
        self._passes = 0
        self._passes_before = [0]
        self._has_switch = False
        self._first_optimizer: Any = None
        self._is_step_open = False
        self.step_ends: list[int] = []

    def install(self) -> None:
        """Watch for the rest of the process. Before anything else that hooks optimizers."""
        module = torch.nn.modules.module
        module.register_module_forward_pre_hook(self._enter)
        module.register_module_forward_hook(self._leave, always_call=True)
        register_optimizer_step_pre_hook(self._see_optimizer)
        register_optimizer_step_post_hook(self._end_step)
        self._count_passes()
        for name in ("checkpoint", "checkpoint_sequential"):
            setattr(checkpoint, name, self._noting(getattr(checkpoint, name)))

    def traits(self, kept: tuple[Kept, ...]) -> Traits:
        """Return what was seen."""
        return Traits(
            is_half=self._is_half,
            is_checkpointed=self._is_checkpointed,
            blocks=tuple(
                Blocks(kind=kind, paths=tuple(paths)) for kind, paths in self._blocks.items()
            ),
            chain=None if self._blocks else self._chain,
            has_checkpoint_switch=self._has_switch,
            optimizers=tuple(self._optimizers),
            passes=max(1, self._passes_before[-1] - self._passes_before[-2:][0]),
            trainer=next((name for key, name in _TRAINERS.items() if key in sys.modules), ""),
            kept=kept,
        )

    def _enter(self, module: Any, _args: Any) -> None:
        depth = getattr(self._depth, "value", 0)
        self._depth.value = depth + 1
        # Also within a model: accelerate puts autocast around its forward method.
        self._is_half = self._is_half or torch.is_autocast_enabled("cuda")
        # What is computed again in a backward pass is no model of its own.
        is_outermost = depth == 0 and self._recorder.phase is not Phase.BACKWARD
        if is_outermost and torch.is_grad_enabled() and _is_trained(module):
            if id(module) not in self._models:
                self._models[id(module)] = module
                self._see_model(module)
            for listener in self._before_model:
                listener(module)

    def _leave(self, _module: Any, _args: Any, _output: Any) -> None:
        self._depth.value = max(0, getattr(self._depth, "value", 0) - 1)

    def _see_model(self, model: Any) -> None:
        self._is_half = self._is_half or any(p.dtype in _HALF for p in model.parameters())
        self._has_switch = self._has_switch or switchable(model) is not None
        paths = {id(module): path for path, module in model.named_modules()}
        for block in repeated_blocks(model):
            self._blocks.setdefault(type(block).__name__, []).append(paths[id(block)])
        self._chain = longest_chain(model) if self._chain is None else self._chain

    def _see_optimizer(self, optimizer: Any, *_: Any) -> None:
        name = type(optimizer).__name__
        if name not in self._optimizers:
            self._optimizers.append(name)

    def _end_step(self, optimizer: Any, *_: Any) -> None:
        if self._first_optimizer is None:
            self._first_optimizer = optimizer
        if optimizer is self._first_optimizer:
            self.step_ends.append(self._recorder.mark_now())
            self._passes_before.append(self._passes)
            self._is_step_open = True

    def see_next_batch(self) -> None:
        """Let a step end here, where the next batch is asked for, not where its optimizer did."""
        if self._is_step_open:
            self.step_ends[-1] = self._recorder.mark_now()
            self._is_step_open = False

    def _count_passes(self) -> None:
        run = torch.autograd.graph._engine_run_backward  # noqa: SLF001 - the one door to the engine

        @functools.wraps(run)
        def backward(*args: Any, **kwargs: Any) -> Any:
            self._passes += 1
            return run(*args, **kwargs)

        torch.autograd.graph._engine_run_backward = backward  # noqa: SLF001
        torch.autograd._engine_run_backward = backward  # type: ignore[attr-defined]  # noqa: SLF001

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            self._is_checkpointed = True
            return function(*args, **kwargs)

        return run


def _is_trained(module: Any) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
