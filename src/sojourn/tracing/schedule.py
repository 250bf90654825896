"""How often the job does what was traced: steps per epoch, epochs, evaluation, from what was seen.

    for fold in range(5):               epochs: 5 x 30; whatever goes round
        for epoch in range(30):         around the loop that feeds a step
            for batch in loader:        steps per epoch: the loader's length, or less
                ...                     by as many batches as a step was seen to take
                optimizer.step()

Where the loop that asks for batches is not one over a loader (`for step in range(1000)`), the loops
around the step say how many there are in all.
"""

from __future__ import annotations

import itertools
import math
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from sojourn.forecast.schedule import Schedule
from sojourn.tracing.batches import Batches, Feed, length_of
from sojourn.tracing.stack import RunningLoop, Stack
from sojourn.tracing.trainers import Trainers, TrainerSchedule
from sojourn.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_ASK = "give --epochs"
# From one step to the next it shows how many batches make up a step.
_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A step of the optimizer that stepped first: the loops around it, and who fed it.

    `given` is how many batches each of `feeds` had given by then.
    """

    loops: list[RunningLoop]
    feeds: list[Feed]
    given: list[int]

    def given_by(self, feed: Feed) -> int | None:
        """Return how many batches a feed had given; None if it did not feed this step."""
        return next((n for f, n in zip(self.feeds, self.given, strict=True) if f is feed), None)


@dataclass(slots=True)
class _Evaluated:
    """A loader that evaluation asked; `loops` are those that ran then."""

    length: int | None
    loops: list[RunningLoop]
    is_of_trainer: bool


@dataclass(slots=True)
class _Draft:
    """A schedule in the making, and what there is to say of it."""

    steps_per_epoch: int | None = None
    epochs: int | None = None
    total_steps: int | None = None
    batches_per_step: int | None = None
    reason: str = ""
    is_upper_bound: bool = False
    # The loop of which each round is an epoch, None where there is none.
    epoch_loop: RunningLoop | None = None
    notes: list[str] = field(default_factory=list)


class ScheduleWatch:
    """Watches steps and batches. To be installed before all other hooks.

    Args:
        label: Names a line of the user's own code, and gives None for everybody else's.
        texts: The code of files that stand otherwise on the disk, by file name.
        is_training_over: Whether what is fetched now is for evaluation.
    """

    def __init__(
        self,
        label: Callable[[str, int], str | None],
        texts: dict[str, str],
        is_training_over: Callable[[], bool],
    ) -> None:
        self.stack = Stack(label, texts, length_of)
        self.batches = Batches(self.stack, is_training_over, self._see_evaluation)
        self._trainers = Trainers()
        self._is_training_over = is_training_over
        self._first: Any = None
        self._steps: list[_Step] = []
        self._evaluated: weakref.WeakKeyDictionary[Any, list[_Evaluated]]
        self._evaluated = weakref.WeakKeyDictionary()
        self._evaluations: list[_Evaluated] = []

    def install(self) -> None:
        """Watch for the rest of the process."""
        self.batches.install()
        self._trainers.install()
        register_optimizer_step_post_hook(self._end_step)

    def schedule(
        self, *, has_missed_evaluation: bool, is_at_end: bool
    ) -> tuple[Schedule, tuple[str, ...]]:
        """Return what was seen, and what it takes for granted.

        Args:
            has_missed_evaluation: Whether the script seems to evaluate, and was not seen to.
            is_at_end: Whether the script was followed to its end.
        """
        if not self._steps:
            return Schedule(reason=f"no optimizer of torch's was seen to step; {_ASK}"), ()
        trainer = self._trainers.schedule
        draft = self._of_loops() if trainer is None else self._of_trainer(trainer)
        schedule = Schedule(
            steps_per_epoch=draft.steps_per_epoch,
            epochs=draft.epochs,
            reason=draft.reason,
            total_steps=draft.total_steps,
            batches_per_step=draft.batches_per_step,
            is_upper_bound=draft.is_upper_bound,
        )
        if not has_missed_evaluation:
            schedule = self._with_evaluation(schedule, draft, trainer)
        if not is_at_end:
            schedule = replace(schedule, final_batches=schedule.final_batches or None)
        return schedule, tuple(draft.notes)

    def loops_around_training(self) -> list[RunningLoop]:
        """Return the loops that lead here around the one over the loader that feeds training.

        None where no loader is gone over: a loop over steps may evaluate in any of its rounds.
        """
        feeds = self._steps[-1].feeds if self._steps else []
        asked = {loop.label for feed in feeds for loop in feed.loops if loop.is_asked}
        loops = self.stack.loops()
        # One that is being asked itself, a generator's, ends when what it asks does.
        outer = list(itertools.takewhile(lambda x: x.is_asked or x.label not in asked, loops))
        is_gone_over = len(outer) < len(loops)
        left = [loop for loop in outer if not (loop.is_asked or loop.is_over_kinds)]
        return left if is_gone_over else []

    def _end_step(self, optimizer: Any, *_: Any) -> None:
        if self._is_training_over():
            self._forget_training()
            return
        if self._first is None:
            self._first = weakref.ref(optimizer)
        if self._first() is not optimizer:
            return
        feeds = self.batches.end_step()
        if len(self._steps) < _STEPS:
            given = [feed.given for feed in feeds]
            self._steps.append(_Step(loops=self.stack.loops(), feeds=feeds, given=given))

    def _see_evaluation(self, loader: Any) -> None:
        loops = self.stack.loops()
        around = self._training_loops_of(loops)
        known = self._evaluated.setdefault(loader, [])
        # Its next batch; or again where it was asked before, in each fold, say.
        if any(self._training_loops_of(seen.loops) == around for seen in known):
            return
        seen = _Evaluated(
            length=length_of(loader),
            loops=loops,
            is_of_trainer=self._trainers.schedule is not None and not self._trainers.is_over,
        )
        known.append(seen)
        self._evaluations.append(seen)

    def _training_loops_of(self, loops: Sequence[RunningLoop]) -> set[tuple[int, int]]:
        """Return which of the loops hold the training steps as well, by frame and line."""
        around_step = self._steps[0].loops if self._steps else []
        return {(x.frame, x.line) for x in loops if any(_is_same(x, y) for y in around_step)}

    def _forget_training(self) -> None:
        """A step comes after training: what was asked last for batches trains, and evaluates not.

        A loop that has gradients left to apply has not asked anybody since training.
        """
        if self._evaluations and torch.is_grad_enabled():
            self._evaluations.pop()

    def _of_trainer(self, trainer: TrainerSchedule) -> _Draft:
        """Take a trainer at its word; loops of the script's own go around it."""
        feeds = self._steps[-1].feeds
        draft = _Draft(
            steps_per_epoch=trainer.steps_per_epoch,
            epochs=trainer.epochs,
            total_steps=trainer.total_steps,
            batches_per_step=trainer.batches_per_step,
            is_upper_bound=trainer.is_upper_bound,
        )
        if draft.steps_per_epoch is None and feeds and feeds[0].length:
            draft.steps_per_epoch = math.ceil(feeds[0].length / trainer.batches_per_step)
        _settle_total(draft)
        if trainer.is_upper_bound:
            draft.notes.append("training may stop early by a callback: all its epochs are counted")
        if draft.epochs is None:
            draft.reason = f"the trainer sets no number of epochs or steps; {_ASK}"
        _multiply(draft, [loop for loop in self._steps[0].loops if not loop.is_asked])
        return draft

    def _of_loops(self) -> _Draft:
        feeds = self._steps[-1].feeds
        drivers = [feed for feed in feeds if any(loop.is_asked for loop in feed.loops)]
        if drivers:
            return self._of_loader(drivers)
        return self._of_steps(feeds)

    def _of_loader(self, feeds: Sequence[Feed]) -> _Draft:
        """The script goes over a loader, or over what goes over one."""
        loops = [self._as_around_step(loop) for loop in feeds[0].loops]
        first = next(i for i, loop in enumerate(loops) if loop.is_asked)
        outer = loops[:first]
        # In a function that gives the batches, around its own loop over the loader.
        inner = [loop for loop in loops[first:] if not loop.is_asked]
        asked = list(itertools.takewhile(lambda loop: loop.is_asked, loops[first:]))
        limit = min((loop.rounds.number for loop in asked if loop.rounds), default=None)
        lengths = [feed.length for feed in feeds if feed.length is not None]
        length = min(lengths, default=None)
        draft = _Draft(epoch_loop=outer[-1] if outer else None)
        ratio = self._batches_per_step(feeds[0], asked[0])
        if ratio is None:
            draft.reason = "more than one step to a batch: how many is not known"
            return _count_epochs(draft, [*outer, *inner])
        draft.batches_per_step = max(1, round(ratio)) if ratio >= 1 else 1
        if any(loop.count is None for loop in inner) and limit is not None:
            # An endless supply, of which the loop takes so many.
            draft.steps_per_epoch = _steps(length or limit, ratio)
            draft.total_steps = _steps(limit, ratio)
            _settle_total(draft)
            return _multiply(draft, outer)
        batches = length if limit is None else limit if length is None else min(length, limit)
        if batches is None:
            draft.reason = "its data set does not say how long it is, nor so how long an epoch is"
        else:
            draft.steps_per_epoch = _steps(batches, ratio)
            if self._is_epoch_of_one_step():
                draft.steps_per_epoch = draft.batches_per_step = 1
        if not inner or limit is not None:
            _note_early_end(draft, asked)
        return _count_epochs(draft, [*outer, *inner])

    def _of_steps(self, feeds: Sequence[Feed]) -> _Draft:
        """The loops around the step say how many there are; batches are asked for on the way."""
        loops = self._steps[0].loops
        draft = _Draft()
        if not loops:
            draft.reason = f"the loop around optimizer.step() was not seen; {_ASK}"
            return draft
        draft.epoch_loop = loops[-2] if len(loops) > 1 else None
        lengths = [feed.length for feed in feeds if feed.length is not None]
        ratio = self._batches_per_step(feeds[0], None) if feeds else None
        if ratio:
            draft.batches_per_step = max(1, round(ratio))
        innermost = loops[-1]
        _note_early_end(draft, [innermost])
        if innermost.count is None:
            draft.steps_per_epoch = _steps(min(lengths), ratio) if lengths and ratio else None
            draft.reason = f"{_unknown(innermost)}; {_ASK}"
            if draft.steps_per_epoch is None and len(loops) > 1:
                return _count_epochs(draft, loops[:-1])
            return draft
        steps = innermost.count.number
        rounds = innermost.rounds.number if innermost.rounds else steps
        if lengths and ratio and (len(loops) == 1 or abs(rounds - min(lengths)) > ratio):
            draft.steps_per_epoch = _steps(min(lengths), ratio)
            draft.total_steps = steps
            _settle_total(draft)
            return _multiply(draft, loops[:-1])
        if len(loops) == 1 and "epoch" in innermost.mentions.lower():
            draft.steps_per_epoch, draft.epochs = 1, steps
            return draft
        draft.steps_per_epoch = steps
        return _count_epochs(draft, loops[:-1])

    def _is_epoch_of_one_step(self) -> bool:
        """Whether the second step was fed by an epoch of its own."""
        first, *later = self._steps
        return bool(later and first.feeds) and all(
            first.given_by(feed) is None for feed in later[0].feeds
        )

    def _batches_per_step(self, feed: Feed, asked: RunningLoop | None) -> float | None:
        """Return how many batches a step was seen to take: a share where it takes several steps."""
        first, last = self._steps[0], self._steps[-1]
        before, now = first.given_by(feed), last.given_by(feed) or 1
        if before is None or first is last:
            return float(now)
        if now > before:
            return float(now - before)
        repeats = self._loops_within(asked)
        if not repeats and now > 1:
            # accelerate asks for one batch ahead, and there was none left to ask for.
            return float(now - 1)
        if not repeats or any(loop.count is None for loop in repeats):
            return None
        steps = math.prod(loop.count.number for loop in repeats if loop.count)
        return 1 / steps if steps else None

    def _as_around_step(self, loop: RunningLoop) -> RunningLoop:
        """Return the loop as it was seen at the step, which not each of its rounds may reach."""
        if loop.is_asked:
            return loop
        return next((x for x in self._steps[0].loops if _is_same(x, loop)), loop)

    def _loops_within(self, asked: RunningLoop | None) -> list[RunningLoop]:
        loops = self._steps[0].loops
        places = [i for i, loop in enumerate(loops) if asked and _is_same(loop, asked)]
        return loops[places[0] + 1 :] if places else []

    def _with_evaluation(
        self, schedule: Schedule, draft: _Draft, trainer: TrainerSchedule | None
    ) -> Schedule:
        """Add the batches of evaluation, where each loader that was asked says how many it has."""
        each, final = 0.0, 0
        is_each_known = not (draft.epoch_loop and draft.epoch_loop.evaluates_now_and_then)
        if trainer and trainer.evaluation_batches is not None:
            passes = _passes(trainer, draft)
            if passes is None:
                return schedule
            each = trainer.evaluation_batches * passes
        for seen in self._evaluations:
            is_counted = seen.is_of_trainer and trainer and trainer.evaluation_batches is not None
            if is_counted:
                continue
            per_epoch = _times_per_epoch(seen, draft, trainer)
            if seen.length is None or (per_epoch is None and seen.is_of_trainer):
                return schedule
            if per_epoch is not None:
                each += seen.length * per_epoch
                is_each_known = True
                continue
            passes = self._passes_after(seen)
            if passes is None:
                return schedule
            final += seen.length * passes
        evaluation_batches = math.ceil(each) if is_each_known else None
        return replace(schedule, evaluation_batches=evaluation_batches, final_batches=final)

    def _passes_after(self, seen: _Evaluated) -> int | None:
        """Return how often an evaluation after the epochs comes: once in each fold, say."""
        around = [x for x in seen.loops if any(_is_same(x, y) for y in self._steps[0].loops)]
        if any(loop.rounds is None for loop in around):
            return None
        return math.prod(loop.rounds.number for loop in around if loop.rounds)


