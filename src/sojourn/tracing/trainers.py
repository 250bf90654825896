"""What transformers' Trainer and Lightning know of their own schedule: their loops are not user's.

Numbers are read when they train or evaluate, and no trainer is held on to.
"""

from __future__ import annotations

import functools
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSchedule:
    """What a trainer says of its own schedule; None where it does not know.

    `evaluations_per_epoch` is a number of passes, where they do not come every so many steps
    (`evaluates_every_steps`); `evaluation_batches` that of one pass, None where only the loader can
    tell.
    """

    steps_per_epoch: int | None
    epochs: int | None
    total_steps: int | None
    batches_per_step: int
    evaluations_per_epoch: float | None
    evaluates_every_steps: float | None
    evaluation_batches: int | None
    is_upper_bound: bool


class Trainers:
    """Watches trainers. `schedule` is what the one that trains has said last."""

    def __init__(self) -> None:
        self.schedule: TrainerSchedule | None = None
        self.is_over = False

    def install(self) -> None:
        """Watch for the rest of the process."""
        after_import(
            {
                "transformers.trainer_callback": self._watch_transformers,
                "lightning.pytorch.loops.training_epoch_loop": self._watch_lightning,
                "pytorch_lightning.loops.training_epoch_loop": self._watch_lightning,
            }
        )

    def _read(self, read: Callable[..., TrainerSchedule], *said_by: Any) -> None:
        # Versions that name these things otherwise train all the same.
        with suppress(AttributeError, TypeError, ValueError):
            self.schedule = read(*said_by)

    def _watch_transformers(self, module: Any) -> None:
        flow = module.DefaultFlowCallback
        on_step_end, on_train_end = flow.on_step_end, flow.on_train_end

        @functools.wraps(on_step_end)
        def step_ended(callback: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self._read(_of_transformers, args, state)
            return on_step_end(callback, args, state, control, **rest)

        @functools.wraps(on_train_end)
        def train_ended(callback: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            self.is_over = True
            return on_train_end(callback, args, state, control, **rest)

        flow.on_step_end, flow.on_train_end = step_ended, train_ended

    def _watch_lightning(self, module: Any) -> None:
        loop = module._TrainingEpochLoop  # noqa: SLF001 - it has no public name
        advance, on_advance_end = loop.advance, loop.on_advance_end

        @functools.wraps(advance)
        def advancing(epoch: Any, *args: Any, **kwargs: Any) -> Any:
            self.is_over = False
            self._read(_of_lightning, epoch.trainer)
            return advance(epoch, *args, **kwargs)

        @functools.wraps(on_advance_end)
        def advanced(epoch: Any, *args: Any, **kwargs: Any) -> Any:
            # It validates in there, and knows how much only once it has looked at the loaders.
            result = on_advance_end(epoch, *args, **kwargs)
            self._read(_of_lightning, epoch.trainer)
            self.is_over = True
            return result

        loop.advance, loop.on_advance_end = advancing, advanced


def _of_transformers(args: Any, state: Any) -> TrainerSchedule:
    """Source: transformers, trainer.py, set_initial_training_values (4.50 to 5.23)."""
    strategy = str(getattr(args.eval_strategy, "value", args.eval_strategy))
    every = getattr(state, "eval_steps", None) or args.eval_steps
    return TrainerSchedule(
        steps_per_epoch=None,
        epochs=None,
        total_steps=int(state.max_steps),
        batches_per_step=max(1, int(args.gradient_accumulation_steps)),
        evaluations_per_epoch=0.0 if strategy == "no" else 1.0,
        evaluates_every_steps=float(every) if strategy == "steps" and every else None,
        evaluation_batches=None,
        is_upper_bound="EarlyStoppingCallback"
        in (getattr(state, "stateful_callbacks", None) or {}),
    )


def _of_lightning(trainer: Any) -> TrainerSchedule:
    """Source: Lightning, trainer.py, estimated_stepping_batches; training_epoch_loop.py (2.6)."""
    accumulates = max(1, int(trainer.accumulate_grad_batches))
    batches = trainer.num_training_batches
    steps_per_epoch = None if math.isinf(batches) else max(1, math.ceil(batches / accumulates))
    epochs = trainer.max_epochs if trainer.max_epochs not in {None, -1} else None
    return TrainerSchedule(
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        total_steps=_lightning_total(trainer.max_steps, steps_per_epoch, epochs),
        batches_per_step=accumulates,
        evaluations_per_epoch=_validations(trainer, batches),
        evaluates_every_steps=None,
        evaluation_batches=_validation_batches(trainer),
        is_upper_bound=any("EarlyStopping" in type(c).__name__ for c in trainer.callbacks),
    )


def _lightning_total(most: int, steps_per_epoch: int | None, epochs: int | None) -> int | None:
    if most in {None, -1}:
        return None
    if steps_per_epoch is None or epochs is None:
        return most
    return most if most < steps_per_epoch * epochs else None


def _validations(trainer: Any, batches: float) -> float | None:
    every_epochs = trainer.check_val_every_n_epoch or 1
    check = getattr(trainer, "val_check_batch", None)
    if check is None or math.isinf(check) or math.isinf(batches) or check <= 0:
        return 1.0 / every_epochs
    return max(1.0, batches // check) / every_epochs


def _validation_batches(trainer: Any) -> int | None:
    numbers = trainer.num_val_batches
    if not numbers or any(math.isinf(number) for number in numbers):
        return None
    return int(sum(numbers))
