"""What is taken comes back to the byte and reads as pandas reads it; the rest is refused."""

import csv
import io
import itertools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sojourn.columns import Parsed, format_layout, format_rows, parse, parse_layout, to_pandas
from sojourn.columns.layout import MAX_SCALED, NEGATIVE_ZERO


def _read_by_pandas(data: bytes, delimiter: str, encoding: str = "utf-8") -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        return pd.read_csv(io.BytesIO(data), sep=delimiter, encoding=encoding)


def _check(data: bytes, parsed: Parsed) -> None:
    columns, ends = parsed.columns, parsed.ends_with_newline
    assert format_rows(parsed.layout, columns, header=True, final_newline=ends) == data
    assert parse_layout(format_layout(parsed.layout)) == parsed.layout
    ours = to_pandas(parsed.layout, columns)
    theirs = _read_by_pandas(data, parsed.layout.delimiter, parsed.layout.style.encoding)
    assert list(ours.dtypes) == list(theirs.dtypes)
    pd.testing.assert_frame_equal(
        ours, theirs, check_exact=True, check_column_type=True, check_index_type=True
    )
    floats = list(ours.columns[ours.dtypes == np.float64])
    # Equal is not the same: -0.0 equals 0.0.
    signs = [np.signbit(frame[floats].fillna(0.0).to_numpy()) for frame in (ours, theirs)]
    np.testing.assert_array_equal(*signs)


def _taken(data: bytes, delimiter: str = ",") -> Parsed:
    parsed = parse(data, delimiter=delimiter)
    assert parsed is not None
    _check(data, parsed)
    return parsed


