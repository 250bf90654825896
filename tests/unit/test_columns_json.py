"""JSON lines that are taken come back to the byte and read as pandas reads them."""

import io
import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sojourn.columns import (
    Parsed,
    format_layout,
    format_rows,
    parse,
    parse_json_lines,
    parse_layout,
    to_pandas,
)


def _read_by_pandas(data: bytes) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dates, which pandas guesses
        return pd.read_json(io.BytesIO(data), lines=True)


def _check(data: bytes, parsed: Parsed) -> None:
    columns, ends = parsed.columns, parsed.ends_with_newline
    assert format_rows(parsed.layout, columns, header=True, final_newline=ends) == data
    assert parse_layout(format_layout(parsed.layout)) == parsed.layout
    theirs = _read_by_pandas(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = to_pandas(parsed.layout, columns)
    assert list(ours.dtypes) == list(theirs.dtypes)
    pd.testing.assert_frame_equal(
        ours, theirs, check_exact=True, check_column_type=True, check_index_type=True
    )
    for at, dtype in enumerate(theirs.dtypes):
        if dtype == np.float64:
            signs = [np.signbit(f.iloc[:, at].fillna(0.0).to_numpy()) for f in (ours, theirs)]
            np.testing.assert_array_equal(*signs)


def _taken(data: bytes) -> Parsed:
    parsed = parse_json_lines(data)
    assert parsed is not None
    _check(data, parsed)
    return parsed


@pytest.mark.parametrize(
    ("lines", "kinds"),
    [
        (['{"a": 1, "b": "x"}', '{"a": -2, "b": "y"}'], ["integer", "text"]),
        (['{"a":1,"b":"x"}', '{"a":null,"b":null}'], ["integer", "text"]),
        (['{"a": 1.5}', '{"a": null}', '{"a": -0.25}'], ["float"]),
        (['{"a": 1.50}', '{"a": -2.25}'], ["decimal"]),
        (['{"a": 1.0}', '{"a": 2.0}'], ["decimal"]),
        (['{"a":1}', '{"a":2.5}'], ["number"]),
        (['{"a":0.00001}', '{"a":2.5}'], ["plain"]),
        (['{"a":true}', '{"a":false}'], ["boolean"]),
        (['{"a":null}', '{"a":null}'], ["integer"]),
        (['{"a":"1.5"}', '{"a":"2"}'], ["text"]),
        (['{"a":"1"}', '{"a":null}'], ["text"]),
        (['{"1":1,"2":2}', '{"1":3,"2":4}'], ["integer", "integer"]),
        (['{"":1}'], ["integer"]),
        (['{"2024-01-01":1,"2024-01-02":2}'], ["integer", "integer"]),
        (['{"date":"2024-01-01","v":1}', '{"date":"2024-02-01","v":2}'], ["text", "integer"]),
        (['{"created_at":1700000000000,"v":1.5}'], ["integer", "decimal"]),
        (['{"timestamp":12,"modified":"no date","b":true}'], ["integer", "text", "boolean"]),
        (['{"s":"\\"a\\\\b\\n\\u0001\\t"}', '{"s":""}'], ["text"]),
        (['{"a b":"a\\/b"}', '{"a b":"\\/"}'], ["text"]),
        (['{"\\ud55c":"\\uae00","e":"\\ud83d\\ude00"}'], ["text", "text"]),
        (['{"한":"글","e":"😀"}'], ["text", "text"]),
        (['{"a":9223372036854775807}', '{"a":-9223372036854775807}'], ["integer"]),
        (['{"a":9007199254740993}', '{"a":null}'], ["integer"]),
        (['{"a":-9.223372036854776e+18}'], ["float"]),
        (['{"a":9.223372036854776e+18}'], ["float"]),
        (['{"a":-0.0,"b":1e+22}', '{"a":3.0,"b":2.0}'], ["decimal", "float"]),
        (['{"a":1e-05,"b":-0.0}', '{"a":5e-324,"b":1e+16}'], ["float", "float"]),
    ],
)
def test_kinds(lines: list[str], kinds: list[str]) -> None:
    for newline, ending in (("\n", ""), ("\n", "\n"), ("\r\n", "\r\n")):
        parsed = _taken((newline.join(lines) + ending).encode())
        assert [column.kind for column in parsed.layout.columns] == kinds


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"[1]\n",
        b"1\n",
        b'{"a":1',
        b'{"a":1}{"a":2}\n',
        b'[{"a":1}]\n',
        b' {"a":1}\n',
        b'{ "a":1}\n',
        b'{"a":1 }\n',
        b'{"a" :1}\n',
        b'{"a": 1,"b":2}\n',
        b'{"a":1}\n\n{"a":2}\n',
        b'\n{"a":1}\n',
        b'{"a":1}\n\n',
        b'{"a":1}\r{"a":2}\r',
        b'{"a":1}\n{"b":2}\n',
        b'{"a":1}\n{"a":2,"b":3}\n',
        b'{"a":1,"b":2}\n{"a":1}\n',
        b'{"a":1,"b":2}\n{"b":1,"a":2}\n',
        b'{"a":1,"a":2}\n',
        b'{"a":[1]}\n',
        b'{"a":{"b":1}}\n',
        b'{"a":1}\n{"a":[1]}\n',
        b'{"a":"x"}\n{"a":1}\n',
        b'{"a":true}\n{"a":null}\n',
        b'{"a":true}\n{"a":1}\n',
        b'{"a":NaN}\n',
        b'{"a":Infinity}\n',
        b'{"a":1E5}\n',
        b'{"a":-0}\n',
        b'{"a":1.50}\n{"a":1.250}\n',
        b'{"a":9223372036854775808}\n',
        b'{"a":"\\u00E9"}\n',
        b'{"a":"\\u0041"}\n',
        b'{"a":"\\ud800"}\n',
        b'{"a":"a\\/b"}\n{"a":"a/b"}\n',
        b'{"a":"\xff"}\n',
        b'{"a":"a\nb"}\n',
        b'\xef\xbb\xbf{"a":1}\n',
        '{"a":"\\u00e9"}\n{"a":"é"}\n'.encode(),
    ],
)
def test_what_is_refused(data: bytes) -> None:
    assert parse_json_lines(data) is None


