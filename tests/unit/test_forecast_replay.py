"""Shortcuts of the replay come to what the long way does, on traces drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sojourn.catalog.models import Accelerator
from sojourn.forecast.allocator import CachingAllocator, OutOfDeviceMemoryError
from sojourn.forecast.memory import fits_at_worst, high_reserved_bytes
from sojourn.forecast.replay import EXPECTED, FREED, HIGH, LOW, moves_of, replay
from sojourn.forecast.scaling import BatchScale
from sojourn.forecast.trace import Alloc, Convolution, Event, Free, Op, Pass, Phase, Role, Trace
from sojourn.forecast.workspace import context_bytes
from sojourn.planning.batch import find_max_batch_size
from sojourn.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.forecast.replay import Bound

CAPABILITY = "8.0"
OP = Op(
    kind="matmul",
    phase=Phase.FORWARD,
    line="train.py:2",
    input_shape=(4, 4),
    weight_shape=(4, 4),
    output_shape=(4, 4),
    item_bytes=4,
    thread=0,
)
CONVOLUTION = Convolution(
    kernel=Pass.FORWARD,
    phase=Phase.FORWARD,
    line="train.py:3",
    input_shape=(64, 64, 56, 56),
    weight_shape=(64, 64, 3, 3),
    output_shape=(64, 64, 56, 56),
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    groups=1,
    dtype="float32",
    is_channels_last=False,
    allows_tf32=True,
    is_benchmarked=False,
)
SIZES = st.integers(min_value=0, max_value=300 * MIB)


@st.composite
def events(draw: Callable[[st.SearchStrategy[int]], int]) -> tuple[Event, ...]:
    """Draw blocks that come and go, with products and convolutions in between."""
    found: list[Event] = []
    live: list[int] = []
    for block in range(draw(st.integers(min_value=1, max_value=25))):
        what = draw(st.integers(min_value=0, max_value=9))
        if what == 0:
            found.append(OP)
        elif what == 1:
            found.append(CONVOLUTION)
        elif what <= 4 and live:
            found.append(Free(block=live.pop(draw(st.integers(0, len(live) - 1)))))
        else:
            live.append(block)
            role = list(Role)[draw(st.integers(0, len(Role) - 1))]
            size_bytes, is_estimated = draw(SIZES), draw(st.integers(0, 3)) == 0
            found.append(
                Alloc(
                    block=block,
                    size_bytes=size_bytes,
                    role=role,
                    phase=Phase.FORWARD,
                    line=f"train.py:{block}",
                    estimated=is_estimated,
                )
            )
    return tuple(found)


def long_way(
    trace_events: tuple[Event, ...], bound: Bound, capacity_bytes: int | None
) -> CachingAllocator:
    """Make all moves on a card of its own, and on one without end where that fails."""
    allocator = CachingAllocator(capacity_bytes)
    try:
        for _, block, size_bytes in moves_of(trace_events, bound, CAPABILITY):
            if size_bytes == FREED:
                allocator.free(block)
                continue
            try:
                allocator.malloc(block, size_bytes)
            except OutOfDeviceMemoryError:
                if block != -1:
                    raise
    except OutOfDeviceMemoryError:
        return long_way(trace_events, bound, None)
    return allocator


@given(events(), st.integers(min_value=1, max_value=3 * GIB))
def test_one_replay_without_end_stands_for_all_cards_with_room(
    drawn: tuple[Event, ...], usable_bytes: int
) -> None:
    for bound in (LOW, EXPECTED, HIGH):
        found = replay(drawn, bound, usable_bytes=usable_bytes, compute_capability=CAPABILITY)
        expected = long_way(drawn, bound, usable_bytes)
        assert found.peak_reserved_bytes == expected.peak_reserved_bytes
        assert found.peak_allocated_bytes == expected.peak_allocated_bytes
        # What each role asked for; blocks are a little larger.
        asked_bytes = sum(found.peak.by_role_bytes.values())
        assert 0 <= found.peak_allocated_bytes - asked_bytes < len(drawn) * 2 * MIB


def trace_of(drawn: tuple[Event, ...], batch_size: int = 8) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1 * GIB,
        batch_size=batch_size,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=drawn,
    )


@given(
    events(),
    st.integers(min_value=1, max_value=3 * GIB),
    st.integers(min_value=0, max_value=1 * GIB),
)
def test_whether_the_high_bound_fits_is_what_the_bound_itself_says(
    drawn: tuple[Event, ...], usable_bytes: int, growth_bytes: int
) -> None:
    memory_bytes = usable_bytes + context_bytes(CAPABILITY)
    trace = trace_of(drawn)
    high = high_reserved_bytes(trace, memory_bytes=memory_bytes, compute_capability=CAPABILITY)
    assert (high + growth_bytes <= usable_bytes) == fits_at_worst(
        trace,
        memory_bytes=memory_bytes,
        compute_capability=CAPABILITY,
        growth_bytes=growth_bytes,
    )


def halved(event: Event) -> Event:
    return replace(event, size_bytes=event.size_bytes // 2) if isinstance(event, Alloc) else event


@given(events(), st.integers(min_value=1, max_value=200))
def test_no_less_is_in_use_than_the_scale_says_without_a_replay(
    drawn: tuple[Event, ...], batch_size: int
) -> None:
    scale = BatchScale(trace_of(drawn, 8), trace_of(tuple(map(halved, drawn)), 4))
    scaled = scale.allocations_at(batch_size).events
    for place in range(len(drawn)):
        moves = [m for m in moves_of(scaled, HIGH, CAPABILITY) if m[0] <= place]
        allocator = CachingAllocator()
        for _, block, size_bytes in moves:
            if size_bytes == FREED:
                allocator.free(block)
            else:
                allocator.malloc(block, size_bytes)
        assert scale.least_in_use(batch_size, place) <= allocator.allocated_bytes


@given(events(), st.integers(min_value=1 * GIB, max_value=20 * GIB))
def test_the_largest_batch_fits_and_the_next_does_not(
    drawn: tuple[Event, ...], memory_bytes: int
) -> None:
    scale = BatchScale(trace_of(drawn, 8), trace_of(tuple(map(halved, drawn)), 4))
    card = Accelerator(id="a", name="A", memory_bytes=memory_bytes, compute_capability=CAPABILITY)
    found = find_max_batch_size(scale, card, near=8)
    if not 0 < found < 256:
        return

    def fits(size: int) -> bool:
        high = high_reserved_bytes(
            scale.at(size), memory_bytes=memory_bytes, compute_capability=CAPABILITY
        )
        return high <= memory_bytes - context_bytes(CAPABILITY)

    assert fits(found)
    assert not fits(found + 1)
