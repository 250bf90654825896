"""Arrow arrays as numpy sees them, without a copy where there need be none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def numbers_of(array: pa.Array) -> NDArray[Any]:
    """Return the integers of an array; where there is none, anything may stand."""
    # to_numpy would make floats of integers among which some are missing.
    bare = pa.Array.from_buffers(
        array.type, len(array), [None, array.buffers()[1]], offset=array.offset
    )
    numbers: NDArray[Any] = bare.to_numpy()
    return numbers


def booleans_of(array: pa.Array) -> NDArray[np.bool_]:
    """Return the booleans of an array without missing ones, a byte each."""
    booleans: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return booleans


def missing_of(array: pa.Array) -> NDArray[np.bool_] | None:
    """Return where values are missing; None if nowhere."""
    return booleans_of(array.is_null()) if array.null_count else None
