"""MemoryForecast: a trace replayed on one accelerator, and the verdict that follows.

Three replays of the same events: `expected` with the models of `workspace` as they are, `low` and
`high` with their bounds. Capacity is modelled: an allocator near the card's end gives cached
segments back and tries again before it fails.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sojourn.forecast import workspace
from sojourn.forecast.allocator import CachingAllocator, OutOfDeviceMemoryError
from sojourn.forecast.convolution import convolution_workspace
from sojourn.forecast.trace import Alloc, Convolution, Free, Op, Phase, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.forecast.trace import Event, Trace

# Share by which reserved memory may come out otherwise than replayed: kernels' scratch, and the
# order in which blocks find their place. With it the high bound covers 34 of 36 measured runs; both
# others are image models whose convolution algorithms cuDNN chose otherwise.
_UNSEEN_LOW = 0.05
_UNSEEN_HIGH = 0.05


class Verdict(StrEnum):
    """Whether the job fits: `fits` if the high bound does, `tight` if only the expected does."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A forecast, in the unit of the field that holds it."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The moment of the largest allocation: where it is, and what it is made of, in bytes."""

    phase: Phase
    line: str
    by_role_bytes: Mapping[Role, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryForecast:
    """Device memory of one job on one accelerator, in bytes.

    `usable_bytes` is the card's memory less the CUDA context; `peak_reserved_bytes` is what torch
    calls reserved, so without the context.
    """

    usable_bytes: int
    context_bytes: int
    peak_reserved_bytes: Range
    peak_allocated_bytes: int
    peak: Peak
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """Which end of each model a replay takes."""

    estimate: float
    workspace: str


_LOW = _Bound(estimate=workspace.ESTIMATE_LOW, workspace="low")
EXPECTED = _Bound(estimate=1.0, workspace="expected")
_HIGH = _Bound(estimate=workspace.ESTIMATE_HIGH, workspace="high")


def forecast_memory(trace: Trace, *, memory_bytes: int, compute_capability: str) -> MemoryForecast:
    """Replay a trace on an accelerator.

    Args:
        trace: The traced script.
        memory_bytes: What torch says the card's total memory is.
        compute_capability: As NVIDIA writes it: "7.5".

    Returns:
        The forecast. Where the job does not fit, the peak is what it would need.
    """
    context = workspace.context_bytes(compute_capability)
    usable = memory_bytes - context
    low = _replay(trace, _LOW, usable, compute_capability)
    expected = _replay(trace, EXPECTED, usable, compute_capability)
    expected_bytes = expected.allocator.peak_reserved_bytes
    reserved = Range(
        low=min(low.allocator.peak_reserved_bytes, expected_bytes) * (1 - _UNSEEN_LOW),
        expected=expected_bytes,
        high=_high_bytes(trace, expected, usable, compute_capability),
    )
    return MemoryForecast(
        usable_bytes=usable,
        context_bytes=context,
        peak_reserved_bytes=reserved,
        peak_allocated_bytes=expected.allocator.peak_allocated_bytes,
        peak=expected.peak,
        verdict=verdict_of(reserved, usable),
    )


def high_reserved_bytes(trace: Trace, *, memory_bytes: int, compute_capability: str) -> float:
    """Return the high bound of reserved memory alone, as `forecast_memory` has it.

    Args:
        trace: The traced script.
        memory_bytes: What torch says the card's total memory is.
        compute_capability: As NVIDIA writes it: "7.5".
    """
    usable = memory_bytes - workspace.context_bytes(compute_capability)
    expected = _replay(trace, EXPECTED, usable, compute_capability)
    return _high_bytes(trace, expected, usable, compute_capability)


def _high_bytes(trace: Trace, expected: _Replay, usable_bytes: int, capability: str) -> float:
    high = _replay(trace, _HIGH, usable_bytes, capability)
    peak_bytes = max(high.allocator.peak_reserved_bytes, expected.allocator.peak_reserved_bytes)
    return _with_unseen(peak_bytes, high, usable_bytes)


def verdict_of(reserved: Range, usable_bytes: float) -> Verdict:
    """Return what a forecast of reserved memory says about a card that can give so much."""
    if reserved.high <= usable_bytes:
        return Verdict.FITS
    return Verdict.TIGHT if reserved.expected <= usable_bytes else Verdict.DOES_NOT_FIT


def _with_unseen(reserved_bytes: int, replay: _Replay, usable_bytes: int) -> float:
    """Add what may be unseen: to the allocated peak, since cached segments are given back at need.

    Reserved memory may fill the card without harm, and then does not grow; what counts there is
    whether the blocks in use, and a little more, still find their place.
    """
    needed = replay.allocator.peak_allocated_bytes * (1 + _UNSEEN_HIGH)
    grown = reserved_bytes * (1 + _UNSEEN_HIGH)
    if reserved_bytes <= usable_bytes < grown:
        return max(needed, float(usable_bytes))
    return grown


@dataclass(slots=True)
class _Replay:
    allocator: CachingAllocator
    peak: Peak


def _replay(trace: Trace, bound: _Bound, usable_bytes: int, capability: str) -> _Replay:
    """Replay within the card; where that fails, without end, to say what it would need."""
    try:
        return Player(bound, capability, usable_bytes).play(trace)
    except OutOfDeviceMemoryError:
        return Player(bound, capability, None).play(trace)


class Player:
    """One pass over the events."""

    def __init__(self, bound: _Bound, capability: str, capacity_bytes: int | None) -> None:
        self._bound = bound
        self._capability = capability
        self._cublas_bytes = workspace.cublas_workspace_bytes(capability)
        self._allocator = CachingAllocator(capacity_bytes)
        self._live: dict[int, tuple[Role, int]] = {}
        self._by_role = dict.fromkeys(Role, 0)
        self._highest = -1
        self._peak = Peak(phase=Phase.SETUP, line="", by_role_bytes=dict(self._by_role))
        self._handles: set[int] = set()

    def play(self, trace: Trace) -> _Replay:
        """Replay all events."""
        for event in trace.events:
            self._step(event)
        return _Replay(allocator=self._allocator, peak=self._peak)

    def _step(self, event: Event) -> None:
        if isinstance(event, Alloc):
            factor = self._bound.estimate if event.estimated else 1.0
            size_bytes = round(event.size_bytes * factor)
            self._take(event.block, size_bytes, event.role, event)
        elif isinstance(event, Free):
            self._drop(event.block)
        elif isinstance(event, Op):
            self._multiply(event)
        else:
            self._convolve(event)

    def _take(
        self, block: int, size_bytes: int, role: Role, event: Alloc | Op | Convolution
    ) -> None:
        self._allocator.malloc(block, size_bytes)
        self._live[block] = (role, size_bytes)
        self._by_role[role] += size_bytes
        if self._allocator.allocated_bytes > self._highest:
            self._highest = self._allocator.allocated_bytes
            self._peak = Peak(phase=event.phase, line=event.line, by_role_bytes=dict(self._by_role))

    def _drop(self, block: int) -> None:
        role, size_bytes = self._live.pop(block, (Role.ACTIVATIONS, 0))
        self._by_role[role] -= size_bytes
        self._allocator.free(block)

    def _multiply(self, op: Op) -> None:
        """Give a thread's cuBLAS handle its workspace, for good."""
        if op.thread not in self._handles:
            self._handles.add(op.thread)
            self._take(-2 - op.thread, self._cublas_bytes, Role.WORKSPACE, op)

    def _convolve(self, convolution: Convolution) -> None:
        needed = getattr(
            convolution_workspace(convolution, self._capability), self._bound.workspace
        )
        # Where one candidate's workspace cannot be had, torch tries the next, down to those that
        # need none. Source: PyTorch, ATen/native/cudnn/Conv_v8.cpp, try_configs.
        with contextlib.suppress(OutOfDeviceMemoryError):
            self._take(-1, needed, Role.WORKSPACE, convolution)
            self._drop(-1)
