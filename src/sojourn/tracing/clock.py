"""What something takes of one processor that it has to itself, on a machine that others use too."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Below so many seconds in all, a processor's clock may be too coarse (10 ms on some systems).
_LEAST_S = 0.1
_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds that one call took.

    `wall_s` passed on the clock, `cpu_s` on the processors, of all threads together; `queued_s` is
    how long its own thread was ready to run and had no processor, None where nobody says.
    """

    wall_s: float
    cpu_s: float
    queued_s: float | None

    @property
    def alone_s(self) -> float:
        """What it would have taken alone on the machine."""
        # It may have queued just before or after the call.
        return max(self.cpu_s, self.wall_s - (self.queued_s or 0.0))


class Clock:
    """Times calls in the main thread of the process that makes it, while it still has one."""

    def __init__(self) -> None:
        try:
            # Kept open: a traced script has its own idea of what lies under a path.
            self._schedule: int | None = os.open(Path("/proc/self/schedstat"), os.O_RDONLY)
        except OSError:
            self._schedule = None

    def time(self, function: Callable[[Any], Any], argument: Any) -> tuple[Any, Cost]:
        """Call a function; returns what it gives, and what it took."""
        queued_s, cpu_s, wall_s = self._queued_s(), time.process_time(), time.perf_counter()
        result = function(argument)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        after_s = self._queued_s()
        has_queue = queued_s is not None and after_s is not None
        return result, Cost(
            wall_s=wall_s,
            cpu_s=cpu_s,
            queued_s=(after_s or 0.0) - (queued_s or 0.0) if has_queue else None,
        )

    def _queued_s(self) -> float | None:
        """Source: Linux, Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat."""
        if self._schedule is None:
            return None
        try:
            fields = os.pread(self._schedule, 100, 0).split()
            return int(fields[1]) / _NS_PER_S
        except (OSError, ValueError, IndexError):
            return None


def typical_s(costs: Sequence[Cost]) -> float:
    """Return what a call takes of one processor, waiting for disks included, but not for others.

    It has run on several processors if more time passed on them than on the clock.
    """
    alone_s = [cost.alone_s for cost in costs]
    if any(cost.queued_s is None for cost in costs):
        # Others lengthen some calls, a disk lengthens all.
        alone_s = [min(cost.wall_s for cost in costs)]
    if sum(cost.wall_s for cost in costs) < _LEAST_S:
        return statistics.median(alone_s)
    return max(statistics.fmean(cost.cpu_s for cost in costs), statistics.fmean(alone_s))
