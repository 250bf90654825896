"""The replay obeys the caching allocator's rules, on sequences small enough to check by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.forecast.allocator import CachingAllocator, OutOfDeviceMemoryError
from sojourn.units import MIB

SIZES = st.integers(min_value=1, max_value=64 * MIB)


def test_a_small_request_takes_a_two_mebibyte_segment_and_counts_512_bytes() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 1)
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (512, 2 * MIB)


def test_a_medium_request_takes_a_twenty_mebibyte_segment() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 3 * MIB)
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (3 * MIB, 20 * MIB)


def test_a_large_request_takes_a_segment_of_its_own_rounded_to_two_mebibytes() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 11 * MIB)
    # 11 MiB in a 12 MiB segment: the rest of 1 MiB is too small to be split off.
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (12 * MIB, 12 * MIB)


def test_a_request_for_nothing_takes_nothing() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 0)
    allocator.free(0)
    assert allocator.peak_reserved_bytes == 0


def test_a_freed_block_is_used_again_rather_than_a_new_segment() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 30 * MIB)
    allocator.free(0)
    allocator.malloc(1, 30 * MIB)
    assert allocator.reserved_bytes == 30 * MIB


def test_the_best_fitting_free_block_is_taken_not_the_first() -> None:
    allocator = CachingAllocator()
    for block, size in ((0, 40 * MIB), (1, 20 * MIB)):
        allocator.malloc(block, size)
    allocator.free(0)
    allocator.free(1)
    allocator.malloc(2, 20 * MIB)
    allocator.malloc(3, 40 * MIB)
    assert allocator.reserved_bytes == 60 * MIB


def test_neighbours_merge_when_freed() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 20 * MIB)
    allocator.free(0)
    allocator.malloc(1, 8 * MIB)
    allocator.malloc(2, 8 * MIB)
    allocator.free(1)
    allocator.free(2)
    allocator.malloc(3, 20 * MIB)
    assert allocator.reserved_bytes == 20 * MIB


def test_small_and_large_blocks_never_share_a_segment() -> None:
    allocator = CachingAllocator()
    allocator.malloc(0, 20 * MIB)
    allocator.free(0)
    allocator.malloc(1, 1024)
    assert allocator.reserved_bytes == 22 * MIB


def test_cached_segments_are_given_back_before_the_card_is_called_full() -> None:
    allocator = CachingAllocator(capacity_bytes=100 * MIB)
    allocator.malloc(0, 60 * MIB)
    allocator.free(0)
    allocator.malloc(1, 90 * MIB)
    assert (allocator.reserved_bytes, allocator.peak_reserved_bytes) == (90 * MIB, 90 * MIB)


def test_a_segment_that_is_partly_in_use_cannot_be_given_back() -> None:
    allocator = CachingAllocator(capacity_bytes=100 * MIB)
    allocator.malloc(0, 60 * MIB)
    allocator.free(0)
    allocator.malloc(1, 10 * MIB)
    with pytest.raises(OutOfDeviceMemoryError):
        allocator.malloc(2, 90 * MIB)


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=60))
def test_reserved_is_never_less_than_allocated_and_all_comes_back(
    steps: list[tuple[int, bool]],
) -> None:
    allocator = CachingAllocator()
    live: list[int] = []
    for block, (size, frees_one) in enumerate(steps):
        allocator.malloc(block, size)
        live.append(block)
        if frees_one:
            allocator.free(live.pop(0))
        assert allocator.allocated_bytes <= allocator.reserved_bytes
        assert allocator.reserved_bytes % (2 * MIB) == 0
    for block in live:
        allocator.free(block)
    assert allocator.allocated_bytes == 0


@given(st.lists(SIZES, min_size=1, max_size=30))
def test_after_everything_is_freed_the_cache_is_whole_segments(sizes: list[int]) -> None:
    allocator = CachingAllocator()
    for block, size in enumerate(sizes):
        allocator.malloc(block, size)
    for block in range(len(sizes)):
        allocator.free(block)
    # A request for the whole card is served only if every cached segment can be given back.
    allocator.capacity_bytes = allocator.reserved_bytes + 20 * MIB
    allocator.malloc(-1, allocator.capacity_bytes)
    assert allocator.reserved_bytes == allocator.capacity_bytes
