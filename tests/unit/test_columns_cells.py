"""Cells of a fixed width, and what is left of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.columns.cells import TextCells, boolean_cells, even_letters, fill_rows
from sojourn.columns.formatting import format_rows
from sojourn.columns.layout import Column, Layout

NUMBERS = st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=30)


def of_texts(*values: str) -> TextCells | None:
    letters = even_letters(pa.array(values))
    return None if letters is None else TextCells(values=letters, after=b",")


def test_texts_of_one_length_are_cells_and_no_others() -> None:
    assert of_texts("ab", "cd") is not None
    assert of_texts("물", "abc") is not None  # as many bytes
    for others in (("ab", "c"), ("", ""), ("a\0", "bc"), ()):
        assert of_texts(*others) is None


def test_a_slice_of_texts_is_told_from_the_rest() -> None:
    values = pa.array(["long", "ab", "cd", "longer"]).slice(1, 2)
    letters = even_letters(values)
    assert letters is not None
    assert [each.tobytes() for each in letters] == [b"ab", b"cd"]


def test_a_cell_leaves_the_letters_before_it_alone() -> None:
    """Its first word reaches over its left end."""
    cells = [of_texts("abc", "def"), boolean_cells(np.array([True, False]), "\n")]
    rows = fill_rows([each for each in cells if each is not None], 2)
    assert rows.to_pylist() == ["abc,True\n", "def,False\n"]


def test_no_rows_have_no_text() -> None:
    assert fill_rows([], 0).to_pylist() == []


@settings(deadline=None)
@given(numbers=NUMBERS, decimals=st.integers(0, 6), beside=st.integers(1, 40))
def test_numbers_beside_texts_and_numbers(numbers: list[int], decimals: int, beside: int) -> None:
    named = (Column(name=f"n{i}", kind="integer") for i in range(beside))
    if decimals:
        named = (replace(column, kind="decimal", decimals=decimals) for column in named)
    columns = (Column(name="t", kind="text"), *named)
    layout = Layout(delimiter=",", newline="\n", columns=columns)
    stamps = [f"{number % 1000:03d}" for number in numbers]
    arrays = [pa.array(stamps), *[pa.array(numbers, pa.int64())] * beside]
    text = format_rows(layout, arrays, header=False, final_newline=True).decode()
    values = [_written(number, decimals) for number in numbers]
    rows = zip(stamps, values, strict=True)
    assert text == "".join(",".join([s, *[v] * beside]) + "\n" for s, v in rows)


def _written(number: int, decimals: int) -> str:
    if not decimals:
        return str(number)
    digits = f"{abs(number):0{decimals + 1}d}"
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"