def test_a_surprise_far_down_is_seen() -> None:
    lines = "".join(f'{{"a": {at}, "b": "t{at}"}}\n' for at in range(3000)).encode()
    kinds = [column.kind for column in _taken(lines + b'{"a": 1.5, "b": null}\n').layout.columns]
    assert kinds == ["number", "text"]
    assert parse_json_lines(lines + b'{"a": 1.5, "b": 1}\n') is None
    assert parse_json_lines(lines + b'{"a": 1.5, "b": ["x"]}\n') is None


def test_blocks_of_one_table_follow_its_first() -> None:
    blocks = [b'{"a":1,"b":"x"}\n{"a":null,"b":"y"}\n', b'{"a":2,"b":null}\n', b'{"a":3,"b":"z"}']
    first = parse_json_lines(blocks[0], is_last=False)
    assert first is not None
    rest = [parse_json_lines(b, layout=first.layout, is_first=False) for b in blocks[1:]]
    parts = [first, *(part for part in rest if part is not None)]
    assert [part.rows for part in parts] == [2, 1, 1]
    pd.testing.assert_frame_equal(
        to_pandas(first.layout, *(part.columns for part in parts)),
        _read_by_pandas(b"".join(blocks)),
        check_exact=True,
    )
    for block in (b'{"a":"x","b":"x"}\n', b'{"a":1}\n', b'{"a": 1, "b": "x"}\n', b"a,b\n1,x\n"):
        assert parse_json_lines(block, layout=first.layout, is_first=False) is None
    with pytest.raises(ValueError, match="needs the first's layout"):
        parse_json_lines(blocks[1], is_first=False)


def test_neither_parser_takes_the_others_layout() -> None:
    delimited, lines = b"a,b\nx,1\n", b'{"a":"x","b":1}\n'
    table, objects = parse(delimited, delimiter=","), parse_json_lines(lines)
    assert table is not None
    assert objects is not None
    assert parse(lines, delimiter=",", layout=objects.layout) is None
    assert parse_json_lines(lines, layout=table.layout) is None


