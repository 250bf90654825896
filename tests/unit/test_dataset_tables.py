import csv
import io

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sojourn.dataset.tables import Shape, TableCounter, delimiter_of


def _shape(data: bytes, delimiter: str = ",", piece: int = 1 << 20) -> Shape | None:
    counter = TableCounter(delimiter)
    for at in range(0, len(data), piece):
        counter.update(data[at : at + piece])
    return counter.finish()


@pytest.mark.parametrize(
    ("data", "rows", "columns"),
    [
        (b"a,b\n1,2\n3,4\n", 2, 2),
        (b"a,b\n1,2\n3,4", 2, 2),
        (b"a,b\r\n1,2\r\n", 1, 2),
        (b"a,b\r1,2\r3,4", 2, 2),
        (b"a\n", 0, 1),
        (b"a", 0, 1),
        (b"\n\na,b\n\n1,2\n\n\n", 1, 2),
        (b'a,"b\nb"\n1,"x\ny\nz"\n', 1, 2),
        (b'"a ""q"" a",b\n"1\n",2\n', 1, 2),
        (b'a,b\n5" pipe,2\n6" pipe,2\n', 2, 2),
        (b"\xef\xbb\xbfa,b,c\n1,2,3\n", 1, 3),
        (b"a,b\n , \n,\n", 2, 2),
        (b"a,b\n  \n1,2\n", 1, 2),
        ("이름,값\n가,1\n".encode(), 1, 2),
    ],
)
def test_rows_and_columns(data: bytes, rows: int, columns: int) -> None:
    for piece in (1, 2, 3, 7, 1 << 20):
        assert _shape(data, piece=piece) == Shape(rows=rows, columns=columns)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"  \n", b'a,b\n1,"open\n2,3\n', b"a,b\n1,\x002\n", b"x" * (3 << 20)]
)
def test_what_cannot_be_told_is_not(data: bytes) -> None:
    assert _shape(data) is None


def test_a_tab_separates_where_the_name_says_so() -> None:
    assert delimiter_of("a/b.tsv") == "\t"
    assert delimiter_of("a/B.CSV") == ","
    assert delimiter_of("a.csv/b") is None
    assert _shape(b"a\tb,c\n1\t2\n\t\n", "\t") == Shape(rows=2, columns=2)


_field = st.text(st.sampled_from('a1 ,"\n\r\t;'), max_size=5)


@given(
    records=st.lists(st.lists(_field, min_size=2, max_size=2), min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    piece=st.integers(1, 40),
)
@example(records=[["a", "b"], ["", "\r"]], end="\n", piece=1)
def test_it_counts_what_pandas_reads(records: list[list[str]], end: str, piece: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(records)
    data = text.getvalue().encode()
    table = pd.read_csv(io.BytesIO(data), header=None, dtype=str)
    assert _shape(data, piece=piece) == Shape(rows=len(table) - 1, columns=table.shape[1])


@given(lines=st.lists(st.sampled_from(["", " ", "1,2", '"x",2', " 3,4", "5 ,6", ",", "\t"])))
def test_blank_lines_are_skipped_as_pandas_skips_them(lines: list[str]) -> None:
    data = "\n".join(["a,b", *lines]).encode()
    assert _shape(data) == Shape(rows=len(pd.read_csv(io.BytesIO(data))), columns=2)
