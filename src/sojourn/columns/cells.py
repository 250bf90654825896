"""Values as cells of a fixed width, in which NULs stand for letters that are not there.

A number's cell is a sign, digits, perhaps a point among them, and what follows the value: as wide
as the widest value needs. It is cut from its right end into words of four letters, and each word is
looked up in a table by the digits that fall into it, so that a column costs a few passes however
many digits it has. The first word may reach over the cell's left end: cells are written from the
right to the left, so the cell before takes these letters back. Removing the NULs of all cells at
once leaves the text. It knows of no rows and no headers.

    -12.3450 and a comma, four digits before the point at most; 0 is a NUL:    0-00 12.3 450,
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

Letters: TypeAlias = "NDArray[np.uint8]"
Words: TypeAlias = "NDArray[np.uint32]"

_WORD_LETTERS = 4
# A row of cells is of whole such words, in which letters are counted.
_ROW_ALIGNMENT = 8
# A digit that is left out while it and all before it are zeros, one that never is, and a sign:
# control characters, which stand behind no value.
_OPTIONAL, _ALWAYS, _SIGN = b"\1\2\3"
_MOST_IN_A_LANE = 255
_EVEN_LANES = np.uint64(0x00FF00FF00FF00FF)
_ONE_IN_EACH_LANE = np.uint64(0x0001000100010001)
_LANE_BITS, _TOP_LANE_BITS = np.uint64(8), np.uint64(48)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Four letters of a cell.

    Attributes:
        span: 10 to the power of how many digits fall into it.
        table: Its letters for each number below span; `state` doubles that.
        state: What a second half of the table is for: numbers with a minus sign, or those with
            digits further left.
        empty: Its letters where there is no value.
    """

    span: int
    table: Words
    state: Literal["", "sign", "led"]
    empty: np.uint32


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberCells:
    """A column of numbers.

    Attributes:
        magnitudes: Unsigned integers; shape (rows,).
        is_negative: Which have a minus sign, if any; zero may.
        missing: Where there is no value, if anywhere.
        words: Wide enough for all of them.
        letters: How wide a cell is.
    """

    magnitudes: NDArray[Any]
    is_negative: NDArray[np.bool_] | None
    missing: NDArray[np.bool_] | None
    words: tuple[Word, ...]
    letters: int

    def fill(self, rows: Rows, end: int) -> None:
        """Write the cells into rows, up to a column of letters."""
        rest = self.magnitudes
        for word in reversed(self.words):
            end -= _WORD_LETTERS
            out = rows.words(end)
            if len(word.table) == 1:
                out[:] = word.table[0]
            else:
                above = rest // rest.dtype.type(word.span) if word.span > 1 else rest
                index = (rest - above * rest.dtype.type(word.span)).astype(np.intp)
                if word.state:
                    index += self._state(word, above) * np.intp(word.span)
                # "wrap" spares the check of each index; all are in range by the choice of words.
                out[:] = word.table.take(index, mode="wrap")
                rest = above
            if self.missing is not None:
                out[self.missing] = word.empty

    def _state(self, word: Word, above: NDArray[Any]) -> NDArray[np.bool_]:
        if word.state == "led" or self.is_negative is None:
            return above > 0
        return self.is_negative


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanCells:
    """A column of truth values; `words` are those of False, then those of True."""

    values: NDArray[np.bool_]
    words: Words
    letters: int

    def fill(self, rows: Rows, end: int) -> None:
        """Write the cells into rows, up to a column of letters."""
        index = self.values.view(np.uint8)
        for at in range(self.words.shape[1] - 1, -1, -1):
            end -= _WORD_LETTERS
            rows.words(end)[:] = self.words[:, at].take(index, mode="wrap")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCells:
    """A column of text, all as long as one another (`even_letters`), and what follows each."""

    values: NDArray[np.void]
    after: bytes

    @property
    def letters(self) -> int:
        """How wide a cell is."""
        return self.values.itemsize + len(self.after)

    def fill(self, rows: Rows, end: int) -> None:
        """Write the cells into rows, up to a column of letters."""
        end -= len(self.after)
        if self.after:
            rows.letters[:, end : end + len(self.after)] = np.frombuffer(self.after, np.uint8)
        rows.fragments(end - self.values.itemsize, self.values.dtype)[:] = self.values


Cells: TypeAlias = NumberCells | BooleanCells | TextCells


