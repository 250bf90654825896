"""What comes after training: the evaluation pass, which a script reaches when its epoch is over.

Once enough optimizer steps were seen, the loaders that feed training say that the epoch is over, so
that the script goes on to its evaluation. Of each loop there a few batches are run. The trace ends
where training would go on, at the script's end, or when the time given for it is up.

What the loop does between its last step and the next batch is training's still.

    kept        blocks of earlier batches that live on: logits gathered in a list
    replaced    one block that grows with each batch: what is gathered is joined anew each time
"""

from __future__ import annotations

import functools
import signal
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import dataloader

from sojourn.forecast.trace import Phase
from sojourn.script.imports import after_import
from sojourn.units import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.tracing.hooks import Steps
    from sojourn.tracing.recorder import Recorder

# Batches of one evaluation loop: from the second on, what a batch leaves behind shows itself.
_BATCHES = 3
# Seconds for what comes after training; as long as all before it took, if that is longer.
_LEAST_S = 15.0
# Up to so many batches, and seconds, all of a loop are run that leave something on the device. The
# number decides alone where it can, so that traces of one script stay alike.
_WHOLE_BATCHES = 50
_WHOLE_S = 5.0
# Optimizer steps after the loaders are cut: some loaders have a batch in hand, and a loop may have
# gradients left to apply. A script that steps more often trains on by other means.
_TRAILING_STEPS = 3


@dataclass(slots=True)
class _Loop:
    """One evaluation loop: for each batch that was asked for, what was on the device, in bytes."""

    live_bytes: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    kernel_mark: int | None = None
    asked_at: list[float] = field(default_factory=list)
    runs_whole: bool = False
    is_timed: bool = False
    missing_bytes: int = 0
    is_replaced: bool = False


