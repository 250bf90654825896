"""Numbers as a segment holds them, made of a reader's; None where that would not be exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.arrays import missing_of, numbers_of
from sojourn.columns.layout import MAX_SCALED, NEGATIVE_ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sojourn.columns.layout import Column

# Whole numbers from the first to the second, where exponents begin, are none of a column of
# `number`s: see kinds.py.
_LONG_WHOLES = 1e15, 1e16


def held_numbers(column: Column, array: pa.Array, *, is_first: bool) -> pa.Array | None:
    """Return numbers as a segment holds them; None where they do not fit their column.

    Args:
        column: One of numbers.
        array: int64 or float64.
        is_first: Whether the table begins with these.
    """
    if column.kind == "integer":
        return _integers(numbers_of(array), missing_of(array))
    if column.kind == "decimal":
        return _scaled(array, column.decimals)
    if pc.any(pc.is_nan(array)).as_py():
        return None
    # Before 3.0, pandas takes what is too long for an integer up to its point for text.
    if column.kind == "plain" and not _are_short(array):
        return None
    if column.kind == "number" and not _is_number(numbers_of(array), missing_of(array), is_first):
        return None
    return array


def _are_short(array: pa.DoubleArray) -> bool:
    sizes = np.abs(pc.fill_null(array, 0.0).to_numpy())
    return not (np.isfinite(sizes) & (sizes >= _LONG_WHOLES[1])).any()


def _is_number(
    values: NDArray[np.float64],
    missing: NDArray[np.bool_] | None,
    needs_fraction: bool,  # noqa: FBT001
) -> bool:
    filled = values if missing is None else values[~missing]
    wholes = filled[filled == np.trunc(filled)]
    # Read without any that is not whole, all of them would be integers.
    if needs_fraction and len(wholes) == len(filled):
        return False
    wholes = wholes[np.isfinite(wholes)]
    is_minus_zero = (wholes == 0) & np.signbit(wholes)
    sizes, (least, most) = np.abs(wholes), _LONG_WHOLES
    return not (is_minus_zero.any() or ((sizes >= least) & (sizes < most)).any())


def _scaled(array: pa.Array, decimals: int) -> pa.Array | None:
    missing = missing_of(array)
    values = numbers_of(array)
    if missing is not None:
        values = np.where(missing, 0.0, values)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused below
        scaled = np.rint(values * 10.0**decimals)
    # What is not a number is not below anything.
    if not (np.abs(scaled) < MAX_SCALED).all() or (scaled == NEGATIVE_ZERO).any():
        return None
    scaled[np.signbit(scaled) & (scaled == 0)] = NEGATIVE_ZERO
    return _integers(scaled.astype(np.int64), missing)


def _integers(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> pa.Array | None:
    if missing is not None:
        values = np.where(missing, 0, values)
    # What pandas 2 takes for missing where another value of the column is.
    if values.min() == np.iinfo(np.int64).min:
        return None
    fits = np.iinfo(np.int32)
    if fits.min <= values.min() and values.max() <= fits.max:
        values = values.astype(np.int32)
    return pa.array(values, mask=missing)