def _times_per_epoch(
    seen: _Evaluated, draft: _Draft, trainer: TrainerSchedule | None
) -> float | None:
    """Return how often an epoch has such an evaluation; None if it comes once, after the last."""
    if trainer is not None and seen.is_of_trainer:
        return _passes(trainer, draft)
    epoch_loop = draft.epoch_loop
    around = next((x for x in seen.loops if epoch_loop and _is_same(x, epoch_loop)), None)
    if around is None:
        return None
    if around.count is None or around.rounds is None or not around.rounds.number:
        return 1.0
    return around.count.number / around.rounds.number


def _passes(trainer: TrainerSchedule, draft: _Draft) -> float | None:
    """Return how often a trainer evaluates in an epoch."""
    if trainer.evaluates_every_steps is None:
        return trainer.evaluations_per_epoch
    if draft.steps_per_epoch is None:
        return None
    return draft.steps_per_epoch / trainer.evaluates_every_steps


def _is_same(one: RunningLoop, other: RunningLoop) -> bool:
    return (one.frame, one.line) == (other.frame, other.line)


def _steps(batches: int, batches_per_step: float) -> int:
    # The last step of an epoch may take fewer; its batches are loaded and computed all the same.
    return max(1, math.ceil(batches / batches_per_step))


def _settle_total(draft: _Draft) -> None:
    """Make epochs of a number of steps."""
    if draft.total_steps is None:
        return
    if draft.steps_per_epoch is None:
        draft.steps_per_epoch = draft.total_steps
    draft.epochs = max(1, math.ceil(draft.total_steps / draft.steps_per_epoch))
    if draft.epochs * draft.steps_per_epoch == draft.total_steps:
        draft.total_steps = None