def _kinds(parsed: Parsed) -> list[tuple[str, int]]:
    return [(column.kind, column.decimals) for column in parsed.layout.columns]


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"a\n0\n-1\n12\n", [("integer", 0)]),
        (b"a\n-9223372036854775807\n9223372036854775807\n", [("integer", 0)]),
        (b"a,b\n1,0.50\n2,-12.25\n", [("integer", 0), ("decimal", 2)]),
        (b"a,b\n1,-0.00\n2,0.00\n", [("integer", 0), ("decimal", 2)]),
        (b"a,b\n,1\n2,\n", [("integer", 0), ("integer", 0)]),
        (b"a,b\n9007199254740993,1\n,1\n", [("integer", 0), ("integer", 0)]),
        (b"a,b\n,1\n,2\n", [("integer", 0), ("integer", 0)]),
        (b"a,b\n,1.5\n2.5,\n", [("decimal", 1), ("decimal", 1)]),
        (b"a\n0.123456789012345\n", [("decimal", 15)]),
        (b"a\nTrue\nFalse\n", [("boolean", 0)]),
        (b"a,b\nT-1,0.5\nT-0,1.5\n", [("text", 0), ("decimal", 1)]),
        (b"a,b\n1,0.5\n2,0.25\n", [("integer", 0), ("float", 0)]),
        (b"a,b\n1e-05,-0.0\n1e+16,\n", [("float", 0), ("decimal", 1)]),
        (b"a,b\n35074790899.36128,x\n5e-324,y\n0.0001,z\n", [("float", 0), ("text", 0)]),
        (b"a,b\nx,NA\n,y\n", [("text", 0), ("text", 0)]),
        (b"a,b\n1,1\nx,2\n", [("text", 0), ("integer", 0)]),
        (b"a\n2024-05-01\n", [("text", 0)]),
        (b"a\n2024-05-01 00:00:00\n", [("text", 0)]),
        (b"a\nTrue\nmaybe\n", [("text", 0)]),
        ("이름,값\n가,1\n나 다,2\n".encode(), [("text", 0), ("integer", 0)]),
        ("이름,값\n가,1\n나 다,2\n".encode("cp949"), [("text", 0), ("integer", 0)]),
        ("이름,값\n똠,1\n펲,2\n".encode("cp949"), [("text", 0), ("integer", 0)]),
        (b"\xef\xbb\xbfa,b\n1,x\n", [("integer", 0), ("text", 0)]),
        (b'\xef\xbb\xbf"a,b",b\n1,"x"\n', [("integer", 0), ("text", 0)]),
        (b"a\n1\n1.5\n", [("number", 0)]),
        (b"a\n-3\n0\n2.5\n1e-07\n1e+22\n", [("number", 0)]),
        (b"a,b\n1,1\n,2.5\n", [("integer", 0), ("number", 0)]),
        (b"a\ninf\n-inf\n", [("float", 0)]),
        (b"a\n0.00001\n123.5\n-0.0\n", [("plain", 0)]),
        (b"a,b\nNA,1\n2,1\n", [("integer", 0), ("integer", 0)]),
        (b"a,b\nNaN,-nan\n2.5,1.25\n", [("decimal", 1), ("decimal", 2)]),
        (b"a,b\n1e-05,3\nnull,2\n2.0,None\n", [("float", 0), ("integer", 0)]),
        (b"a\nNA\n", [("integer", 0)]),
        (b"a\nnan\n", [("integer", 0)]),
        (b"a\n1.#IND\n2\n", [("integer", 0)]),
        (b'a,b\n"",1\n"x",\n,1\n', [("text", 0), ("integer", 0)]),
        (b",a\n0,x\n1,y\n", [("integer", 0), ("text", 0)]),
        (b"a,\n1,2\n", [("integer", 0), ("integer", 0)]),
        (b'a\n"x"\n', [("text", 0)]),
        (b'a\n"1"\n"-2"\n', [("integer", 0)]),
        (b'"a"\n1\n', [("integer", 0)]),
        (b'"a b","b"\n"1","x"\n"","y"\n', [("integer", 0), ("text", 0)]),
        (b'"a","b"\n1.5,"x"\n"",""\n', [("decimal", 1), ("text", 0)]),
        (b'"","a","b"\n"1",1.5,"x,y"\n"2",NA,NA\n', [("integer", 0), ("decimal", 1), ("text", 0)]),
        (b'a,b\n1,"x,y"\n2,z\n', [("integer", 0), ("text", 0)]),
        (b'a,b\n"x\n\ny",1\nz,2\n', [("text", 0), ("integer", 0)]),
        (b'a,b\n"""x""",1\n" z",2\n', [("text", 0), ("integer", 0)]),
        (b'"a","b"\n"True","NA"\n"False","x"\n', [("boolean", 0), ("text", 0)]),
        (b'"a","b"\n" x",NA\n" y","NA"\n"z","zz"\n', [("text", 0), ("text", 0)]),
        (b"Unnamed: 0,nan,1\n0,1,2\n", [("integer", 0)] * 3),
    ],
)
def test_kinds(data: bytes, kinds: list[tuple[str, int]]) -> None:
    for newline, ending in itertools.product((b"\n", b"\r\n"), (b"", b"\n")):
        text = (data.rstrip(b"\n") + ending).replace(b"\n", newline)
        assert _kinds(_taken(text)) == kinds


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters(delimiter: str) -> None:
    data = "a,b,c\n,x,0.5\n1,y,\n".replace(",", delimiter).encode()
    assert _kinds(_taken(data, delimiter)) == [("integer", 0), ("text", 0), ("decimal", 1)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"a\n",
        b"a,b\n",
        b'a""b,c\n1,2\n',
        b'a\n"x\n',
        b'a\n"x"y\n',
        b'a\n"x"\ny\n',
        b'a\n"1"\n2\n',
        b'a\n"007"\n',
        b'a\n""\nx\n',
        b'a,b\n"x",NA\n"y",\n',
        b'"a\nb"\n1\n',
        b'"a",b\n"x",1\n',
        b"\xef\xbb\xbf\xef\xbb\xbfa\nx\n",
        b"\xef\xbb\xbf\nx\n",
        b",Unnamed: 0\n1,2\n",
        b"a\n-0\n2.5\n",
        b"a\n100000000000000000000.0\n1.25\n",
        b"a\n100000000000000000000.0\n0.00001\n",
        b"a\n1000000000000000\n2.5\n",
        b"a\nNA\n\n1\n",
        b"a,b\nNA,1\n,1\n2,1\n",
        b"a,b\nNA,1\nNaN,1\n2,1\n",
        b"a\ninfinity\n",
        b"a\n+inf\n",
        b"a\rb\r",
        b"a\nx\ry\n",
        b"a\r\n1\n",
        b"a\n1\r\n",
        b"a\nx\0\n",
        b"a\n\xff\n",
        b"\xff\n1\n",
        b"a\n\n1\n",
        b"a\n1\n\n",
        b"\na\n1\n",
        b"a\nx\n \n",
        b"a,b\n x,1\n",
        b"a,b\n1,2,3\n",
        b"a,b\n1,2\n1\n",
        b"a,b\n1,2,\n",
        b"a,a\n1,2\n",
        b" a,b\n1,2\n",
        b"a\n01\n",
        b"a\n-0\n",
        b"a\n+1\n",
        b"a\n1 \n",
        b"a\n9223372036854775808\n",
        b"a\n-9223372036854775808\n",
        b"a\n1.50\n1.250\n",
        b"a\n1e5\n2.5\n",
        b"a\n01.5\n",
        b"a\n.5\n",
        b"a\n5.\n",
        b"a\n1e5\n",
        b"a\n0.12345678901234567890\n",
        b"a\ntrue\nFalse\n",
        b"a,b\nTrue,1\n,1\n",
        b"a,b\nTrue,1\nNA,1\n",
        b"a\n1_000\n",
        b"a\n0x1F\n",
    ],
)
def test_what_is_refused(data: bytes) -> None:
    assert parse(data, delimiter=",") is None


