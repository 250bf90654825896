"""Whether what was read back has the types that its record says: anybody can write such a file.

Records are checked, not converted. Numbers count things, bytes or seconds, so none is negative.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

# More than there is of anything; three multiplied with each other are still a float.
MOST = 1 << 128

Record = TypeVar("Record")


def checked(record: Record) -> Record:
    """Return a record whose own fields are of plain types, and as its class says.

    Raises:
        ValueError: a field is of another type, negative, infinite or no number.
    """
    for field in fields(record):  # type: ignore[arg-type]
        is_fit = _FITS.get(str(field.type))
        value = getattr(record, field.name)
        if is_fit is not None and not is_fit(value):
            raise ValueError(f"{field.name} is {str(value)[:40]!r}")
    return record


def is_whole(value: object) -> bool:
    """Whether it is a whole number of 0 or more."""
    return type(value) is int and 0 <= value < MOST


def _is_number(value: object) -> bool:
    return is_whole(value) or (type(value) is float and 0 <= value < MOST)


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_truth(value: object) -> bool:
    return type(value) is bool


def _all(is_fit: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is tuple and all(map(is_fit, value))


def _or_none(is_fit: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_fit(value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "int": is_whole,
    "int | None": _or_none(is_whole),
    "float": _is_number,
    "float | None": _or_none(_is_number),
    "bool": _is_truth,
    "str": _is_text,
    "tuple[int, ...]": _all(is_whole),
    "tuple[str, ...]": _all(_is_text),
}
