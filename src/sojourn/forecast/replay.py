"""A trace replayed on a card: which moves it makes on the allocator, and the peaks they come to.

    events  →  moves: (event, block, bytes)  →  allocator  →  Replay

What a card adds to the events (workspaces) is resolved once for all cards that add the same. A card
with room for all that a device without end would reserve never gives anything back, so that one
replay stands for all such cards.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from sojourn.forecast import workspace
from sojourn.forecast.allocator import CachingAllocator, OutOfDeviceMemoryError
from sojourn.forecast.convolution import convolution_workspace
from sojourn.forecast.trace import Alloc, Convolution, Free, Op, Phase, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sojourn.forecast.convolution import Workspace
    from sojourn.forecast.trace import Event

Move: TypeAlias = tuple[int, int, int]
"""The event's place, the block's number, and the bytes that it takes; `FREED`: it goes."""

FREED = -1
SCRATCH_BLOCK = -1
"""A convolution's workspace, for the time of its kernel."""

# Lists of moves, and results, that are kept: of a few traces, on cards that add different things.
_KEPT_MOVES = 16
_KEPT_REPLAYS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Which end of each model a replay takes."""

    estimate: float
    workspace: str


LOW = Bound(estimate=workspace.ESTIMATE_LOW, workspace="low")
EXPECTED = Bound(estimate=1.0, workspace="expected")
HIGH = Bound(estimate=workspace.ESTIMATE_HIGH, workspace="high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The moment of the largest allocation: where it is, and what it is made of, in bytes."""

    phase: Phase
    line: str
    by_role_bytes: Mapping[Role, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a replay came to, in bytes."""

    peak_reserved_bytes: int
    peak_allocated_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Extent):
    """The same, and its peak, which is at an event's `place` (-1 where nothing is taken)."""

    peak: Peak
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    """Events that are told from others by their identity: comparing them would take as long."""

    events: tuple[Event, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Events) and other.events is self.events

    def __hash__(self) -> int:
        return id(self.events)


@dataclass(frozen=True, slots=True)
class _Added:
    """What a card and a bound add to a trace.

    The factor of sizes that are estimated (1 where none is), and bytes of each thread's cuBLAS and
    of each convolution.
    """

    estimate: float
    cublas_bytes: int
    convolution_bytes: tuple[int, ...]


def replay(
    events: tuple[Event, ...], bound: Bound, *, usable_bytes: int, compute_capability: str
) -> Replay:
    """Replay within the card; where that fails, without end, to say what it would need."""
    added = _added(events, bound, compute_capability)
    endless = _endless(_Events(events), added)
    if endless.peak_reserved_bytes <= usable_bytes:
        return endless
    try:
        return _play(events, moves_of(events, bound, compute_capability), usable_bytes)
    except OutOfDeviceMemoryError:
        return endless


def replay_endlessly(events: tuple[Event, ...], bound: Bound, *, compute_capability: str) -> Replay:
    """Replay on a device without end."""
    return _endless(_Events(events), _added(events, bound, compute_capability))


def replay_within(
    events: tuple[Event, ...], bound: Bound, *, usable_bytes: int, compute_capability: str
) -> Extent | None:
    """Replay within the card; None where that fails, as soon as it does."""
    return _within(moves_of(events, bound, compute_capability), usable_bytes)


def _within(moves: Sequence[Move], usable_bytes: int) -> Extent | None:
    allocator = CachingAllocator(usable_bytes)
    with contextlib.suppress(OutOfDeviceMemoryError):
        _make(moves, allocator)
        return Extent(
            peak_reserved_bytes=allocator.peak_reserved_bytes,
            peak_allocated_bytes=allocator.peak_allocated_bytes,
        )
    return None


def moves_of(events: tuple[Event, ...], bound: Bound, compute_capability: str) -> Sequence[Move]:
    """Return what the events ask of the allocator on a card."""
    added = _added(events, bound, compute_capability)
    return _moves(_Events(events), added)


def _added(events: tuple[Event, ...], bound: Bound, compute_capability: str) -> _Added:
    has_estimates, workspaces = _modelled(_Events(events), compute_capability)
    return _Added(
        bound.estimate if has_estimates else 1.0,
        workspace.cublas_workspace_bytes(compute_capability),
        tuple(getattr(each, bound.workspace) for each in workspaces),
    )


@lru_cache(maxsize=_KEPT_MOVES)
def _modelled(events: _Events, compute_capability: str) -> tuple[bool, tuple[Workspace, ...]]:
    """Return whether any size is estimated, and the workspace of each convolution on a card."""
    known: dict[int, Workspace] = {}
    found = []
    for event in events.events:
        if isinstance(event, Convolution):
            if id(event) not in known:
                known[id(event)] = convolution_workspace(event, compute_capability)
            found.append(known[id(event)])
    has_estimates = any(isinstance(event, Alloc) and event.estimated for event in events.events)
    return has_estimates, tuple(found)


@lru_cache(maxsize=_KEPT_REPLAYS)
def _endless(events: _Events, added: _Added) -> Replay:
    return _play(events.events, _moves(events, added), None)


@lru_cache(maxsize=_KEPT_MOVES)
def _moves(events: _Events, added: _Added) -> list[Move]:
    moves: list[Move] = []
    handles: set[int] = set()
    convolution_bytes = iter(added.convolution_bytes)
    for place, event in enumerate(events.events):
        if isinstance(event, Alloc):
            size_bytes = event.size_bytes
            if event.estimated:
                size_bytes = round(size_bytes * added.estimate)
            moves.append((place, event.block, size_bytes))
        elif isinstance(event, Free):
            moves.append((place, event.block, FREED))
        elif isinstance(event, Op):
            # A thread's cuBLAS handle gets its workspace with its first product, for good.
            if event.thread not in handles:
                handles.add(event.thread)
                moves.append((place, -2 - event.thread, added.cublas_bytes))
        else:
            size_bytes = next(convolution_bytes)
            moves += ((place, SCRATCH_BLOCK, size_bytes), (place, SCRATCH_BLOCK, FREED))
    return moves


def _play(events: tuple[Event, ...], moves: Sequence[Move], capacity_bytes: int | None) -> Replay:
    """Make all moves.

    Raises:
        OutOfDeviceMemoryError: they do not fit.
    """
    allocator = CachingAllocator(capacity_bytes)
    number_of_peak = _make(moves, allocator)
    return Replay(
        peak_reserved_bytes=allocator.peak_reserved_bytes,
        peak_allocated_bytes=allocator.peak_allocated_bytes,
        peak=_peak(events, moves[: number_of_peak + 1]),
        place=moves[number_of_peak][0] if number_of_peak >= 0 else -1,
    )


def _make(moves: Sequence[Move], allocator: CachingAllocator) -> int:
    """Make all moves; returns the number of the one after which most is in use, -1 if none is.

    Raises:
        OutOfDeviceMemoryError: they do not fit.
    """
    malloc, free = allocator.malloc, allocator.free
    highest, number_of_peak = -1, -1
    for number, (_, block, size_bytes) in enumerate(moves):
        if size_bytes == FREED:
            free(block)
            continue
        try:
            malloc(block, size_bytes)
        except OutOfDeviceMemoryError:
            # Where one candidate's workspace cannot be had, torch tries the next, down to those
            # that need none. Source: PyTorch, ATen/native/cudnn/Conv_v8.cpp, try_configs.
            if block != SCRATCH_BLOCK:
                raise
            continue
        if allocator.allocated_bytes > highest:
            highest, number_of_peak = allocator.allocated_bytes, number
    return number_of_peak


def _peak(events: tuple[Event, ...], moves: Sequence[Move]) -> Peak:
    """Describe the moment after some moves; a workspace that was not to be had is gone by then."""
    by_role = dict.fromkeys(Role, 0)
    live: dict[int, tuple[Role, int]] = {}
    for place, block, size_bytes in moves:
        if size_bytes == FREED:
            role, freed_bytes = live.pop(block, (Role.ACTIVATIONS, 0))
            by_role[role] -= freed_bytes
        else:
            role = role_of(events[place])
            live[block] = (role, size_bytes)
            by_role[role] += size_bytes
    last = events[moves[-1][0]] if moves else None
    if last is None or isinstance(last, Free):
        return Peak(phase=Phase.SETUP, line="", by_role_bytes=by_role)
    return Peak(phase=last.phase, line=last.line, by_role_bytes=by_role)


def role_of(event: Event) -> Role:
    """Return what an event's block is for."""
    return event.role if isinstance(event, Alloc) else Role.WORKSPACE
