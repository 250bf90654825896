"""Replay of the CUDA caching allocator: which segments it reserves for a sequence of blocks.

It knows sizes only. Blocks are cut from segments, best fit first, and merged with free neighbours
when freed; when a new segment would go over the capacity, segments that are wholly free go back to
the device first and the request is tried once more, as the allocator does before it gives up.

Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (get_free_block, alloc_block, should_split,
get_allocation_size, release_cached_blocks), default settings: no expandable segments, no size limit
on splitting, one stream.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

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
    is_small: bool
    address: int
    is_free: bool = False
    before: _Block | None = None
    after: _Block | None = None


@dataclass(slots=True)
class _Pool:
    """Free blocks ordered by size, then by address, as the allocator's own set is."""

    blocks: list[tuple[int, int, _Block]] = field(default_factory=list)

    def add(self, block: _Block) -> None:
        bisect.insort(self.blocks, (block.size_bytes, block.address, block))

    def remove(self, block: _Block) -> None:
        index = bisect.bisect_left(self.blocks, (block.size_bytes, block.address), key=_order)
        del self.blocks[index]

    def take_best_fit(self, size_bytes: int) -> _Block | None:
        index = bisect.bisect_left(self.blocks, (size_bytes, -1), key=_order)
        return self.blocks.pop(index)[2] if index < len(self.blocks) else None


def _order(entry: tuple[int, int, _Block]) -> tuple[int, int]:
    return entry[:2]


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
        self._pools = {True: _Pool(), False: _Pool()}
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
        size_bytes = max(_MIN_BLOCK_BYTES, _round_up(size_bytes, _MIN_BLOCK_BYTES))
        is_small = size_bytes <= _SMALL_REQUEST_BYTES
        found = self._pools[is_small].take_best_fit(size_bytes)
        taken = found or self._reserve(size_bytes, is_small=is_small)
        self._split(taken, size_bytes)
        taken.is_free = False
        self._in_use[block] = taken
        self.allocated_bytes += taken.size_bytes
        self.peak_allocated_bytes = max(self.peak_allocated_bytes, self.allocated_bytes)

    def free(self, block: int) -> None:
        """Take a block back and merge it with its free neighbours."""
        freed = self._in_use.pop(block, None)
        if freed is None:
            return
        self.allocated_bytes -= freed.size_bytes
        pool = self._pools[freed.is_small]
        before, after = freed.before, freed.after
        if before is not None and before.is_free:
            pool.remove(before)
            freed.size_bytes += before.size_bytes
            freed.address = before.address
            freed.before = before.before
            if freed.before is not None:
                freed.before.after = freed
        if after is not None and after.is_free:
            pool.remove(after)
            freed.size_bytes += after.size_bytes
            freed.after = after.after
            if freed.after is not None:
                freed.after.before = freed
        self._release_to(pool, freed)

    def _reserve(self, size_bytes: int, *, is_small: bool) -> _Block:
        segment_bytes = _segment_bytes(size_bytes)
        if self._is_over(segment_bytes):
            self._give_back_free_segments()
            if self._is_over(segment_bytes):
                raise OutOfDeviceMemoryError
        self.reserved_bytes += segment_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        address = self._next_address
        self._next_address += segment_bytes
        return _Block(size_bytes=segment_bytes, is_small=is_small, address=address)

    def _is_over(self, more_bytes: int) -> bool:
        return (
            self.capacity_bytes is not None
            and self.reserved_bytes + more_bytes > self.capacity_bytes
        )

    def _split(self, block: _Block, size_bytes: int) -> None:
        left_bytes = block.size_bytes - size_bytes
        smallest_rest = _MIN_BLOCK_BYTES if block.is_small else _SMALL_REQUEST_BYTES + 1
        if left_bytes < smallest_rest:
            return
        rest = _Block(
            size_bytes=left_bytes,
            is_small=block.is_small,
            address=block.address + size_bytes,
            before=block,
            after=block.after,
        )
        if rest.after is not None:
            rest.after.before = rest
        block.after = rest
        block.size_bytes = size_bytes
        self._release_to(self._pools[block.is_small], rest)

    def _release_to(self, pool: _Pool, block: _Block) -> None:
        block.is_free = True
        pool.add(block)

    def _give_back_free_segments(self) -> None:
        for pool in self._pools.values():
            whole = [e for e in pool.blocks if e[2].before is None and e[2].after is None]
            self.reserved_bytes -= sum(entry[0] for entry in whole)
            gone = {entry[1] for entry in whole}
            pool.blocks = [entry for entry in pool.blocks if entry[1] not in gone]


def _segment_bytes(size_bytes: int) -> int:
    if size_bytes <= _SMALL_REQUEST_BYTES:
        return _SMALL_SEGMENT_BYTES
    if size_bytes < _MIN_OWN_SEGMENT_BYTES:
        return _LARGE_SEGMENT_BYTES
    return _round_up(size_bytes, _SEGMENT_ROUNDING_BYTES)


def _round_up(size_bytes: int, step_bytes: int) -> int:
    return -(-size_bytes // step_bytes) * step_bytes
