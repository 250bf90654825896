from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.columns import (
    Column,
    Layout,
    format_rows,
    join_row_texts,
    parse,
    row_texts,
    to_arrow,
    to_pandas,
)

MIXED = Layout(
    delimiter=",",
    newline="\n",
    columns=(
        Column(name="i", kind="integer"),
        Column(name="d", kind="decimal", decimals=3),
        Column(name="t", kind="text"),
        Column(name="u", kind="text"),
        Column(name="b", kind="boolean"),
        Column(name="e", kind="decimal", decimals=1),
    ),
)
COLUMNS = (
    pa.array([0, -12, None], pa.int64()),
    pa.array([5, -(1 << 31), 123456], pa.int32()),
    pa.array(["가", "", "NA"]),
    pa.array(["x", "y y", "z"]),
    pa.array([True, False, True]),
    pa.array([-1, None, 10], pa.int32()),
)
TEXT = "i,d,t,u,b,e\n0,0.005,가,x,True,-0.1\n-12,-0.000,,y y,False,\n,123.456,NA,z,True,1.0\n"


def test_each_kind_is_written_as_it_was_read() -> None:
    assert format_rows(MIXED, COLUMNS, header=True, final_newline=True).decode() == TEXT


def test_header_and_last_line_end_are_left_out_when_asked() -> None:
    body = TEXT.partition("\n")[2]
    assert format_rows(MIXED, COLUMNS, header=False, final_newline=True).decode() == body
    assert format_rows(MIXED, COLUMNS, header=False, final_newline=False).decode() == body[:-1]


def test_line_ends_and_delimiters_are_the_layouts() -> None:
    layout = Layout(delimiter="\t", newline="\r\n", columns=MIXED.columns)
    text = format_rows(layout, COLUMNS, header=True, final_newline=False).decode()
    assert text == TEXT[:-1].replace(",", "\t").replace("\n", "\r\n")


def test_no_rows_are_a_header() -> None:
    none = [column.slice(0, 0) for column in COLUMNS]
    assert format_rows(MIXED, none, header=True, final_newline=True) == b"i,d,t,u,b,e\n"


def test_slices_of_row_texts_make_windows() -> None:
    texts = row_texts(MIXED, COLUMNS)
    for start, stop in ((0, 3), (1, 3), (0, 1), (2, 2)):
        window = [text.slice(start, stop - start) for text in texts]
        columns = [column.slice(start, stop - start) for column in COLUMNS]
        for header in (True, False):
            assert join_row_texts(MIXED, window, header=header, final_newline=True) == format_rows(
                MIXED, columns, header=header, final_newline=True
            )


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (COLUMNS[:-1], "5 columns were given for 6"),
        ((COLUMNS[0].cast(pa.int16()), *COLUMNS[1:]), "'i' is integer and was given as int16"),
        ((COLUMNS[0].slice(1), *COLUMNS[1:]), "'d' has 3 values, not 2"),
        ((*COLUMNS[:3], pa.array(["x", None, "z"]), *COLUMNS[4:]), "'u' is text and lacks values"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        format_rows(MIXED, columns, header=True, final_newline=True)
    with pytest.raises(ValueError, match=why):
        to_pandas(MIXED, columns)


@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1, max_size=30),
    decimals=st.integers(0, 15),
    small=st.booleans(),
)
def test_numbers_of_any_width_are_written_digit_by_digit(
    values: list[int | None], decimals: int, *, small: bool
) -> None:
    if small:
        values = [None if value is None else value >> 33 for value in values]
    kind: Any = "decimal" if decimals else "integer"
    columns = (
        Column(name="a", kind=kind, decimals=decimals),
        Column(name="b", kind="integer"),
    )
    layout = Layout(delimiter=",", newline="\n", columns=columns)
    array = pa.array(values, pa.int32() if small else pa.int64())
    text = format_rows(layout, (array, array), header=False, final_newline=True).decode()
    expected = (f"{_written(value, decimals)},{_written(value, 0)}\n" for value in values)
    assert text == "".join(expected)


def _written(value: int | None, decimals: int) -> str:
    if value is None:
        return ""
    sign, magnitude = ("-" if value < 0 else ""), abs(value)
    if decimals and value == -(1 << 31):
        magnitude = 0
    digits = f"{magnitude:0{decimals + 1}d}"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


@pytest.mark.parametrize("width", [1, 3, 90, 300])
def test_tables_of_many_blocks_and_of_many_columns(width: int) -> None:
    header = ",".join(f"c{at}" for at in range(width))
    rows = (",".join(f"{(row * width + at) / 7:.3f}" for at in range(width)) for row in range(4000))
    data = "\n".join([f"t,{header}", *(f"x{at},{row}" for at, row in enumerate(rows))]).encode()
    parsed = parse(data, delimiter=",")
    assert parsed is not None
    texts = row_texts(parsed.layout, parsed.columns)
    assert join_row_texts(parsed.layout, texts, header=True, final_newline=False) == data


def test_arrow_tables_have_the_values_and_the_text_as_it_stands() -> None:
    assert to_arrow(MIXED, COLUMNS).to_pydict() == {
        "i": [0, -12, None],
        "d": [0.005, -0.0, 123.456],
        "t": ["가", "", "NA"],
        "u": ["x", "y y", "z"],
        "b": [True, False, True],
        "e": [-0.1, None, 1.0],
    }


def test_there_must_be_something_to_read() -> None:
    with pytest.raises(ValueError, match="no columns"):
        to_arrow(MIXED)


def test_what_is_set_on_one_table_does_not_reach_another() -> None:
    first, second = to_pandas(MIXED, COLUMNS), to_pandas(MIXED, COLUMNS)
    first.columns.name = "changed"
    first.loc[0, "d"] = 7.0
    assert second.columns.name is None
    assert second.loc[0, "d"] == 0.005
    assert COLUMNS[1][0].as_py() == 5
