"""Replay of the CUDA caching allocator: which segments it reserves for a sequence of blocks.

It knows sizes only. Blocks are cut from segments, best fit first, and merged with free neighbours
when freed; when a new segment would go over the capacity, segments that are wholly free go back to
the device first and the request is tried once more, as the allocator does before it gives up.

Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (get_free_block, alloc_block, should_split,
get_allocation_size, release_cached_blocks), default settings: no expandable segments, no size limit
on splitting, one stream.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any, TypeAlias

from sojourn.units import MIB

# Bytes; the constants of c10/core/AllocatorConfig.h and CUDACachingAllocator.cpp.
_MIN_BLOCK_BYTES = 512
_SMALL_REQUEST_BYTES = 1 * MIB
_SMALL_SEGMENT_BYTES = 2 * MIB
_LARGE_SEGMENT_BYTES = 20 * MIB
_MIN_OWN_SEGMENT_BYTES = 10 * MIB
_SEGMENT_ROUNDING_BYTES = 2 * MIB


class OutOfDeviceMemoryError(Exception):
    """The replayed allocator could not serve a request within its capacity."""


@dataclass(slots=True, eq=False)
class _Block:
    size_bytes: int
    address: int
    free_blocks: _FreeBlocks
    is_free: bool = False
    before: _Block | None = None
    after: _Block | None = None


# Free blocks of one pool, each as (size, address, block), ordered as the allocator's own set is. No
# two have an address in common, so that the blocks themselves are never compared.
_FreeBlocks: TypeAlias = list[Any]


class CachingAllocator:
    """The allocator's state, and the peaks it went through. All figures are bytes.

    Args:
        capacity_bytes: What the device can give; None for a device without end.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.allocated_bytes = 0
        self.reserved_bytes = 0
        self.peak_allocated_bytes = 0
        self.peak_reserved_bytes = 0
        self._small: _FreeBlocks = []
        self._large: _FreeBlocks = []
        self._in_use: dict[int, _Block] = {}
        self._next_address = 0

    def malloc(self, block: int, size_bytes: int) -> None:
        """Serve a request.

        Args:
            block: The number under which it is freed later.
            size_bytes: What was asked for; a request for nothing takes nothing.

        Raises:
            OutOfDeviceMemoryError: it does not fit, even after everything free was given back.
        """
        if size_bytes <= 0:
            return
        size_bytes = -(-size_bytes // _MIN_BLOCK_BYTES) * _MIN_BLOCK_BYTES
        is_small = size_bytes <= _SMALL_REQUEST_BYTES
        free_blocks = self._small if is_small else self._large
        best_fit = bisect_left(free_blocks, (size_bytes, -1))
        if best_fit < len(free_blocks):
            taken: _Block = free_blocks.pop(best_fit)[2]
        else:
            taken = self._reserve(size_bytes, free_blocks)
        left_bytes = taken.size_bytes - size_bytes
        if left_bytes >= (_MIN_BLOCK_BYTES if is_small else _SMALL_REQUEST_BYTES + 1):
            _split(taken, size_bytes)
        taken.is_free = False
        self._in_use[block] = taken
        self.allocated_bytes += taken.size_bytes
        if self.allocated_bytes > self.peak_allocated_bytes:  # noqa: PLR1730 - max() takes longer
            self.peak_allocated_bytes = self.allocated_bytes

    def free(self, block: int) -> None:
        """Take a block back and merge it with its free neighbours."""
        freed = self._in_use.pop(block, None)
        if freed is None:
            return
        self.allocated_bytes -= freed.size_bytes
        free_blocks = freed.free_blocks
        before, after = freed.before, freed.after
        if before is not None and before.is_free:
            del free_blocks[bisect_left(free_blocks, (before.size_bytes, before.address))]
            freed.size_bytes += before.size_bytes
            freed.address = before.address
            freed.before = before.before
            if freed.before is not None:
                freed.before.after = freed
        if after is not None and after.is_free:
            del free_blocks[bisect_left(free_blocks, (after.size_bytes, after.address))]
            freed.size_bytes += after.size_bytes
            freed.after = after.after
            if freed.after is not None:
                freed.after.before = freed
        freed.is_free = True
        insort(free_blocks, (freed.size_bytes, freed.address, freed))

    def _reserve(self, size_bytes: int, free_blocks: _FreeBlocks) -> _Block:
        segment_bytes = _segment_bytes(size_bytes)
        if self._is_over(segment_bytes):
            self._give_back_free_segments()
            if self._is_over(segment_bytes):
                raise OutOfDeviceMemoryError
        self.reserved_bytes += segment_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        address = self._next_address
        self._next_address += segment_bytes
        return _Block(segment_bytes, address, free_blocks)

    def _is_over(self, more_bytes: int) -> bool:
        return (
            self.capacity_bytes is not None
            and self.reserved_bytes + more_bytes > self.capacity_bytes
        )

    def _give_back_free_segments(self) -> None:
        for free_blocks in (self._small, self._large):
            whole = [e for e in free_blocks if e[2].before is None and e[2].after is None]
            self.reserved_bytes -= sum(entry[0] for entry in whole)
            gone = {entry[1] for entry in whole}
            free_blocks[:] = [entry for entry in free_blocks if entry[1] not in gone]


def _split(block: _Block, size_bytes: int) -> None:
    """Cut a block that is taken to a size, and free the rest of it."""
    left_bytes, address = block.size_bytes - size_bytes, block.address + size_bytes
    after = block.after
    rest = _Block(left_bytes, address, block.free_blocks, True, block, after)  # noqa: FBT003
    if after is not None:
        after.before = rest
    block.after = rest
    block.size_bytes = size_bytes
    insort(block.free_blocks, (left_bytes, address, rest))


def _segment_bytes(size_bytes: int) -> int:
    if size_bytes <= _SMALL_REQUEST_BYTES:
        return _SMALL_SEGMENT_BYTES
    if size_bytes < _MIN_OWN_SEGMENT_BYTES:
        return _LARGE_SEGMENT_BYTES
    return _round_up(size_bytes, _SEGMENT_ROUNDING_BYTES)


def _round_up(size_bytes: int, step_bytes: int) -> int:
    return -(-size_bytes // step_bytes) * step_bytes
