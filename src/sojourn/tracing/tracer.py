"""The traces of one script that a plan needs, each made once and only when it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psutil

from sojourn.errors import TraceError
from sojourn.forecast.changes import Variant
from sojourn.forecast.trace import BatchScale, Trace, Traced
from sojourn.tracing.script import trace_script, trace_variants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sojourn.progress import Progress

# Cards differ in what a script may ask about (bf16, flash attention) at this line, and hardly
# elsewhere; one trace stands for all cards on either side of it.
_AMPERE = (8, 0)
_BEFORE_AMPERE = "7.5"
_SINCE_AMPERE = "8.0"
# Traces of a changed script that one plan makes: as many as this, and as go into these seconds or,
# where that is longer, into this many times what the first trace took.
_MOST_VARIANTS = 20
_SECONDS_FOR_VARIANTS = 20.0
_TIMES_THE_FIRST = 4
# More at a time only wait for each other's files.
_MOST_WORKERS = 4


@dataclass(slots=True, kw_only=True)
class Tracer:
    """Traces one script for cards of any compute capability. Arguments as in `trace_script`."""

    script: Path
    arguments: Sequence[str]
    rules: Sequence[tuple[str, Path]]
    batch_size: int | None
    timeout_s: float
    echo: bool
    progress: Progress
    _made: dict[tuple[str, int | None], Trace] = field(default_factory=dict)
    _scales: dict[str, BatchScale | None] = field(default_factory=dict)
    _varied: dict[Variant, Trace | None] = field(default_factory=dict)

    def trace_for(self, compute_capability: str) -> Traced:
        """Return the trace for such a card, and how it scales with the batch size."""
        told = self._told(compute_capability)
        trace = self._trace(told, self.batch_size)
        if told not in self._scales:
            self._scales[told] = self._scale(trace, told)
        return Traced(trace=trace, scale=self._scales[told])

    def retrace(self, variants: Sequence[Variant]) -> tuple[Trace | None, ...]:
        """Trace the script with changes around it.

        Args:
            variants: What is wanted, what matters most first. A batch size of None is the plan's.

        Returns:
            In the same order; None where the changed script cannot be traced, or where time for
            more is up.
        """
        wanted = [self._as_traced(variant) for variant in variants]
        missing = [v for v in dict.fromkeys(wanted) if v not in self._varied]
        first = self._trace(_SINCE_AMPERE, self.batch_size)
        workers = _workers(first)
        left = max(0, _most_variants(first, workers) - len(self._varied))
        if len(missing) > left:
            self.progress.note(f"{len(missing) - left} changes are not tried, to save time.")
            self._varied |= dict.fromkeys(missing[left:])
            missing = missing[:left]
        if missing:
            self._varied |= zip(missing, self._trace_all(missing, workers), strict=True)
        return tuple(self._varied.get(variant) for variant in wanted)

    def _trace_all(self, variants: Sequence[Variant], workers: int) -> list[Trace | None]:
        with self.progress.task("changes", total=len(variants), unit="traces") as task:
            outcomes = trace_variants(
                self.script,
                variants,
                arguments=self.arguments,
                rules=self.rules,
                timeout_s=self.timeout_s,
                workers=workers,
                on_answer=lambda: task.advance(1),
                progress=self.progress,
            )
        # A change that does not suit the script is not the user's mistake, and no news to them.
        return [None if isinstance(outcome, TraceError) else outcome for outcome in outcomes]

    def _as_traced(self, variant: Variant) -> Variant:
        changes = variant.changes
        return Variant(
            compute_capability=self._told(variant.compute_capability),
            changes=replace(changes, batch_size=changes.batch_size or self.batch_size),
        )

    def _told(self, compute_capability: str) -> str:
        """Return what the script is told when it asks: one answer for all cards if it does not."""
        major, _, minor = compute_capability.partition(".")
        if (int(major), int(minor)) >= _AMPERE:
            return _SINCE_AMPERE
        first = self._trace(_SINCE_AMPERE, self.batch_size)
        return _BEFORE_AMPERE if first.asked_capability else _SINCE_AMPERE

    def _scale(self, trace: Trace, told: str) -> BatchScale | None:
        """Trace once more at another batch size; None where no other size follows from two.

        Another size may lead another way (an epoch ends sooner, with its validation); then one
        nearer to the first is tried.
        """
        if not trace.uses_device or not trace.batch_size:
            return None
        if not trace.is_batch_size_known_to_loader:
            self.progress.note("The largest batch is not known: no DataLoader makes the batches.")
            return None
        batch_size = trace.batch_size
        for other in dict.fromkeys((batch_size // 2 or 2, batch_size * 3 // 4 or 3)):
            try:
                scale = BatchScale(trace, self._trace(told, other))
            except TraceError as error:
                self.progress.note(f"The largest batch is not known: {error.message}")
                return None
            if scale.is_possible:
                return scale
        return None

    def _trace(self, told: str, batch_size: int | None) -> Trace:
        key = (told, batch_size)
        if key not in self._made:
            with self.progress.task("trace", unit="steps") as task:
                self._made[key] = trace_script(
                    self.script,
                    arguments=self.arguments,
                    rules=self.rules,
                    batch_size=batch_size,
                    compute_capability=told,
                    timeout_s=self.timeout_s,
                    echo=self.echo and not self._made,
                    progress=self.progress,
                )
                task.advance(self._made[key].steps)
        return self._made[key]


def _workers(trace: Trace) -> int:
    """Return how many traces may run at a time, by processors and by what each takes of memory."""
    room = psutil.virtual_memory().available // max(1, trace.host_memory_bytes)
    return max(1, min(os.cpu_count() or 1, room, _MOST_WORKERS))


def _most_variants(trace: Trace, workers: int) -> int:
    seconds = max(_SECONDS_FOR_VARIANTS, _TIMES_THE_FIRST * trace.seconds)
    return min(_MOST_VARIANTS, int(seconds * workers / max(trace.seconds, 1.0)))