_NAMES = st.lists(
    st.sampled_from(["a", "b", "가", "1", "2.0", "", "a/b", 'q"', "date", "x_at", "timestamp"])
    | st.sampled_from(["2024-01-01", "nan", "True", "modified", "time", "od-", "\\"]),
    min_size=1,
    max_size=4,
    unique=True,
)
_VALUES: list[st.SearchStrategy[Any]] = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-9, 9) | st.none(),
    st.integers(0, 2**33),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | st.none(),
    st.sampled_from([1, 2.5, 0.1, -3]),
    st.sampled_from([1.0, 2.0, -3.0]) | st.none(),
    st.booleans(),
    st.none(),
    st.text(max_size=4),
    st.sampled_from(["x", "1", "2024-01-01", "1.5", "가", "nan", "", "a/b", "Jan"]) | st.none(),
    st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "1700000000"]),
    st.sampled_from([1, "x", None, True, [1]]),
]


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    names, rows = draw(_NAMES), draw(st.integers(0, 5))
    strategies = [draw(st.sampled_from(_VALUES)) for _ in names]
    separators = draw(st.sampled_from([(", ", ": "), (",", ":"), (",", ": ")]))
    ascii_only, slashes = draw(st.booleans()), draw(st.booleans())
    lines = [
        json.dumps(
            {name: draw(values) for name, values in zip(names, strategies, strict=True)},
            ensure_ascii=ascii_only,
            separators=separators,
        )
        for _ in range(rows)
    ]
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = newline.join(lines) + draw(st.sampled_from(["", newline]))
    return (text.replace("/", "\\/") if slashes else text).encode()


@given(_lines())
@example(b'{"a":1.1}\n{"a":0.3}')
def test_any_lines_are_refused_or_come_back_and_read_as_pandas_reads_them(data: bytes) -> None:
    parsed = parse_json_lines(data)
    if parsed is not None:
        _check(data, parsed)


_FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "whole": st.lists(st.integers(-(2**62), 2**62), min_size=4, max_size=4),
        "some": st.lists(st.none() | st.integers(-9, 9), min_size=4, max_size=4),
        "float": st.lists(st.floats(allow_nan=True), min_size=4, max_size=4),
        "text": st.lists(st.text(max_size=5) | st.none(), min_size=4, max_size=4),
        "bool": st.lists(st.booleans(), min_size=4, max_size=4),
    },
).filter(bool)


@given(values=_FRAMES, rows=st.integers(0, 4), force_ascii=st.booleans())
def test_any_frame_that_pandas_writes_is_refused_or_comes_back(
    *, values: dict[str, list[Any]], rows: int, force_ascii: bool
) -> None:
    frame = pd.DataFrame(values).iloc[:rows]
    text = frame.to_json(orient="records", lines=True, force_ascii=force_ascii)
    data = text.encode(errors="surrogatepass")
    parsed = parse_json_lines(data)
    if parsed is not None:
        _check(data, parsed)


@pytest.mark.parametrize("force_ascii", [True, False])
def test_what_pandas_writes_is_taken(*, force_ascii: bool) -> None:
    frame = pd.DataFrame(
        {
            "number": [1, 2, -3] * 20,
            "gaps": [1, None, 2.0] * 20,
            "level": [1.5, None, 1 / 3] * 20,
            "이름": ["가, 나", 'say "x"/', "a\nb"] * 20,
            "yes": [True, False, True] * 20,
            "made_at": pd.to_datetime(["2024-01-01", "2024-01-02", "2025-01-01"] * 20),
        }
    )
    text = frame.to_json(orient="records", lines=True, force_ascii=force_ascii, date_format="iso")
    parsed = _taken(text.encode())
    assert to_pandas(parsed.layout, parsed.columns)["made_at"].dtype.kind == "M"


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.builds(
            lambda whole, digits: whole / 10**digits,
            st.integers(-(10**15), 10**15),
            st.integers(0, 15),
        ),
        min_size=1,
    )
)
def test_floats_are_those_of_the_installed_pandas(values: list[float]) -> None:
    text = "".join(f'{{"a": {value!r}}}\n' for value in values)
    parsed = parse_json_lines(text.encode())
    if parsed is not None:
        _check(text.encode(), parsed)


@given(st.binary(max_size=40).map(lambda data: b'{"a":' + data))
def test_any_bytes_are_refused_or_come_back(data: bytes) -> None:
    parsed = parse_json_lines(data)
    if parsed is not None:
        assert (
            format_rows(
                parsed.layout,
                parsed.columns,
                header=True,
                final_newline=parsed.ends_with_newline,
            )
            == data
        )
