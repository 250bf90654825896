"""Numbers as cells of a fixed width, in which NULs stand for letters that are not there.

A cell is a sign, digits, perhaps a point among them, and what follows the value: as wide as the
widest value needs, cut into words of four letters. Each word is looked up in a table by the digits
that fall into it, so that a column costs a few passes however many digits it has. Removing the
NULs of all cells at once leaves the text. It knows of no rows, headers or text columns.

    -12.3450, at most four digits before the point (0 is a NUL):    -001 2.34 50,0
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Words: TypeAlias = "NDArray[np.uint32]"

WORD_LETTERS = 4
# A digit that is left out while it and all before it are zeros, one that never is, and a sign:
# control characters, which stand behind no value.
_OPTIONAL, _ALWAYS, _SIGN = b"\1\2\3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Four letters of a cell.

    Attributes:
        span: 10 to the power of how many digits fall into it.
        table: Its letters for each number below span; `has_states` doubles that.
        has_states: Whether a second half of the table is for numbers with a minus sign, in the
            first word of a cell, or for those with digits further left, in the others.
        empty: Its letters where there is no value.
    """

    span: int
    table: Words
    has_states: bool
    empty: np.uint32


@lru_cache(maxsize=256)
def number_words(*, digits: int, decimals: int, after: str, missing: str = "") -> tuple[Word, ...]:
    """Return the words of a column of numbers.

    Args:
        digits: How many digits the largest magnitude has, scaled by 10^decimals.
        decimals: How many of them stand behind the point; there is none if 0.
        after: What follows each value.
        missing: What stands for a value that is missing.
    """
    optional = max(digits - decimals - 1, 0)
    point = b"." if decimals else b""
    form = bytes([_SIGN, *[_OPTIONAL] * optional, _ALWAYS]) + point + bytes([_ALWAYS] * decimals)
    cells = [form + after.encode(), (missing + after).encode()]
    width = -(-max(map(len, cells)) // WORD_LETTERS) * WORD_LETTERS
    form, empty = (cell.ljust(width, b"\0") for cell in cells)
    starts = range(0, width, WORD_LETTERS)
    return tuple(
        _word(form[at : at + WORD_LETTERS], empty[at : at + WORD_LETTERS]) for at in starts
    )


@lru_cache(maxsize=64)
def boolean_words(after: str, *, is_json: bool = False) -> Words:
    """Return the words of False, then those of True, as Python or JSON; shape (2, words)."""
    values = ("false", "true") if is_json else ("False", "True")
    cells = [f"{value}{after}".encode() for value in values]
    width = -(-max(map(len, cells)) // WORD_LETTERS) * WORD_LETTERS
    return np.frombuffer(b"".join(cell.ljust(width, b"\0") for cell in cells), np.uint32).reshape(
        2, -1
    )


def fill_numbers(
    out: Words,
    magnitudes: NDArray[Any],
    words: tuple[Word, ...],
    *,
    is_negative: NDArray[np.bool_],
    missing: NDArray[np.bool_] | None,
) -> None:
    """Write a column's cells.

    Args:
        out: Where to; shape (rows, words), of any strides.
        magnitudes: Unsigned integers; shape (rows,).
        words: Wide enough for all of them.
        is_negative: Which have a minus sign; zero may.
        missing: Where there is no value, if anywhere.
    """
    rest = magnitudes
    for at in range(len(words) - 1, -1, -1):
        word = words[at]
        if len(word.table) == 1:
            out[:, at] = word.table[0]
            if missing is not None:
                out[missing, at] = word.empty
            continue
        if at:
            above = rest // rest.dtype.type(word.span) if word.span > 1 else rest
            index = (rest - above * rest.dtype.type(word.span)).astype(np.intp)
            state = above > 0 if word.has_states else None
        else:
            above, index, state = rest, rest.astype(np.intp), is_negative
        if state is not None:
            index += state * np.intp(word.span)
        # "wrap" spares the check of each index; they are in range by the choice of words.
        out[:, at] = word.table.take(index, mode="wrap")
        rest = above
        if missing is not None:
            out[missing, at] = word.empty


def fill_booleans(out: Words, values: NDArray[np.bool_], words: Words) -> None:
    """Write a column's cells; shapes as for `fill_numbers`."""
    for at in range(words.shape[1]):
        out[:, at] = words[:, at].take(values.view(np.uint8), mode="wrap")


def _word(part: bytes, empty: bytes) -> Word:
    span = 10 ** (part.count(_OPTIONAL) + part.count(_ALWAYS))
    signed = part[0] == _SIGN
    has_states = signed or _OPTIONAL in part
    table = np.zeros((2, span, WORD_LETTERS), np.uint8)
    # Whether a digit that is not zero stands further left.
    led = np.zeros((2, span), np.bool_)
    led[1] = not signed
    place = span
    for at, letter in enumerate(part):
        if letter in (_OPTIONAL, _ALWAYS):
            place //= 10
            digit = np.arange(span) // place % 10
            led |= (digit > 0) | (letter == _ALWAYS)
            table[:, :, at] = np.where(led, ord("0") + digit, 0)
        elif letter == _SIGN:
            table[1, :, at] = ord("-")
        else:
            table[:, :, at] = letter
    words = table.view(np.uint32).reshape(2, span)
    return Word(
        span=span,
        table=words.reshape(-1) if has_states else words[0],
        has_states=has_states,
        empty=np.frombuffer(empty, np.uint32)[0],
    )
