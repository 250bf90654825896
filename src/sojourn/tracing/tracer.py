"""The traces of one script that a plan needs, each made once and only when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sojourn.errors import TraceError
from sojourn.forecast.trace import BatchScale, Trace, Traced
from sojourn.tracing.script import trace_script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sojourn.progress import Progress

# Cards differ in what a script may ask about (bf16, flash attention) at this line, and hardly
# elsewhere; one trace stands for all cards on either side of it.
_AMPERE = (8, 0)
_BEFORE_AMPERE = "7.5"
_SINCE_AMPERE = "8.0"


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

    def trace_for(self, compute_capability: str) -> Traced:
        """Return the trace for such a card, and how it scales with the batch size."""
        major, _, minor = compute_capability.partition(".")
        told = _BEFORE_AMPERE if (int(major), int(minor)) < _AMPERE else _SINCE_AMPERE
        first = self._trace(_SINCE_AMPERE, self.batch_size)
        if not first.asked_capability:
            told = _SINCE_AMPERE
        trace = self._trace(told, self.batch_size)
        if told not in self._scales:
            self._scales[told] = self._scale(trace, told)
        return Traced(trace=trace, scale=self._scales[told])

    def _scale(self, trace: Trace, told: str) -> BatchScale | None:
        """Trace once more at another batch size; None where the script has none to change.

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
        self.progress.note(
            "The largest batch is not known: with other batch sizes the script runs otherwise."
        )
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
