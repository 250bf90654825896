"""MemoryForecast: a trace replayed on one accelerator, and the verdict that follows.

Three replays of the same events: `expected` with the models of `workspace` as they are, `low` and
`high` with their bounds. Capacity is modelled: an allocator near the card's end gives cached
segments back and tries again before it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sojourn.forecast import workspace
from sojourn.forecast.replay import (
    EXPECTED,
    HIGH,
    LOW,
    Bound,
    Extent,
    Peak,
    Replay,
    replay,
    replay_endlessly,
    replay_within,
)

if TYPE_CHECKING:
    from sojourn.forecast.trace import Trace

__all__ = [
    "MemoryForecast",
    "Peak",
    "Range",
    "Verdict",
    "fits_at_worst",
    "forecast_memory",
    "high_reserved_bytes",
    "least_high_bytes",
    "peak_place",
    "verdict_of",
]

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
    low = _replay(trace, LOW, usable, compute_capability)
    expected = _replay(trace, EXPECTED, usable, compute_capability)
    expected_bytes = expected.peak_reserved_bytes
    reserved = Range(
        low=min(low.peak_reserved_bytes, expected_bytes) * (1 - _UNSEEN_LOW),
        expected=expected_bytes,
        high=_high_bytes(trace, expected, usable, compute_capability),
    )
    return MemoryForecast(
        usable_bytes=usable,
        context_bytes=context,
        peak_reserved_bytes=reserved,
        peak_allocated_bytes=expected.peak_allocated_bytes,
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


def fits_at_worst(
    trace: Trace, *, memory_bytes: int, compute_capability: str, growth_bytes: int = 0
) -> bool:
    """Whether the high bound of reserved memory, and some bytes more, fit: the same in less time.

    Where a replay fails within the card, the one without end has reserved more than the card has
    by then: up to the first segment that is given back, both are alike.

    Args:
        trace: The traced script.
        memory_bytes: What torch says the card's total memory is.
        compute_capability: As NVIDIA writes it: "7.5".
        growth_bytes: What is kept besides.
    """
    usable = memory_bytes - workspace.context_bytes(compute_capability)
    high = replay_within(
        trace.events, HIGH, usable_bytes=usable, compute_capability=compute_capability
    )
    if high is None or least_high_bytes(high.peak_allocated_bytes) + growth_bytes > usable:
        return False
    expected = replay_within(
        trace.events, EXPECTED, usable_bytes=usable, compute_capability=compute_capability
    )
    if expected is None:
        return False
    peak_bytes = max(high.peak_reserved_bytes, expected.peak_reserved_bytes)
    return _with_unseen(peak_bytes, high, usable) + growth_bytes <= usable


def least_high_bytes(in_use_bytes: float) -> float:
    """Return the least that the high bound can be where so much is in use at some moment."""
    return in_use_bytes * (1 + _UNSEEN_HIGH)


def peak_place(trace: Trace, *, compute_capability: str) -> int:
    """Return the place of the event at which a trace has most in use, at the high end."""
    return replay_endlessly(trace.events, HIGH, compute_capability=compute_capability).place


def _replay(trace: Trace, bound: Bound, usable_bytes: int, capability: str) -> Replay:
    return replay(trace.events, bound, usable_bytes=usable_bytes, compute_capability=capability)


def _high_bytes(trace: Trace, expected: Replay, usable_bytes: int, capability: str) -> float:
    high = _replay(trace, HIGH, usable_bytes, capability)
    peak_bytes = max(high.peak_reserved_bytes, expected.peak_reserved_bytes)
    return _with_unseen(peak_bytes, high, usable_bytes)


def verdict_of(reserved: Range, usable_bytes: float) -> Verdict:
    """Return what a forecast of reserved memory says about a card that can give so much."""
    if reserved.high <= usable_bytes:
        return Verdict.FITS
    return Verdict.TIGHT if reserved.expected <= usable_bytes else Verdict.DOES_NOT_FIT


def _with_unseen(reserved_bytes: int, played: Extent, usable_bytes: int) -> float:
    """Add what may be unseen: to the allocated peak, since cached segments are given back at need.

    Reserved memory may fill the card without harm, and then does not grow; what counts there is
    whether the blocks in use, and a little more, still find their place.
    """
    needed = played.peak_allocated_bytes * (1 + _UNSEEN_HIGH)
    grown = reserved_bytes * (1 + _UNSEEN_HIGH)
    if reserved_bytes <= usable_bytes < grown:
        return max(needed, float(usable_bytes))
    return grown
