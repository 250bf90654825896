"""Where the memory goes: use over the step that holds the peak, and whose lines are live at it.

Both are read off the expected replay, the one that gives the forecast's peak, on a card without
end: cached segments come and go at a card's limit, blocks in use do not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sojourn.forecast.allocator import CachingAllocator
from sojourn.forecast.replay import EXPECTED, FREED, moves_of, role_of
from sojourn.forecast.trace import Free, Phase, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sojourn.forecast.replay import Move
    from sojourn.forecast.trace import Event, Trace

# A curve is drawn on a screen: it is cut into this many stretches, and of each the highest and the
# lowest point are kept.
_STRETCHES = 60
_TOP_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What is in use after the trace's event number `event`, in bytes by role."""

    event: int
    phase: Phase
    by_role_bytes: Mapping[Role, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineShare:
    """What one line of the user's code holds at the peak; None where no line of theirs asked."""

    line: str | None
    role: Role
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """Use over the step that holds the peak, at most 120 points; the largest lines at the peak."""

    points: tuple[CurvePoint, ...]
    top_lines: tuple[LineShare, ...]


def memory_curve(trace: Trace, *, compute_capability: str) -> MemoryCurve:
    """Follow a trace's memory on a card of a compute capability such as "7.5"."""
    moves = moves_of(trace.events, EXPECTED, compute_capability)
    return _curve_of(_Followed(trace.events, trace.step_ends, moves))


@dataclass(frozen=True, slots=True, eq=False)
class _Followed:
    """What a curve is of. Told from others by identity: moves are the same where cards are."""

    events: tuple[Event, ...]
    step_ends: tuple[int, ...]
    moves: Sequence[Move]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Followed) and other.moves is self.moves

    def __hash__(self) -> int:
        return id(self.moves)


@lru_cache(maxsize=8)
def _curve_of(followed: _Followed) -> MemoryCurve:
    watch = _Watch(followed.events)
    watch.play(followed.moves)
    points = watch.points(followed.step_ends)
    return MemoryCurve(points=tuple(points), top_lines=tuple(watch.top_lines()))


@dataclass(frozen=True, slots=True)
class _Moment:
    """After one change: how much is in use in all, as the allocator counts it, and by role."""

    event: int
    phase: Phase
    allocated_bytes: int
    by_role_bytes: tuple[int, ...]


class _Watch:
    """A replay that remembers each moment, and which line asked for what."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self._events = events
        self._allocator = CachingAllocator()
        self._live: dict[int, tuple[str, Role, int]] = {}
        self._by_role = dict.fromkeys(Role, 0)
        self._moments: list[_Moment] = []
        self._changes: list[tuple[int, str, Role, int]] = []
        self._phase = Phase.SETUP

    def play(self, moves: Sequence[Move]) -> None:
        for place, block, size_bytes in moves:
            event = self._events[place]
            if size_bytes == FREED:
                line, role, freed_bytes = self._live.pop(block, ("", Role.ACTIVATIONS, 0))
                self._allocator.free(block)
                self._note(place, line, role, -freed_bytes)
            elif not isinstance(event, Free):
                role = role_of(event)
                self._allocator.malloc(block, size_bytes)
                self._live[block] = (event.line, role, size_bytes)
                self._phase = event.phase
                self._note(place, event.line, role, size_bytes)

    def _note(self, place: int, line: str, role: Role, size_bytes: int) -> None:
        self._by_role[role] += size_bytes
        self._changes.append((len(self._moments), line, role, size_bytes))
        by_role_bytes = tuple(self._by_role.values())
        self._moments.append(
            _Moment(place, self._phase, self._allocator.allocated_bytes, by_role_bytes)
        )

    def points(self, step_ends: Sequence[int]) -> Iterator[CurvePoint]:
        for moment in _thinned(self._step_of_peak(step_ends)):
            by_role = dict(zip(self._by_role, moment.by_role_bytes, strict=True))
            yield CurvePoint(event=moment.event, phase=moment.phase, by_role_bytes=by_role)

    def _moment_of_peak(self) -> int:
        """Return the number of the moment of largest use, the first if there are several."""
        numbers = range(len(self._moments))
        return max(numbers, key=lambda n: self._moments[n].allocated_bytes, default=0)

    def _step_of_peak(self, step_ends: Sequence[int]) -> list[_Moment]:
        """Return the moments from the end of the step before the peak to that of its own step."""
        if not self._moments:
            return []
        peak = self._moments[self._moment_of_peak()].event
        first = max((end for end in step_ends if end <= peak), default=0)
        last = min((end for end in step_ends if end > peak), default=len(self._events))
        return [moment for moment in self._moments if first <= moment.event < last]

    def top_lines(self) -> Iterator[LineShare]:
        shares: defaultdict[tuple[str, Role], int] = defaultdict(int)
        peak = self._moment_of_peak()
        for number, line, role, size_bytes in self._changes:
            if number > peak:
                break
            shares[line, role] += size_bytes
        ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        for (line, role), size_bytes in ranked[:_TOP_LINES]:
            if size_bytes > 0:
                yield LineShare(line=line or None, role=role, size_bytes=size_bytes)


def _thinned(moments: Sequence[_Moment]) -> Iterator[_Moment]:
    """Keep the highest and the lowest moment of each stretch, in order, and with them the peak."""
    length = max(1, -(-len(moments) // _STRETCHES))
    for start in range(0, len(moments), length):
        numbers = range(start, min(start + length, len(moments)))
        ends = (
            max(numbers, key=lambda n: moments[n].allocated_bytes),
            min(numbers, key=lambda n: moments[n].allocated_bytes),
        )
        for number in sorted(set(ends)):
            yield moments[number]
