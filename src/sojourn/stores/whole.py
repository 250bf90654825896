"""Objects that are read whole, into memory: manifests, and other records of data sets.

What a server sends is taken for one only while it is neither too large nor too slow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.units import GIB, format_bytes, format_duration, format_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_BYTES = GIB
"""The largest such object. A manifest has some 215 bytes for a file (docs/datasets.md shows it), so
that is five million files; as Python's objects they take several times as much memory."""

# Less than any link that a data set could be pulled over: a modem of 1994 is three times as fast.
# A connection that is silent altogether is given up sooner, by whoever has it.
_LEAST_BYTES_PER_S = 1024
_WITHIN_S = 60.0


def check_size(size_bytes: int, *, address: str) -> None:
    """Check that an object is not too large to be read whole.

    Raises:
        StoreError: it is.
    """
    if size_bytes > MOST_BYTES:
        raise StoreError(
            f"{address} has {format_bytes(size_bytes)}, and {format_bytes(MOST_BYTES)} is the most "
            "that is read of a manifest or another record.",
            remedy="Check that it is one: it may have been replaced by something else. A data set "
            "with more files than fit is pushed in parts, each to a place of its own.",
        )


def gather(
    pieces: Iterable[bytes | memoryview],
    *,
    address: str,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return an object whose pieces come one after another.

    Args:
        pieces: They, as they come.
        address: Where the object is.
        clock: Seconds that only go forward.

    Raises:
        StoreError: there is more than can be an object that is read whole.
        StoreUnavailableError: for a minute they came at less than 1 KiB/s.
    """
    data = bytearray()
    since_s, held_bytes = clock(), 0
    for piece in pieces:
        data += piece
        check_size(len(data), address=address)
        now_s = clock()
        if now_s - since_s >= _WITHIN_S:
            if (len(data) - held_bytes) / (now_s - since_s) < _LEAST_BYTES_PER_S:
                raise StoreUnavailableError(
                    f"{address} came at less than {format_rate(_LEAST_BYTES_PER_S)} for "
                    f"{format_duration(now_s - since_s)}, and was given up.",
                    remedy="Check the network and the server, then run it again.",
                )
            since_s, held_bytes = now_s, len(data)
    return bytes(data)