def test_decimals_are_taken_as_far_as_rounding_is_sure() -> None:
    assert _taken(f"a\n{MAX_SCALED // 10 - 1}.7\n".encode()).columns[0].type == pa.int64()
    assert parse(f"a\n{MAX_SCALED // 10}.9\n".encode(), delimiter=",") is None


def test_what_stands_for_minus_zero_is_no_value_of_a_decimal() -> None:
    assert parse(f"a\n{NEGATIVE_ZERO // 10}.0\n-214748364.8\n".encode(), delimiter=",") is None
    assert _taken(b"a\n-214748364.7\n-0.0\n").columns[0].type == pa.int32()


def test_numbers_take_32_bits_where_that_is_enough() -> None:
    parsed = _taken(b"a,b,c\n2147483647,2147483648,1.5\n-2147483648,,\n")
    assert [column.type for column in parsed.columns] == [pa.int32(), pa.int64(), pa.int32()]


def test_a_surprise_far_down_is_seen() -> None:
    numbers = "".join(f"{at},{at}.5\n" for at in range(5000))
    assert _kinds(_taken(f"a,b\n{numbers},\n".encode())) == [("integer", 0), ("decimal", 1)]
    assert parse(f"a,b\n{numbers}x,1.5\n".encode(), delimiter=",") is not None
    kinds = _kinds(_taken(f"a,b\n{numbers}1,1.25\n".encode()))
    assert kinds == [("integer", 0), ("float", 0)]
    assert parse(f"a,b\n{numbers}1,1.250\n".encode(), delimiter=",") is None
    assert parse(f"a,b\n{numbers}1,1.5\n1\n".encode(), delimiter=",") is None


def test_text_is_refused_where_a_chunk_of_pandas_may_hold_none() -> None:
    # Numbers first and text later come out of pandas as one or as the other, mixed.
    numbers = "1,1\n" * 200_000
    assert parse(f"a,b\n{numbers}x,1\n".encode(), delimiter=",") is None
    assert parse(f"a,b\nx,1\n{numbers}".encode(), delimiter=",") is None
    spread = ("1,1\n" * 500 + "x,1\n") * 400
    assert _kinds(_taken(f"a,b\n{spread}".encode())) == [("text", 0), ("integer", 0)]


def test_missing_text_in_a_wide_table_is_read_as_pandas_does() -> None:
    width = 400
    header = ",".join(f"c{at}" for at in range(width))
    rows = [
        "x" + ",1" * (width - 1) if at % 150 == 149 else ",1" * (width - 1) for at in range(3000)
    ]
    _taken("\n".join([header, *rows, ""]).encode())


def test_blocks_of_one_table_follow_its_first() -> None:
    blocks = [b"a,b\nx,1.5\nNA,2.5\ny,3.5\n", b"z,\nx,4.5\n", b"y,5.5"]
    first = parse(blocks[0], delimiter=",", is_last=False)
    assert first is not None
    rest = [
        parse(
            block, delimiter=",", layout=first.layout, is_first=False, is_last=block == blocks[-1]
        )
        for block in blocks[1:]
    ]
    parts = [first, *(part for part in rest if part is not None)]
    assert [part.rows for part in parts] == [3, 2, 1]
    text = b"".join(
        format_rows(p.layout, p.columns, header=p is first, final_newline=p.ends_with_newline)
        for p in parts
    )
    assert text == b"".join(blocks)
    pd.testing.assert_frame_equal(
        to_pandas(first.layout, *(part.columns for part in parts)),
        _read_by_pandas(text, ","),
        check_exact=True,
    )


