"""Some columns and first rows of a table are what pandas reads of them, or left to pandas."""

import csv
import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sojourn.columns import Parsed, find_places, keeps_kinds, parse, pick, to_pandas

NAMES = ("level", "Q0", "1", "이름", "state", "time")
# What tells the kind of each column stands in one row, which may come after those that are read.
TELLING = {"text": "x", "number": "2.5"}
VALUES: dict[str, st.SearchStrategy[str]] = {
    "integer": st.integers(-(10**12), 10**12).map(str),
    "decimal": st.integers(-(10**6), 10**6).map(lambda value: f"{value / 100:.2f}"),
    "float": st.floats(-1e6, 1e6).map(repr),
    "number": st.sampled_from(["1", "2", "-3", "0.5", "17"]),
    "text": st.sampled_from(["x", "T-1", "가", "1", "2.5", "True", "NA", "nan", ""]),
    "boolean": st.sampled_from(["True", "False"]),
}
LACKING = ("integer", "decimal", "float", "number")


@st.composite
def columns(draw: st.DrawFn, rows: int) -> list[str]:
    kind = draw(st.sampled_from(sorted(VALUES)))
    value = VALUES[kind]
    if kind in LACKING and draw(st.booleans()):
        value = st.one_of(value, st.just(draw(st.sampled_from(["", "NA", "NaN"]))))
    values = draw(st.lists(value, min_size=rows, max_size=rows))
    if kind in TELLING:
        values[draw(st.integers(0, rows - 1))] = TELLING[kind]
    return values


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], bytes]:
    rows = draw(st.integers(1, 25))
    width = draw(st.integers(2, 5))
    names = draw(st.permutations(NAMES))[:width]
    if draw(st.booleans()):
        names[draw(st.integers(0, width - 1))] = ""
    values = [draw(columns(rows)) for _ in range(width)]
    text = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(text, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerows([names, *zip(*values, strict=True)])
    return names, text.getvalue().encode()


def _first(parsed: Parsed, places: tuple[int, ...], rows: int) -> tuple[pa.Array, ...]:
    return tuple(parsed.columns[at].slice(0, rows) for at in places)


def _read(data: bytes, **arguments: Any) -> Any:
    return pd.read_csv(io.BytesIO(data), **arguments)


@given(table=tables(), data=st.data())
@settings(deadline=None, max_examples=300)
def test_columns_and_first_rows_are_what_pandas_reads_of_the_text(
    table: tuple[list[str], bytes], data: st.DataObject
) -> None:
    names, text = table
    parsed = parse(text, delimiter=",")
    assume(parsed is not None)
    assert parsed is not None
    wanted = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1), label="columns")
    usecols: list[Any] = list(wanted)
    if data.draw(st.booleans(), label="by name"):
        usecols = [names[at] or f"Unnamed: {at}" for at in wanted]
    places = find_places(parsed.layout, usecols)
    assert places == tuple(sorted(set(wanted)))
    layout = pick(parsed.layout, places)
    found = to_pandas(layout, _first(parsed, places, parsed.rows))
    pd.testing.assert_frame_equal(found, _read(text, usecols=usecols), check_exact=True)
    rows = data.draw(st.integers(1, parsed.rows), label="rows")
    part = _first(parsed, places, rows)
    theirs = _read(text, usecols=usecols, nrows=rows)
    if keeps_kinds(layout, [part], table_columns=len(names)):
        found = to_pandas(layout, part)
        pd.testing.assert_frame_equal(found, theirs, check_exact=True)


def test_rows_that_may_be_of_another_kind_are_left_to_pandas() -> None:
    text = b"n,t,d\n1,7,1.0\n2,8,2.0\n2.5,x,3.0\n" + b"3,y,4.0\n" * 3
    parsed = parse(text, delimiter=",")
    assert parsed is not None
    by_rows = {
        rows: [
            keeps_kinds(pick(parsed.layout, (at,)), [_first(parsed, (at,), rows)], table_columns=3)
            for at in range(3)
        ]
        for rows in (1, 2, 3, 6)
    }
    assert by_rows == {
        1: [False, False, True],
        2: [False, False, True],
        3: [True, True, True],
        6: [True, True, True],
    }
    assert _read(text, nrows=2).dtypes.astype(str).tolist() == ["int64", "int64", "float64"]


def test_text_with_numbers_in_it_is_left_to_pandas_beyond_its_chunk() -> None:
    # With two columns a chunk of pandas' may be as short as 32,768 rows.
    rows = 120_000
    values = ["A" if row % 30_000 == 0 or row == rows - 1 else str(row) for row in range(rows)]
    text = ("t,n\n" + "".join(f"{value},{row}\n" for row, value in enumerate(values))).encode()
    parsed = parse(text, delimiter=",")
    assert parsed is not None
    layout = pick(parsed.layout, (0,))
    kept = {}
    for nrows in (20_000, 32_768, 32_769, 90_001, 110_000):
        part = _first(parsed, (0,), nrows)
        kept[nrows] = keeps_kinds(layout, [part], table_columns=2)
        if kept[nrows]:
            theirs = _read(text, usecols=["t"], nrows=nrows)
            pd.testing.assert_frame_equal(to_pandas(layout, part), theirs, check_exact=True)
    assert kept == {20_000: True, 32_768: True, 32_769: False, 90_001: True, 110_000: False}


@pytest.mark.parametrize(
    "usecols",
    [[], ["a", 1], ["c"], [2], [-1], [True], "a", {"a": 1}, lambda name: name == "a", None],
)
def test_columns_that_are_not_plainly_named_are_left_to_pandas(usecols: Any) -> None:
    parsed = parse(b"a,b\n1,x\n", delimiter=",")
    assert parsed is not None
    assert find_places(parsed.layout, usecols) is None
