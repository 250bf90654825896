"""Where the script is: optimizer steps, backward passes, module calls, loaders.

Hooks tell the recorder which phase it is and what each tensor is for, and end the script once its
optimizers have stepped often enough.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import (
    _foreach_supported_types,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils._pytree import tree_leaves

from sojourn.forecast.trace import Phase, Role
from sojourn.tracing.copies import install_copies
from sojourn.tracing.ctc_loss import install_ctc_loss
from sojourn.tracing.kernels import mark_parameters
from sojourn.tracing.moves import ModuleMoves
from sojourn.tracing.repeats import repeat_samples
from sojourn.tracing.stand_ins import install_stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sojourn.tracing.evaluation import Evaluation
    from sojourn.tracing.recorder import Recorder

# One optimizer may step this often while others (a critic's many steps for one of its generator)
# have not come to their turn yet.
_MOST_STEPS_OF_ONE = 12
# Arguments of a DataLoader that only make sense with workers.
_FOR_WORKERS = ("prefetch_factor", "persistent_workers", "multiprocessing_context", "timeout")


class StopTrace(BaseException):
    """Enough was seen. Not an Exception, so that scripts that catch everything do not catch it."""


@dataclass(slots=True)
class Steps:
    """How often each optimizer stepped; ends the script when each has done so `wanted` times."""

    wanted: int
    taken: dict[int, int] = field(default_factory=dict)
    known: dict[int, Any] = field(default_factory=dict)
    when_ignored: Callable[[], None] = lambda: None
    is_stopped: bool = False

    @property
    def count(self) -> int:
        """Steps of the optimizer that stepped most."""
        return max(self.taken.values(), default=0)

    def stop(self, recorder: Recorder) -> None:
        """End the script; if it went on after the first time, without asking it again.

        Raises:
            StopTrace: the first time.
        """
        if self.is_stopped:
            self.when_ignored()
        self.is_stopped = True
        recorder.close()
        raise StopTrace

    def is_enough(self) -> bool:
        """Whether each optimizer that was made has stepped often enough, or one far too often."""
        waiting = [key for key in self.known if self.taken.get(key, 0) < self.wanted]
        return not waiting or self.count >= _MOST_STEPS_OF_ONE


@dataclass(slots=True)
class Loaders:
    """The loaders that the script made, and the one that fed it last. Sizes in samples."""

    override: int | None = None
    keeps_epoch_of: int | None = None
    overridden: bool = False
    repeated: bool = False
    batch_size: int | None = None
    samples: int | None = None
    first_dimension: int | None = None


def install_hooks(
    recorder: Recorder, steps: Steps, loaders: Loaders, evaluation: Evaluation
) -> None:
    """Install all hooks for the rest of the process."""
    moves = ModuleMoves(steps.known, lambda tensor: recorder.mark(tensor, Role.PARAMETERS))
    moves.install()
    install_copies(recorder)
    install_ctc_loss()
    _hook_optimizers(recorder, steps, moves, evaluation)
    _hook_backward(recorder, steps)
    _hook_modules(recorder, loaders)
    _hook_loaders(recorder, loaders, evaluation)
    evaluation.install()
    install_stand_ins(recorder)


def _hook_optimizers(
    recorder: Recorder, steps: Steps, moves: ModuleMoves, evaluation: Evaluation
) -> None:
    made = torch.optim.Optimizer.__init__

    @functools.wraps(made)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        steps.known[id(self)] = self
        moves.update(self)

    def before(optimizer: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        recorder.phase = Phase.OPTIMIZER
        for parameter in _parameters(optimizer):
            recorder.mark(parameter, Role.PARAMETERS)
        _mark_gradients(recorder, optimizer)
        # `step(closure)`: what the closure runs is a forward and a backward pass like any other.
        args = tuple(_in_forward(value, recorder) if callable(value) else value for value in args)
        if callable(kwargs.get("closure")):
            kwargs = {**kwargs, "closure": _in_forward(kwargs["closure"], recorder)}
        return args, kwargs

    def after(optimizer: Any, *_: Any) -> None:
        if isinstance(optimizer, torch.optim.LBFGS):
            _fill_history(recorder, optimizer)
        _mark_state(recorder, optimizer)
        recorder.phase = Phase.FORWARD
        if steps.is_stopped:
            steps.stop(recorder)
        steps.known.setdefault(id(optimizer), optimizer)
        steps.taken[id(optimizer)] = steps.taken.get(id(optimizer), 0) + 1
        if not evaluation.is_training_over:
            recorder.kernels.end_step(id(optimizer))
        if steps.is_enough():
            evaluation.after_enough_steps()

    # On a card the optimizers that can do take all parameters in one kernel, with room for all at
    # once; torch lets none but its own tensor types in.
    _foreach_supported_types.append(FakeTensor)
    torch.optim.Optimizer.__init__ = init  # type: ignore[method-assign]
    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(after)


def _in_forward(closure: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    @functools.wraps(closure)
    def run(*args: Any, **kwargs: Any) -> Any:
        before, recorder.phase = recorder.phase, Phase.FORWARD
        try:
            return closure(*args, **kwargs)
        finally:
            recorder.phase = before

    return run


def _fill_history(recorder: Recorder, optimizer: Any) -> None:
    """Give LBFGS its whole history of directions and steps.

    It keeps a pair of vectors for each step that bent the way it hoped, which made-up values never
    do; it has `history_size` of them before long.
    """
    group = optimizer.param_groups[0]
    state = optimizer.state[group["params"][0]]
    gradient, directions = state.get("prev_flat_grad"), state.get("old_dirs")
    if gradient is None or directions is None:
        return
    recorder.assume(f"LBFGS keeps its whole history of {group['history_size']} steps")
    while len(directions) < group["history_size"]:
        directions.append(torch.empty_like(gradient))
        state["old_stps"].append(torch.empty_like(gradient))
        state["ro"].append(torch.empty((), device=gradient.device))


def _mark_state(recorder: Recorder, optimizer: Any) -> None:
    # Users' own optimizers may keep whatever they like there.
    for value in tree_leaves(list(optimizer.state.values())):
        if isinstance(value, torch.Tensor):
            recorder.mark(value, Role.OPTIMIZER)


def _mark_gradients(recorder: Recorder, optimizer: Any) -> None:
    for parameter in _parameters(optimizer):
        if parameter.grad is not None:
            recorder.mark(parameter.grad, Role.GRADIENTS)


def _parameters(optimizer: Any) -> Iterator[Any]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _hook_backward(recorder: Recorder, steps: Steps) -> None:
    run = torch.autograd.graph._engine_run_backward  # noqa: SLF001 - the one door to the engine

    @functools.wraps(run)
    def backward(*args: Any, **kwargs: Any) -> Any:
        before = recorder.enter_backward()
        try:
            return run(*args, **kwargs)
        finally:
            recorder.phase = before
            # Not only those of the optimizer that steps next: a GAN's loss goes through both nets.
            for optimizer in steps.known.values():
                _mark_gradients(recorder, optimizer)

    torch.autograd.graph._engine_run_backward = backward  # noqa: SLF001
    torch.autograd._engine_run_backward = backward  # type: ignore[attr-defined]  # noqa: SLF001


def _hook_modules(recorder: Recorder, loaders: Loaders) -> None:
    seen: set[int] = set()

    def before(module: Any, args: Any) -> None:
        if recorder.phase is Phase.SETUP:
            recorder.phase = Phase.FORWARD
            recorder.kernels.begin_training()
        if loaders.first_dimension is None:
            loaders.first_dimension = _first_dimension(args)
        if id(module) not in seen:
            seen.add(id(module))
            mark_parameters(recorder, module)

    torch.nn.modules.module.register_module_forward_pre_hook(before)
    torch.nn.RNNBase.flatten_parameters = _nothing  # type: ignore[method-assign]


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    pass


def _first_dimension(args: Any) -> int | None:
    for value in args:
        if isinstance(value, torch.Tensor) and value.dim() > 1:
            return int(value.shape[0])
    return None


def _hook_loaders(recorder: Recorder, loaders: Loaders, evaluation: Evaluation) -> None:
    loader_class = torch.utils.data.DataLoader
    made, iterate = loader_class.__init__, loader_class.__iter__

    signature = inspect.signature(made)

    @functools.wraps(made)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        del given["self"]
        # Workers would be forked with the device's stand-ins inside; batches are the same without.
        for name in ("num_workers", "pin_memory", *_FOR_WORKERS):
            given.pop(name, None)
        made(self, **given)

    @functools.wraps(iterate)
    def iterating(self: Any) -> Any:
        is_training = recorder.phase is not Phase.OPTIMIZER and torch.is_grad_enabled()
        if is_training and not evaluation.is_training_over:
            if loaders.override is not None:
                _override_batch_size(self, loaders)
            loaders.batch_size, loaders.samples = _sizes(self)
        return iterate(self)

    loader_class.__init__ = init  # type: ignore[method-assign]
    loader_class.__iter__ = iterating  # type: ignore[method-assign]


def _override_batch_size(loader: Any, loaders: Loaders) -> None:
    """Change the size of a training loader's batches; those of an evaluation stay as they are."""
    if not hasattr(loader.batch_sampler, "batch_size"):
        return
    if loaders.override and loaders.keeps_epoch_of:
        share = loaders.override / loaders.keeps_epoch_of
        loaders.repeated = repeat_samples(loader.batch_sampler, share)
    loader.batch_sampler.batch_size = loaders.override
    if loader.batch_size is not None:
        # The attribute may not be set from outside once the loader is made.
        vars(loader)["batch_size"] = loaders.override
    loaders.overridden = True


def _sizes(loader: Any) -> tuple[int | None, int | None]:
    batch_size = loader.batch_size
    if batch_size is None:
        batch_size = getattr(loader.batch_sampler, "batch_size", None)
    try:
        return batch_size, len(loader.dataset)
    except (TypeError, NotImplementedError):
        # An iterable data set has no length.
        return batch_size, None