def test_a_block_that_does_not_fit_is_refused() -> None:
    first = parse(b"a,b\nx,1.5\n", delimiter=",", is_last=False)
    assert first is not None
    for block in (b"x,1.25\n", b"x,1\n", b"x\n", b"1,1.5\n", b"x,1.5\nNA,1.5\n", b"x;1.5\n"):
        parsed = parse(block, delimiter=",", layout=first.layout, is_first=False, is_last=False)
        assert parsed is None
    assert parse(b"x;1.5\n", delimiter=";", layout=first.layout, is_first=False) is None
    assert parse(b"a,c\nx,1.5\n", delimiter=",", layout=first.layout) is None
    assert parse(b"a,b\nx,1.5\n", delimiter=",", layout=first.layout) is not None


def test_a_later_block_needs_a_layout() -> None:
    with pytest.raises(ValueError, match="needs the first's layout"):
        parse(b"1\n", delimiter=",", is_first=False)


_LITERALS = (
    *("", "NA", "nan", "NaN", "inf", "-inf", "Infinity", "true", "True", "False", "null", "None"),
    *("x", "가", "é", "T-1", "2024-01-01", "10.0.0.1", "1e5", "1_0", "0x1F", "1.5", "1.50"),
    *("-0.0", "0.0", "007", "+1", "-0", "0", "1", "-1", "12", " 1", "1 ", " ", " x", "x "),
    *("\tx", "\u00a05", "\uff15", "1,5", "1;5", '"a"', 'a"b', "#x", "1j", "1d5", "e1", ".5", "5."),
    *("-", ".", "1.#IND", "#N/A N/A", "<NA>", "n/a", "-nan", "+nan", "nano", "True ", "\x0b1"),
    *("\u2028", "\x85", "\ufeff", "a\rb", "\x1a", "9223372036854775807", "9223372036854775808"),
    *("2251799813685247.5", "-214748.3648", "1%", "()", "_", "1 2"),
)
_names = st.lists(
    st.sampled_from(["a", "b", "가", "1", "nan", "a.1", "Unnamed: 0", "a ", "x y", "True"])
    | st.sampled_from(["a", "", " a", "\ufeffa", 'q"', "a\tb"]),
    min_size=1,
    max_size=4,
)


