"""Memory that a script may keep by mistake: what an earlier step made and the last one made again.

Two steps show a suspicion only: what is kept on purpose for one more step looks the same. Whether
it grows on is seen in a longer trace (`Changes.looks_for_kept`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sojourn.forecast.trace import Alloc, Free, Phase, Role

if TYPE_CHECKING:
    from sojourn.forecast.trace import Trace

# Bytes a step; ten thousand steps of less do not fill a card.
WORTH_NAMING_BYTES = 64 * 1024

_SUSPECT_ROLES = {Role.ACTIVATIONS, Role.INPUTS}
_SUSPECT_PHASES = {Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATION}


def suspected_growth_bytes(trace: Trace) -> int:
    """Return how many bytes of earlier steps are there at the last step's end, line by line.

    A line counts only where the last step has made as much that is there, too: a cache that is
    filled once does not grow.
    """
    ends = trace.step_ends
    if len(ends) < 2:  # noqa: PLR2004 - one step cannot show growth
        return 0
    earlier: Counter[str] = Counter()
    last: Counter[str] = Counter()
    alive: dict[int, tuple[Counter[str], Alloc]] = {}
    for number, event in enumerate(trace.events[: ends[-1]]):
        if isinstance(event, Free):
            counter, allocated = alive.pop(event.block, (None, None))
            if counter is not None and allocated is not None:
                counter[allocated.line] -= allocated.size_bytes
        elif isinstance(event, Alloc) and _is_suspect(event):
            counter = last if number >= ends[-2] else earlier
            alive[event.block] = (counter, event)
            counter[event.line] += event.size_bytes
    return sum(min(size_bytes, last[line]) for line, size_bytes in earlier.items())


def _is_suspect(event: Alloc) -> bool:
    return event.role in _SUSPECT_ROLES and event.phase in _SUSPECT_PHASES