class Evaluation:
    """Leads a script from its training loop on to its evaluation.

    Args:
        recorder: What is seen there is written down in the same trace.
        steps: Ends the script.
        on_training_seen: Called once all of training was seen, before the script goes on.
        on_next_batch: Called when training asks for a batch: what comes before is the last step's.
        on_training_over: Called when enough was seen of training, from within its loop.
        is_followed: Whether it goes on at all.
    """

    def __init__(
        self,
        recorder: Recorder,
        steps: Steps,
        on_training_seen: Callable[[], None],
        *,
        on_next_batch: Callable[[], None] = lambda: None,
        on_training_over: Callable[[], None] = lambda: None,
        is_followed: bool = True,
    ) -> None:
        self.is_training_over = False
        self.has_left_training = False
        self._is_followed = is_followed
        self._recorder = recorder
        self._steps = steps
        self._on_training_seen = on_training_seen
        self._on_next_batch = on_next_batch
        self._on_training_over = on_training_over
        self._started = time.monotonic()
        self._feeding: weakref.WeakSet[Any] = weakref.WeakSet()
        self._training_sets: list[Any] = []
        self._loops: weakref.WeakKeyDictionary[Any, _Loop] = weakref.WeakKeyDictionary()
        self._has_looped = False
        self._is_settled = False
        self._is_going_on = False
        self._is_last_step_over = False
        self._is_cut = False
        self._mark = 0
        self._assumed = 0
        self._stepped = 0

    def install(self) -> None:
        """Watch the batches that DataLoaders give, for the rest of the process."""
        next_batch = dataloader._BaseDataLoaderIter.__next__  # noqa: SLF001 - all loaders end there

        @functools.wraps(next_batch)
        def following(iterator: Any) -> Any:
            self._before_batch(iterator)
            return next_batch(iterator)

        dataloader._BaseDataLoaderIter.__next__ = following  # type: ignore[method-assign,assignment]  # noqa: SLF001

        # A classmethod up to torch 2.13, a method of C since; both are bound the same way.
        apply = vars(torch.autograd.Function)["apply"]

        def applying(cls: Any, *args: Any, **kwargs: Any) -> Any:
            with self._recorder.inside_function():
                return apply.__get__(None, cls)(*args, **kwargs)

        torch.autograd.Function.apply = classmethod(applying)  # type: ignore[assignment,method-assign]
        after_import(
            {
                "transformers.trainer_callback": self._evaluate_after_epoch,
                "lightning.pytorch.loops.training_epoch_loop": self._validate_after_step,
                "pytorch_lightning.loops.training_epoch_loop": self._validate_after_step,
            }
        )

    def _validate_after_step(self, module: Any) -> None:
        """Let Lightning, which knows an epoch's end by its length, validate after the last step."""
        loop = module._TrainingEpochLoop  # noqa: SLF001 - it has no public name
        should_check = loop._should_check_val_fx  # noqa: SLF001

        def checking(epoch: Any, *args: Any) -> bool:
            due = self.is_training_over and bool(epoch._should_check_val_epoch())  # noqa: SLF001
            return due or bool(should_check(epoch, *args))

        loop._should_check_val_fx = checking  # noqa: SLF001

    def _evaluate_after_epoch(self, module: Any) -> None:
        """Let a Trainer that evaluates every so many steps do so when its loader is cut."""
        flow = module.DefaultFlowCallback
        on_epoch_end = flow.on_epoch_end

        def with_evaluation(callback: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            control = on_epoch_end(callback, args, state, control, **rest)
            if self.is_training_over:
                control.should_evaluate |= args.eval_strategy != "no"
                control.should_training_stop = True
                self.leave_training()
            return control

        flow.on_epoch_end = with_evaluation

    def after_enough_steps(self) -> None:
        """Let the script go on to its evaluation, if it gets there.

        Raises:
            StopTrace: it does not, as nothing that feeds its training can be ended.
        """
        if not self.is_training_over:
            self._end_training()
        elif self._steps.count - self._stepped > _TRAILING_STEPS:
            self._steps.stop(self._recorder)

    def settle(self) -> None:
        """End: leave what came after training out of the trace if there was no evaluation in it."""
        if self._is_settled or self._is_going_on:
            return
        self._is_settled = True
        if self.is_training_over and not self.is_seen:
            self._recorder.forget(self._mark)
            self._recorder.kernels.forget_evaluation()
            del self._recorder.assumptions[self._assumed :]

    def is_missed(self, code: str) -> bool:
        """Whether a script with that code seems to evaluate, and was not seen to."""
        evaluates = self._is_followed and any(mark in code for mark in (".eval()", "eval_strategy"))
        seen = self._has_looped or self._recorder.has_phase(Phase.EVALUATION, 0)
        return evaluates and not seen and not self._is_going_on

    @property
    def is_seen(self) -> bool:
        """Whether anything was evaluated after training."""
        return self._has_looped or self._recorder.has_phase(Phase.EVALUATION, self._mark)

    def cuts(self) -> str:
        """Say which of the script's loops were ended early, for what comes of that."""
        after = f"training after {format_count(self._stepped, 'optimizer step')}"
        return f"{after}, evaluation after {_BATCHES} batches" if self._is_cut else after

    def _end_training(self) -> None:
        self._training_sets = [iterator._dataset for iterator in self._feeding]  # noqa: SLF001
        if not self._training_sets or not self._is_followed:
            self._steps.stop(self._recorder)
        self._set_mark()
        self._stepped = self._steps.count
        self._is_going_on = True
        self._on_training_seen()
        self._is_going_on = False
        self.is_training_over = True
        limit_s = max(_LEAST_S, time.monotonic() - self._started)
        signal.signal(signal.SIGALRM, lambda *_: self._give_up(limit_s))
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        self._on_training_over()

    def leave_training(self) -> None:
        """A loop around training is left after its first round: what comes now, comes once."""
        self._end_last_step()
        self.has_left_training = True

    def _set_mark(self) -> None:
        self._mark = self._recorder.mark_now()
        self._assumed = len(self._recorder.assumptions)

    def _end_last_step(self) -> None:
        """Let what the loop did after the last optimizer step be training's too.

        The step before has shown as much; only the second time tells what stays of it.
        """
        if self._is_last_step_over:
            return
        self._is_last_step_over = True
        self._on_next_batch()
        if not self._has_looped:
            self._set_mark()

    def _give_up(self, limit_s: float) -> None:
        if self.is_seen:
            self._recorder.assume(
                f"what the script does after training was followed for {format_duration(limit_s)}"
            )
        # Wherever the script is: there is nothing to unwind.
        self._steps.when_ignored()

    def _before_batch(self, iterator: Any) -> None:
        """A batch is asked for.

        Raises:
            StopIteration: the loader shall give none.
            StopTrace: training would begin again.
        """
        if not self.is_training_over:
            if torch.is_grad_enabled():
                self._feeding.add(iterator)
                self._on_next_batch()
            return
        if iterator in self._feeding:
            self._end_last_step()
            raise StopIteration
        is_training_set = any(iterator._dataset is known for known in self._training_sets)  # noqa: SLF001
        if is_training_set and torch.is_grad_enabled():
            self._steps.stop(self._recorder)
        self._evaluate(iterator, self._loops.setdefault(iterator, _Loop()))

    def _evaluate(self, iterator: Any, loop: _Loop) -> None:
        loop.live_bytes.append(self._recorder.live_bytes())
        loop.marks.append(self._recorder.mark_now())
        loop.asked_at.append(time.monotonic())
        # What comes in each epoch counts for more than what comes once.
        is_of_epochs = not self.has_left_training or not self._recorder.kernels.has_evaluation
        if loop.kernel_mark is not None and (is_of_epochs or loop.is_timed):
            loop.is_timed = True
            self._recorder.kernels.end_evaluation_batch(loop.kernel_mark)
        loop.kernel_mark = self._recorder.kernels.now()
        done = len(loop.live_bytes) - 1
        self._has_looped = self._has_looped or done > 0
        if loop.runs_whole or done < _BATCHES:
            return
        if done == _BATCHES and self._grows(loop):
            self._make_room(iterator, loop)
            return
        if loop.is_replaced:
            # While what is gathered is joined anew, the old is there beside the new.
            with self._recorder.passing(loop.missing_bytes):
                pass
        self._is_cut = self._is_cut or (_length(iterator) or done + 1) > done
        raise StopIteration

    def _grows(self, loop: _Loop) -> bool:
        """Whether each batch leaves something behind on the device."""
        _, second, third, now = loop.live_bytes
        return now > third > second

    def _make_room(self, iterator: Any, loop: _Loop) -> None:
        """Account for what all the batches leave behind: by running them, or by arithmetic."""
        _, second, third, now = loop.live_bytes
        batches = _length(iterator)
        if batches is None:
            self._recorder.assume(
                f"each evaluation batch leaves {format_bytes(now - third)} on the device; "
                f"{_BATCHES} batches are counted, as the loader does not say how many there are"
            )
            return
        # The one that is asked for now still runs.
        missing = batches - _BATCHES - 1
        per_batch_s = (loop.asked_at[-1] - loop.asked_at[1]) / (_BATCHES - 1)
        if missing <= _WHOLE_BATCHES and missing * per_batch_s < _WHOLE_S:
            loop.runs_whole = True
            return
        growth_bytes = (now - second) // 2
        loop.missing_bytes = growth_bytes * missing
        kept_bytes = self._recorder.live_bytes_of(loop.marks[1], loop.marks[2])
        loop.is_replaced = kept_bytes < growth_bytes
        self._recorder.occupy(loop.missing_bytes)
        joined = "" if loop.is_replaced else "; joining them afterwards would take as much again"
        self._recorder.assume(
            f"{_BATCHES + 1} of {batches} evaluation batches were run; the "
            f"{format_bytes(growth_bytes)} that each leaves on the device are counted for all"
            f"{joined}"
        )


def _length(iterator: Any) -> int | None:
    """Return how many batches a loader gives, if it says so."""
    try:
        return len(iterator)
    except (TypeError, NotImplementedError):
        return None