@st.composite
def _column(draw: st.DrawFn, rows: int) -> list[str]:
    decimals = draw(st.integers(1, 15))
    scaled = st.integers(-(10**17), 10**17) | st.integers(-200, 200)
    values = draw(
        st.sampled_from(
            [
                st.integers(-(2**63), 2**63 - 1).map(str),
                st.integers(-5, 5).map(str) | st.just(""),
                scaled.map(lambda value: f"{value / 10**decimals:.{decimals}f}"),
                scaled.map(lambda value: f"{value / 10**decimals:.{decimals}f}") | st.just(""),
                st.floats(allow_nan=False, allow_infinity=False).map(repr),
                st.floats(-1e6, 1e6).map(lambda value: repr(round(value, 3))) | st.just(""),
                st.sampled_from(["True", "False"]),
                st.sampled_from(["x", "가", "NA", "", "1"]),
                st.text(max_size=4),
                st.sampled_from(draw(st.lists(st.sampled_from(_LITERALS), min_size=1, max_size=3))),
            ]
        )
    )
    return draw(st.lists(values, min_size=rows, max_size=rows))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[bytes, str]:
    names, rows = draw(_names), draw(st.integers(0, 6))
    delimiter = draw(st.sampled_from([",", ",", "\t", ";", "|"]))
    columns = [draw(_column(rows)) for _ in names]
    lines = [delimiter.join(line) for line in (names, *zip(*columns, strict=True))]
    if draw(st.integers(0, 9)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", " ", "\t", "x"])))
    newline = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = newline.join(lines) + draw(st.sampled_from(["", newline, newline]))
    return text.encode("utf-8", errors="surrogatepass"), delimiter


_DRESSES = ("minimal", "minimal", "all", "text", "text", "never")
_SPELLINGS = ("", "", "NA", "NaN", "null", "None", "nan", '""', "#N/A")


@st.composite
def _dressed_column(draw: st.DrawFn, rows: int, dress: str, delimiter: str) -> list[str]:
    """Return the fields of a column, with their quotes."""
    values = draw(_column(rows))
    is_text = any(value.strip("-.0123456789") != "" for value in values)
    if draw(st.booleans()):
        special = st.sampled_from([delimiter, '"', "\n", "\r\n", 'a"b', "", " ", '""', "x,y"])
        values = [value + draw(special) if draw(st.booleans()) else value for value in values]
    missing = draw(st.sampled_from(_SPELLINGS))
    fields = []
    for value in values:
        needs = any(letter in value for letter in (delimiter, '"', "\n", "\r"))
        quoted = dress == "all" or (dress == "text" and is_text) or (dress != "never" and needs)
        field = '"' + value.replace('"', '""') + '"' if quoted else value
        fields.append(missing if draw(st.integers(0, 4)) == 0 else field)
    return fields


@st.composite
def _dressed_tables(draw: st.DrawFn) -> tuple[bytes, str]:
    """Draw tables in quotes, with words for what is missing, marks and encodings."""
    names = draw(_names | st.just(["", "a"]) | st.just(["a,b", 'c"d']))
    rows, dress = draw(st.integers(0, 6)), draw(st.sampled_from(_DRESSES))
    delimiter = draw(st.sampled_from([",", ",", "\t", ";", "|"]))
    columns = [draw(_dressed_column(rows, dress, delimiter)) for _ in names]
    if dress != "never":
        names = [
            '"' + name.replace('"', '""') + '"'
            if dress != "minimal" or any(letter in name for letter in (delimiter, '"'))
            else name
            for name in names
        ]
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = newline.join(delimiter.join(line) for line in (names, *zip(*columns, strict=True)))
    text += draw(st.sampled_from(["", newline, newline]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp949"]))
    return text.encode(encoding, errors="replace"), delimiter


@given(_tables() | _dressed_tables())
@example((b"a,b\n-0.0,1\n,2", ","))
@example((b"a|b\r\nx|NA\r\n", "|"))
def test_any_table_is_refused_or_comes_back_and_reads_as_pandas_reads_it(
    table: tuple[bytes, str],
) -> None:
    data, delimiter = table
    parsed = parse(data, delimiter=delimiter)
    if parsed is not None:
        _check(data, parsed)


@given(st.binary(max_size=40).map(lambda data: b"a,b\n" + data))
def test_any_bytes_are_refused_or_come_back(data: bytes) -> None:
    parsed = parse(data, delimiter=",")
    if parsed is not None:
        _check(data, parsed)


_FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "whole": st.lists(st.integers(-(2**62), 2**62), min_size=4, max_size=4),
        "some": st.lists(st.none() | st.integers(-9, 9), min_size=4, max_size=4),
        "float": st.lists(st.floats(allow_nan=True), min_size=4, max_size=4),
        "text": st.lists(
            st.text('ab가,"\n 1', min_size=1, max_size=5) | st.none(), min_size=4, max_size=4
        ),
        "bool": st.lists(st.booleans(), min_size=4, max_size=4),
    },
).filter(bool)


@given(
    values=_FRAMES,
    index=st.booleans(),
    na_rep=st.sampled_from(["", "NA", "NaN", "null"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp949"]),
    rows=st.integers(0, 4),
)
def test_any_frame_that_pandas_writes_is_refused_or_comes_back(
    *,
    values: dict[str, list[Any]],
    index: bool,
    na_rep: str,
    quoting: Any,
    newline: str,
    encoding: str,
    rows: int,
) -> None:
    frame = pd.DataFrame(values).iloc[:rows]
    text = frame.to_csv(index=index, na_rep=na_rep, quoting=quoting, lineterminator=newline)
    data = text.encode(encoding)
    parsed = parse(data, delimiter=",")
    if parsed is not None:
        _check(data, parsed)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("na_rep", ["", "NA"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("index", [True, False])
def test_what_pandas_writes_is_taken(
    quoting: Any,
    na_rep: str,
    encoding: str,
    index: bool,  # noqa: FBT001
) -> None:
    frame = pd.DataFrame(
        {
            "number": [1, 2, -3] * 20,
            "gaps": [1, None, 2.0] * 20,
            "level": [1.5, None, 0.1 + 0.2] * 20,
            "이름": ["가, 나", 'say "x"', "a\nb"] * 20,
            "word": ["x", "y", "z"] * 20,
            "yes": [True, False, True] * 20,
        }
    )
    data = frame.to_csv(index=index, na_rep=na_rep, quoting=quoting).encode(encoding)
    _taken(data)
