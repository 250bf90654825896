"""The largest batch that fits, from two traces where every size follows from them, else from more.

Where the two traces allocate the same blocks in the same order, every size is an affine function of
the batch size (`BatchScale`), and the search replays without tracing again. That claim is then
tried: the script is traced once more, at a size the search came to, and what the scale says of it
must agree. Where it does not, or there is no scale, sizes are traced one round at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.memory import fits_at_worst, high_reserved_bytes, least_high_bytes, peak_place
from sojourn.forecast.workspace import context_bytes
from sojourn.planning.fit import forecast_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.scaling import BatchScale
    from sojourn.forecast.trace import Trace
    from sojourn.planning.fit import Case, Retrace

# Samples; no search goes past it, and nobody trains with more on one card.
_LARGEST_BATCH = 1 << 20
# Share to which a large batch is found: of a thousand, four more or less.
_EXACT_TO = 256
# The first step of the search from where a straight line leads: a share of the size there.
_FIRST_STRIDE = 32
# A scale is tried at most at this many times the script's batch, whose data must be read for it.
_LARGEST_TRIAL = 4
# Share by which a traced size may differ from what the scale says of it.
_AGREEMENT = 0.01
# Sizes that are traced where there is no scale, as shares of the script's batch.
_PROBES = (0.25, 0.5, 2.0, 4.0)
# Where all of them fit: how far off the next is, at most, and what share of the way to the card's
# end it goes, since the way is no straight line.
_FARTHEST = 32
_SHORT_OF_END = 0.97
# Share of the card that may be left by a size that is called the largest.
_LEFT_OVER = 0.1
# Rounds after the first; where sizes differ in length, one may lead too far.
_ROUNDS = 3


def find_max_batch_size(
    scale: BatchScale, accelerator: Accelerator, *, near: int = 1, growth_bytes: int = 0
) -> int:
    """Find the largest batch size, in samples, whose high bound fits; 0 if not even one sample.

    Args:
        scale: Gives the trace at any size.
        accelerator: The card, which the catalog must know well enough.
        near: A size to begin with.
        growth_bytes: What is kept besides by an epoch's end, whatever the batch size.
    """

    def excess(batch_size: int) -> float:
        return _excess(scale.allocations_at(batch_size), accelerator, growth_bytes)

    at_one, second = excess(1), max(2, near)
    if at_one > 0:
        return 0
    floor = _Floor.of(scale, second, accelerator)

    def fits_at(batch_size: int) -> bool:
        if floor.is_over(batch_size, accelerator, growth_bytes):
            return False
        return _fits(scale.allocations_at(batch_size), accelerator, growth_bytes)

    sample_bytes = max(1.0, (excess(second) - at_one) / (second - 1))
    # Where a straight line from one sample through the second size meets the card's end. A little
    # more fits in truth, as near its end cached segments are given back.
    guess = max(2, min(round(1 - at_one / sample_bytes), _LARGEST_BATCH))
    return _search(fits_at, guess)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    """What is in use at least where one batch size has its peak: a straight line, in bytes."""

    constant_bytes: float
    sample_bytes: float

    @classmethod
    def of(cls, scale: BatchScale, batch_size: int, accelerator: Accelerator) -> _Floor:
        """Lay it through the peak at a batch size, on a card that is known well enough."""
        trace = scale.allocations_at(batch_size)
        place = peak_place(trace, compute_capability=accelerator.compute_capability or "")
        at_one, at_two = (scale.least_in_use(size, place) for size in (1, 2))
        return cls(constant_bytes=2 * at_one - at_two, sample_bytes=at_two - at_one)

    def is_over(self, batch_size: int, accelerator: Accelerator, growth_bytes: int) -> bool:
        """Whether that alone is more than the card can give, so that nothing need be replayed."""
        memory_bytes, capability = accelerator.memory_bytes, accelerator.compute_capability
        if memory_bytes is None or capability is None:
            return False
        least_bytes = self.constant_bytes + self.sample_bytes * batch_size
        usable_bytes = memory_bytes - context_bytes(capability)
        return least_high_bytes(least_bytes) + growth_bytes > usable_bytes


def is_search_end(batch_size: int) -> bool:
    """Whether a size that was found is where the search ends, so that a larger one may fit too."""
    return batch_size >= _LARGEST_BATCH - _LARGEST_BATCH // _EXACT_TO


def _search(fits_at: Callable[[int], bool], guess: int) -> int:
    """Return the largest size that fits; one does. In longer and longer strides, then by halves."""
    fits, too_large = 1, _LARGEST_BATCH + 1
    stride = max(1, guess // _FIRST_STRIDE)
    while too_large - fits > max(1, fits // _EXACT_TO):
        if fits_at(guess):
            fits, following = guess, guess + stride
        else:
            too_large, following = guess, guess - stride
        stride *= 2
        is_open = fits == 1 or too_large > _LARGEST_BATCH
        is_between = fits < following < too_large
        guess = following if is_open and is_between else (fits + too_large) // 2
    return fits


def _excess(trace: Trace, accelerator: Accelerator, growth_bytes: int) -> float:
    """Return by how many bytes the high bound is over what the card can give; negative if under."""
    memory_bytes, capability = accelerator.memory_bytes, accelerator.compute_capability
    if memory_bytes is None or capability is None:
        return 1.0
    high = high_reserved_bytes(trace, memory_bytes=memory_bytes, compute_capability=capability)
    over = high + growth_bytes - (memory_bytes - context_bytes(capability))
    return min(over, -1.0) if over <= 0 else max(over, 1.0)


def _fits(trace: Trace, accelerator: Accelerator, growth_bytes: int) -> bool:
    """Whether `_excess` is none: in less time."""
    memory_bytes, capability = accelerator.memory_bytes, accelerator.compute_capability
    return (
        memory_bytes is not None
        and capability is not None
        and fits_at_worst(
            trace,
            memory_bytes=memory_bytes,
            compute_capability=capability,
            growth_bytes=growth_bytes,
        )
    )


def trial_of(case: Case, max_batch_size: int) -> Variant | None:
    """Return what to trace to try a scale: the size found, if that is near enough to be cheap.

    Where not even one sample fits, that is tried of one.
    """
    trace = case.trace
    if case.traced.scale is None or not trace.batch_size:
        return None
    size = min(max(1, max_batch_size), trace.batch_size * _LARGEST_TRIAL)
    return None if size == trace.batch_size else _at(case, size)


def agrees(case: Case, traced: Trace | None, *, size: int) -> bool:
    """Whether a trace at another size is what the scale says; also if it could not be made.

    Args:
        case: With the scale.
        traced: At a size that is tried.
        size: What the scale is relied on for, in samples. The farther that is from what was tried,
            the better they have to agree: batches of unequal samples only seem to be affine.
    """
    scale = case.traced.scale
    if traced is None or scale is None or traced.batch_size is None:
        return True
    said = forecast_on(scale.at(traced.batch_size), case.accelerator)
    found = forecast_on(traced, case.accelerator)
    if said is None or found is None:
        return True
    reserved = said.peak_reserved_bytes.expected, found.peak_reserved_bytes.expected
    # Other than what is reserved, what is allocated comes in no steps of segments.
    allocated = said.peak_allocated_bytes, found.peak_allocated_bytes
    nearness = min(1.0, traced.batch_size / size)
    return _is_close(*reserved, _AGREEMENT) and _is_close(*allocated, _AGREEMENT * nearness)


def _is_close(said: float, found: float, share: float) -> bool:
    return abs(said - found) <= share * found


def trace_max_batch_sizes(cases: Sequence[Case], retrace: Retrace) -> list[int | None]:
    """Find the largest batch size that fits each card by tracing, in a few rounds.

    The first is of a few sizes around the script's own; the next, for each card, of the size at
    which a straight line between the last that fits and the first that does not meets the card's
    end, or one through the two largest if all fit; no more where little of the card is left. The
    answer is a size that was traced, so that it may be a little under the largest.

    Returns:
        For each case the size; 0 if not even one sample fits, None if no size that fits was found,
        or if much of the card is left at the largest that was traced.
    """
    probes = dict.fromkeys(variant for case in cases for variant in _probes(case))
    traces = [trace for trace in retrace(list(probes)) if trace is not None] if probes else []
    tried = set(probes)
    for _ in range(_ROUNDS):
        closer = [_closer_probe(case, traces) for case in cases]
        wanted = list(dict.fromkeys(v for v in closer if v is not None and v not in tried))
        if not wanted:
            break
        tried.update(wanted)
        traces += [trace for trace in retrace(wanted) if trace is not None]
    return [_largest_traced(case, traces) for case in cases]


def _probes(case: Case) -> list[Variant]:
    batch_size = case.trace.batch_size
    if not batch_size or not case.trace.is_batch_size_known_to_loader:
        return []
    sizes = {max(1, round(batch_size * share)) for share in _PROBES} - {batch_size}
    return [_at(case, size) for size in sorted(sizes)]


def _closer_probe(case: Case, traces: Sequence[Trace]) -> Variant | None:
    points = _points(case, traces)
    fits, too_large = _bracket(points)
    if fits is not None and len(points) > 1 and _is_found(case, points, fits, too_large):
        return None
    if too_large is None:
        size = _farther_size(points, case.trace.batch_size or 1)
        return None if size is None else _at(case, size)
    if fits is None or too_large - fits <= 1:
        return None
    share = points[fits] / (points[fits] - points[too_large])
    size = min(max(fits + 1, int(fits + share * (too_large - fits))), too_large - 1)
    return _at(case, size)


def _farther_size(points: dict[int, float], batch_size: int) -> int | None:
    """Return a size to trace beyond all that fit; None where none follows from them."""
    second, largest = sorted(points)[-2:] if len(points) > 1 else (0, 0)
    growth = points[largest] - points[second] if largest else 0.0
    if growth <= 0:
        return None
    further = -points[largest] / growth * (largest - second) * _SHORT_OF_END
    size = min(int(largest + further), batch_size * _FARTHEST)
    return size if size > largest else None


def _largest_traced(case: Case, traces: Sequence[Trace]) -> int | None:
    points = _points(case, traces)
    if len(points) == 1:
        return None  # of the script's own size alone nothing follows
    fits, too_large = _bracket(points)
    if points.get(1, 0.0) > 0:
        return 0
    return fits if fits is not None and _is_found(case, points, fits, too_large) else None


def _is_found(case: Case, points: dict[int, float], fits: int, too_large: int | None) -> bool:
    """Whether hardly more than this size fits: the card is nearly full, or little more is not."""
    if too_large is not None and too_large - fits <= max(1.0, _LEFT_OVER * fits):
        return True
    return -points[fits] <= _LEFT_OVER * (case.accelerator.memory_bytes or 0)


def _bracket(points: dict[int, float]) -> tuple[int | None, int | None]:
    """Return the smallest size that is too large, and the largest below it that fits."""
    too_large = min((size for size, excess in points.items() if excess > 0), default=None)
    limit = _LARGEST_BATCH if too_large is None else too_large
    fits = max(
        (size for size, excess in points.items() if excess <= 0 and size < limit), default=None
    )
    return fits, too_large


def _points(case: Case, traces: Sequence[Trace]) -> dict[int, float]:
    """Return by how many bytes each traced size is over what the card can give."""
    return {
        trace.batch_size: _excess(trace, case.accelerator, case.growth_bytes)
        for trace in (case.trace, *traces)
        if trace.batch_size
    }


def _at(case: Case, batch_size: int) -> Variant:
    return Variant(compute_capability=case.capability, changes=Changes(batch_size=batch_size))


def micro_batches(batch_size: int) -> list[int]:
    """Return the sizes that a batch can be cut into evenly, largest first, without itself."""
    small = [size for size in range(1, math.isqrt(batch_size) + 1) if batch_size % size == 0]
    divisors = {*small, *(batch_size // size for size in small)} - {batch_size}
    return sorted(divisors, reverse=True)
