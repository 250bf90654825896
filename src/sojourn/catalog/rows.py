"""One table of a catalog file into the values of one record: every key, type and sign is checked.

What is written is what is meant, or the error says in which file, row and key it is not. Whether
the rows go together is `load`'s business.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from sojourn.catalog.lines import find_line
from sojourn.catalog.models import YOUR_FIGURE, Source, first_day
from sojourn.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sojourn.catalog.models import Accelerator, RuntimeType, Subscription

    AnyRecord = type[Accelerator | RuntimeType | Subscription]
    Readers = Mapping[str, Callable[[str, object, "Place"], Any]]

# Nothing is a real rate, price or quota; nothing is no memory, count or limit.
_MAY_BE_ZERO = frozenset(
    {"rate_units_per_hour", "weekly_quota_s", "usd_per_month", "units_per_month", "usd_per_unit"}
)
# What no rate falls below and no peak, in operations a second, exceeds: beyond them figures that
# follow from each other leave the numbers that a float has.
_LEAST, _MOST = 1e-9, 1e24
_A_DATE = 'a date in quotes, such as "2026-09-27", "2026-09" or "2026"'
_SOURCE_KEYS = ("source", "as_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a catalog file, whose `text` tells on which line.

    `is_overlay` tells the user's own file.
    """

    file: str
    row: str
    is_overlay: bool
    text: str = ""

    def error(self, what: str, remedy: str, *, key: str | None = None) -> CatalogError:
        """Return an error that names this place, with the line of `key` if that is given."""
        number = find_line(self.text, self.row, key)
        line = "" if number is None else f"line {number}, "
        return CatalogError(f"In {self.file}, {line}row [{self.row}], {what}", remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowValues:
    """The checked values of one row: arguments of its record, and a source for each of them."""

    arguments: Mapping[str, Any]
    sources: Mapping[str, Source]


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """Return the known names that may be meant: those that begin so, else the similar ones."""
    names = list(known)
    beginning = tuple(known_name for known_name in names if known_name.startswith(name))
    return beginning[:most] or tuple(difflib.get_close_matches(name, names, n=most))


def meant(name: str, known: Iterable[str]) -> str:
    """Return the sentence "Did you mean …?" with the near names, or all of them if none is near."""
    names = sorted(known)
    near = near_names(name, names)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known are: {', '.join(names)}."


def read_row(table: object, *, readers: Readers, place: Place) -> RowValues:
    """Check one row's table against the keys that its record has.

    Raises:
        CatalogError: an unknown key, a value of the wrong type or sign, or a source without figure.
    """
    if not isinstance(table, dict):
        raise place.error(
            "there is a single value where a table is needed.",
            f"Write [{place.row}] on a line of its own and the keys below it.",
        )
    arguments: dict[str, Any] = {}
    for key, value in table.items():
        if key == "sources":
            continue
        if key not in readers:
            raise place.error(f"the key `{key}` is not known.", meant(key, readers), key=key)
        arguments[key] = readers[key](key, value, place)
    sources = _read_sources(table.get("sources", {}), keys=arguments, place=place)
    if place.is_overlay:
        sources = {key: Source(source=YOUR_FIGURE) for key in arguments} | sources
    return RowValues(arguments=arguments, sources=sources)


def _read_sources(table: object, *, keys: Iterable[str], place: Place) -> dict[str, Source]:
    if not isinstance(table, dict):
        raise place.error("`sources` is not a table.", _SOURCES_FORM)
    known = list(keys)
    sources = {}
    for key, entry in table.items():
        if key not in known:
            raise place.error(
                f"there is a source for `{key}`, which this row does not give.",
                f"Give `{key}` as well, or take its source out.",
            )
        if not isinstance(entry, dict) or "source" not in entry or set(entry) - set(_SOURCE_KEYS):
            raise place.error(f"the source of `{key}` is not of the right form.", _SOURCES_FORM)
        texts = {name: _text(name, value, place) for name, value in entry.items()}
        if not place.is_overlay and "as_of" not in texts:
            raise place.error(f"the source of `{key}` has no date.", _SOURCES_FORM)
        sources[key] = Source(
            source=texts["source"], as_of=texts.get("as_of"), is_in_overlay=place.is_overlay
        )
    return sources


_SOURCES_FORM = 'Write sources.KEY = { source = "where it is from", as_of = "2026-09-27" }.'


def _text(key: str, value: object, place: Place) -> str:
    fits, expected = _TEXT_FORMS.get(key, (None, "text in quotes"))
    if not isinstance(value, str) or (fits is not None and not fits(value)):
        raise _unfit(key, value, expected, place)
    return value


def _is_date(text: str) -> bool:
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", text) is None:
        return False
    try:
        first_day(text)
    except ValueError:
        return False
    return True


def _is_version(text: str) -> bool:
    return re.fullmatch(r"[0-9]+\.[0-9]+", text) is not None


_TEXT_FORMS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "compute_capability": (_is_version, 'a version in quotes, such as "8.6"'),
    "retired": (_is_date, _A_DATE),
    "as_of": (_is_date, _A_DATE),
}


def _texts(key: str, value: object, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _unfit(key, value, 'a list of texts, such as ["free", "pro"]', place)
    return tuple(value)


def _number(key: str, value: object, place: Place) -> float:
    may_be_zero = key in _MAY_BE_ZERO
    # A boolean is a whole number to Python, and nan compares with nothing.
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if _LEAST <= number <= _MOST or (number == 0 and may_be_zero):
            return number
        if 0 < number < math.inf:
            raise _unfit(key, value, f"a number from {_LEAST:g} to {_MOST:g}", place)
    expected = "a number of 0 or more" if may_be_zero else "a number above 0"
    raise _unfit(key, value, expected, place)


def _whole(key: str, value: object, place: Place) -> int:
    number = _number(key, value, place)
    if not number.is_integer():
        raise _unfit(key, value, "a whole number", place)
    # Not int(number): a float has lost the last digits of a large integer.
    return int(value)  # type: ignore[call-overload, no-any-return]


def _unfit(key: str, value: object, expected: str, place: Place) -> CatalogError:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return place.error(
        f"`{key} = {shown}` is not {expected}.", f"Write {expected} for `{key}`.", key=key
    )


_READER_OF: dict[object, Callable[[str, object, Place], Any]] = {
    str: _text,
    str | None: _text,
    int: _whole,
    int | None: _whole,
    float | None: _number,
    tuple[str, ...]: _texts,
}


def readers_of(record: AnyRecord) -> Readers:
    """Return how each key of a record's row is read; the record's own annotations say so."""
    hints = get_type_hints(record)
    return {
        field.name: _READER_OF[hints[field.name]]
        for field in fields(record)
        if field.name not in {"id", "sources"}
    }