class Rows:
    """Rows of cells; shape (rows, letters). The letters before the first cell are NULs.

    Args:
        count: How many rows, at least one.
        width: How many letters all cells of a row have.
    """

    def __init__(self, count: int, width: int) -> None:
        # So much before the first cell as the first word of that may reach over.
        self.width = -(-(width + _WORD_LETTERS - 1) // _ROW_ALIGNMENT) * _ROW_ALIGNMENT
        self.letters: Letters = np.empty((count, self.width), np.uint8)
        self.letters[:, : self.width - width] = 0

    def words(self, at: int) -> Words:
        """Return the words of all rows that begin at some letter."""
        return np.ndarray(
            len(self.letters), np.uint32, self.letters, offset=at, strides=(self.width,)
        )

    def fragments(self, at: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """Return stretches of letters of all rows that begin at some letter."""
        return np.ndarray(len(self.letters), dtype, self.letters, offset=at, strides=(self.width,))

    def text(self) -> pa.StringArray:
        """Return each row without NULs."""
        letters = self.letters.reshape(-1)
        is_there = letters != 0
        offsets = np.zeros(len(self.letters) + 1, np.int32)
        np.cumsum(self._lengths(is_there), out=offsets[1:])
        # Arrow's filter takes half the time of numpy's, and less where few are left out.
        bits = pa.py_buffer(np.packbits(is_there, bitorder="little"))
        mask = pa.BooleanArray.from_buffers(pa.bool_(), len(letters), [None, bits])
        kept = pa.array(letters).filter(mask)
        return pa.StringArray.from_buffers(
            len(self.letters), pa.py_buffer(offsets), kept.buffers()[1]
        )

    def _lengths(self, is_there: NDArray[np.bool_]) -> NDArray[Any]:
        lanes = is_there.view(np.uint64).reshape(len(self.letters), -1)
        if lanes.shape[1] > _MOST_IN_A_LANE:
            counts: NDArray[Any] = is_there.reshape(self.letters.shape).sum(axis=1, dtype=np.int32)
            return counts
        # Eight counts at once, one in each byte: a tenth of the time.
        eights = lanes[:, 0].copy()
        for at in range(1, lanes.shape[1]):
            eights += lanes[:, at]
        pairs = (eights & _EVEN_LANES) + ((eights >> _LANE_BITS) & _EVEN_LANES)
        lengths: NDArray[Any] = (pairs * _ONE_IN_EACH_LANE) >> _TOP_LANE_BITS
        return lengths.astype(np.int32)


def fill_rows(cells: list[Cells], count: int) -> pa.StringArray:
    """Return the text of rows of cells side by side.

    Args:
        cells: The columns, from the left to the right.
        count: How many rows they have.
    """
    if count == 0:
        return pa.array([], pa.string())
    rows = Rows(count, sum(column.letters for column in cells))
    end = rows.width
    for column in reversed(cells):
        column.fill(rows, end)
        end -= column.letters
    return rows.text()


@lru_cache(maxsize=256)
def number_words(
    *,
    least_digits: int,
    digits: int,
    decimals: int,
    is_signed: bool,
    after: str,
    missing: str | None = None,
) -> tuple[tuple[Word, ...], int]:
    """Return the words of a column of numbers, and how many letters its cells have.

    Args:
        least_digits: How many digits the least magnitude has, scaled by 10^decimals.
        digits: How many the largest has.
        decimals: How many of them stand behind the point; there is none if 0.
        is_signed: Whether any is below zero.
        after: What follows each value.
        missing: What stands for a value that is missing, if any is.
    """
    whole, always = max(digits - decimals, 1), max(least_digits - decimals, 1)
    sign, point = bytes([_SIGN] * is_signed), b"." * (decimals > 0)
    number = bytes([_OPTIONAL] * (whole - always) + [_ALWAYS] * always)
    form = sign + number + point + bytes([_ALWAYS] * decimals) + after.encode()
    empty = b"" if missing is None else (missing + after).encode()
    letters = max(len(form), len(empty))
    width = -(-letters // _WORD_LETTERS) * _WORD_LETTERS
    form, empty = form.rjust(width, b"\0"), empty.rjust(width, b"\0")
    starts = range(0, width, _WORD_LETTERS)
    words = tuple(
        _word(form[at : at + _WORD_LETTERS], empty[at : at + _WORD_LETTERS]) for at in starts
    )
    return words, letters


def boolean_cells(values: NDArray[np.bool_], after: str, *, is_json: bool = False) -> BooleanCells:
    """Return a column of truth values, written as Python does or as JSON, as cells."""
    words, letters = _boolean_words(after, is_json=is_json)
    return BooleanCells(values=values, words=words, letters=letters)


@lru_cache(maxsize=64)
def _boolean_words(after: str, *, is_json: bool) -> tuple[Words, int]:
    """Return the words of False, then those of True, shape (2, words), and a cell's letters."""
    values = ("false", "true") if is_json else ("False", "True")
    cells = [f"{value}{after}".encode() for value in values]
    letters = max(map(len, cells))
    width = -(-letters // _WORD_LETTERS) * _WORD_LETTERS
    words = np.frombuffer(b"".join(cell.rjust(width, b"\0") for cell in cells), np.uint32)
    return words.reshape(2, -1), letters


def even_letters(values: pa.StringArray) -> NDArray[np.void] | None:
    """Return the bytes of each text; None if one is longer than another, or holds a NUL."""
    if len(values) == 0 or values.null_count:
        return None
    _, ends, content = values.buffers()
    offsets = np.frombuffer(ends, np.int32)[values.offset : values.offset + len(values) + 1]
    size = int(offsets[1] - offsets[0])
    if size == 0 or bool((np.diff(offsets) != size).any()):
        return None
    letters = np.frombuffer(content, np.uint8)[int(offsets[0]) : int(offsets[-1])]
    return letters.view(f"V{size}") if letters.all() else None


# Of four letters there are few forms, however many columns.
@lru_cache(maxsize=1024)
def _word(part: bytes, empty: bytes) -> Word:
    span = 10 ** (part.count(_OPTIONAL) + part.count(_ALWAYS))
    # Digits are left out behind the first only, and before that there may be a sign.
    is_signed = _SIGN in part
    is_led = not is_signed and _OPTIONAL in part
    table = np.zeros((2, span, _WORD_LETTERS), np.uint8)
    # Whether a digit that is not zero stands further left.
    led = np.zeros((2, span), np.bool_)
    led[1] = is_led
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
        table=words.reshape(-1) if is_signed or is_led else words[0],
        state="sign" if is_signed else "led" if is_led else "",
        empty=np.frombuffer(empty, np.uint32)[0],
    )
