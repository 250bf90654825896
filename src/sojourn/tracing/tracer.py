"""The traces of one script that a plan needs, each made once and only when it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psutil

from sojourn.errors import TraceError
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.saved import BEFORE_AMPERE, SINCE_AMPERE, told_capability
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.trace import Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_variants
from sojourn.tracing.words import NO_SECRETS, Words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sojourn.progress import Progress
    from sojourn.tracing.request import StepFunction
    from sojourn.tracing.server import TraceServer

# Traces of a changed script that one plan makes: as many as this, and as go into these seconds or,
# where that is longer, into this many times what the first trace took.
_MOST_VARIANTS = 20
_SECONDS_FOR_VARIANTS = 20.0
_TIMES_THE_FIRST = 4
# More at a time only wait for each other's files.
_MOST_WORKERS = 4


@dataclass(slots=True, kw_only=True)
class Tracer:
    """Traces one script for cards of any compute capability. Arguments as in `trace_variants`.

    `capabilities` are those of the cards that will be asked about, so that what they need can be
    traced in one go.

    A script may ask what the card can do and then do the same on all: where its two traces are the
    same, one of the two answers (`_leader`) stands for both in whatever else is traced. Only with
    autocast the card's kind of half precision, and so its kernels, come in anew.
    """

    script: Path
    arguments: Sequence[str]
    rules: Sequence[tuple[str, Path]]
    batch_size: int | None
    timeout_s: float
    echo: bool
    progress: Progress
    server: TraceServer
    capabilities: Sequence[str] = ()
    step: StepFunction | None = None
    words: Words = NO_SECRETS
    _made: dict[Variant, Trace | TraceError] = field(default_factory=dict)
    _scales: dict[str, BatchScale | None] = field(default_factory=dict)
    _traced: dict[str, Traced] = field(default_factory=dict)
    _varied: set[Variant] = field(default_factory=set)
    _leader: str | None = None

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What was traced so far, or could not be, in that order."""
        return tuple(self._made)

    def trace_for(self, compute_capability: str) -> Traced:
        """Return the trace for such a card, and how it scales with the batch size.

        Raises:
            TraceError: the script could not be traced.
        """
        self._make_all_at_once(compute_capability)
        told = self._told(compute_capability)
        trace = self._get(told, self.batch_size)
        if told not in self._scales:
            self._scales[told] = self._scale(trace, told)
        if told not in self._traced:
            # Only the first trace has the machine to itself, and measures well what batches cost.
            trace = replace(trace, loading=self._first().loading)
            if self._leader is not None:
                # Cards with the same events are studied together.
                trace = replace(trace, events=self._first().events)
            self._traced[told] = Traced(trace=trace, scale=self._scales[told])
        return self._traced[told]

    def retrace(self, variants: Sequence[Variant]) -> tuple[Trace | None, ...]:
        """Trace the script with changes around it.

        Args:
            variants: What is wanted, what matters most first. A batch size of None is the plan's.

        Returns:
            In the same order; None where the changed script cannot be traced, or where time for
            more is up.
        """
        wanted = [self._as_traced(variant) for variant in variants]
        missing = [v for v in dict.fromkeys(wanted) if v not in self._made]
        left = max(0, _most_variants(self._first(), self._workers()) - len(self._varied))
        if len(missing) > left:
            self.progress.note(f"{len(missing) - left} changes are not tried, to save time.")
            self._made |= dict.fromkeys(missing[left:], TraceError("not tried", remedy=""))
        self._varied.update(missing[:left])
        self._make("changes", missing[:left])
        # A change that does not suit the script is not the user's mistake, and no news to them.
        found = [self._made[variant] for variant in wanted]
        return tuple(None if isinstance(trace, TraceError) else trace for trace in found)

    def _first(self) -> Trace:
        return self._get(SINCE_AMPERE, self.batch_size)

    def _as_traced(self, variant: Variant) -> Variant:
        changes = variant.changes
        size = changes.batch_size or self.batch_size
        # Micro-batches are smaller than what is planned, and come more often for that.
        keeps_epoch_of = None if changes.accumulate > 1 else self._epoch_of(size)
        told = self._told(variant.compute_capability)
        return Variant(
            compute_capability=told if changes.autocast else self._answer_for(told),
            changes=replace(changes, batch_size=size, keeps_epoch_of=keeps_epoch_of),
        )

    def _epoch_of(self, batch_size: int | None) -> int | None:
        """Return the batch size whose number of batches an epoch of another size shall have."""
        if batch_size == self.batch_size:
            return None
        return self._first().batch_size

    def _sized(self, told: str, batch_size: int | None) -> Variant:
        epoch_of = self._epoch_of(batch_size)
        changes = Changes(batch_size=batch_size, keeps_epoch_of=epoch_of)
        return Variant(compute_capability=told, changes=changes)

    def _told(self, compute_capability: str) -> str:
        """Return what the script is told when it asks: one answer for all cards if it does not."""
        # What the first trace says does not matter for cards that it was made for.
        newer = told_capability(compute_capability, asked_capability=True)
        if newer == SINCE_AMPERE:
            return newer
        return told_capability(compute_capability, asked_capability=self._first().asked_capability)

    def _answer_for(self, told: str) -> str:
        """Return what the script is told instead, where that makes no difference."""
        return self._leader or told

    def _make_all_at_once(self, compute_capability: str) -> None:
        """Trace what all cards need, after a first trace has shown what that is."""
        told = dict.fromkeys(self._told(c) for c in (compute_capability, *self.capabilities))
        other_sizes = _other_sizes(self._first())[:1]
        leader = self._leader or (SINCE_AMPERE if SINCE_AMPERE in told else next(iter(told)))
        as_they_are = [self._sized(answer, self.batch_size) for answer in told]
        self._make("trace", [*as_they_are, *(self._sized(leader, size) for size in other_sizes)])
        if self._makes_no_difference():
            self._leader = leader
        followers = {self._answer_for(answer): None for answer in told}
        self._make("trace", [self._sized(one, size) for one in followers for size in other_sizes])

    def _makes_no_difference(self) -> bool:
        """Whether the script did the same for either answer; False if only one was given so far."""
        answers = (SINCE_AMPERE, BEFORE_AMPERE)
        one, other = (self._made.get(self._sized(answer, self.batch_size)) for answer in answers)
        return isinstance(one, Trace) and isinstance(other, Trace) and one.does_the_same_as(other)

    def _scale(self, trace: Trace, told: str) -> BatchScale | None:
        """Trace once more at another batch size; None where no other size follows from two.

        Another size may lead another way (an epoch ends sooner, with its validation); then one
        nearer to the first is tried.
        """
        if trace.uses_device and trace.batch_size and not trace.is_batch_size_known_to_loader:
            self.progress.note("The largest batch is not known: no DataLoader makes the batches.")
        for size in _other_sizes(trace):
            try:
                scale = BatchScale(trace, self._get(self._answer_for(told), size))
            except TraceError as error:
                self.progress.note(f"The largest batch is not known: {error.message}")
                return None
            if scale.is_possible:
                return scale
        return None

    def _get(self, told: str, batch_size: int | None) -> Trace:
        variant = self._sized(told, batch_size)
        self._make("trace", [variant])
        found = self._made[variant]
        if isinstance(found, TraceError):
            raise found
        return found

    def _make(self, label: str, variants: Sequence[Variant]) -> None:
        """Trace what has not been traced yet, from one process."""
        missing = [variant for variant in variants if variant not in self._made]
        if not missing:
            return
        is_first = not self._made
        with self.progress.task(label, total=len(missing), unit="traces") as task:
            outcomes = trace_variants(
                self.script,
                missing,
                arguments=self.arguments,
                rules=self.rules,
                timeout_s=self.timeout_s,
                workers=1 if is_first else self._workers(),
                step=self.step,
                echo=self.echo and is_first,
                server=self.server,
                words=self.words,
                fetches_more=is_first,
                on_answer=lambda: task.advance(1),
                progress=self.progress if is_first else NoProgress(),
            )
        self._made |= zip(missing, outcomes, strict=True)

    def _workers(self) -> int:
        """Return how many traces to make at a time, by processors and by the memory they take."""
        room = psutil.virtual_memory().available // max(1, self._first().host_memory_bytes)
        return max(1, min(os.cpu_count() or 1, room, _MOST_WORKERS))


def _other_sizes(trace: Trace) -> list[int]:
    """Return the batch sizes to trace besides, for how the job scales; none if it has none."""
    batch_size = trace.batch_size
    if not trace.uses_device or not batch_size or not trace.is_batch_size_known_to_loader:
        return []
    return list(dict.fromkeys((batch_size // 2 or 2, batch_size * 3 // 4 or 3)))


def _most_variants(trace: Trace, workers: int) -> int:
    """Return how many changes may be traced."""
    seconds = max(_SECONDS_FOR_VARIANTS, _TIMES_THE_FIRST * trace.seconds)
    return min(_MOST_VARIANTS, int(seconds * workers / max(trace.seconds, 1.0)))