def _count_epochs(draft: _Draft, loops: Sequence[RunningLoop]) -> _Draft:
    draft.epochs = 1
    return _multiply(draft, loops)


def _multiply(draft: _Draft, loops: Sequence[RunningLoop]) -> _Draft:
    """Count the loops that go around all that."""
    unknown = next((loop for loop in loops if loop.count is None), None)
    if unknown is not None:
        draft.epochs = draft.total_steps = None
        draft.reason = _joined(draft.reason, f"{_unknown(unknown)}; {_ASK}")
        return draft
    times = math.prod(loop.count.number for loop in loops if loop.count)
    if times == 0:
        # It was reached, so one of them is not what it was when it began.
        changed = next(loop for loop in loops if loop.count and not loop.count.number)
        draft.epochs = draft.total_steps = None
        draft.reason = _joined(
            draft.reason, f"what {changed.label} goes over has changed meanwhile; {_ASK}"
        )
        return draft
    _note_early_end(draft, loops)
    if draft.total_steps is not None and times > 1:
        draft.total_steps *= times
    if draft.epochs is not None:
        draft.epochs *= times
    several = [loop for loop in loops if loop.count and loop.count.number > 1]
    if len(several) > 1 and draft.epochs is not None:
        parts = " x ".join(f"{x.count.number} ({x.label})" for x in several if x.count)
        draft.notes.append(f"the job trains for {format_count(draft.epochs, 'epoch')}: {parts}")
    return draft


def _note_early_end(draft: _Draft, loops: Iterable[RunningLoop]) -> None:
    for loop in loops:
        if loop.ends_early:
            draft.is_upper_bound = True
            draft.notes.append(
                f"{loop.ends_early} may end the loop at {loop.label} early: all its rounds are "
                "counted"
            )
        elif loop.count is not None and loop.count.is_bound:
            draft.is_upper_bound = True


def _unknown(loop: RunningLoop) -> str:
    if loop.is_while:
        return f"{loop.label} goes round for as long as something holds"
    return f"how often {loop.label} goes round cannot be told without running it"


def _joined(first: str, second: str) -> str:
    return f"{first}; {second}" if first else second
