"""Segments give back what was put into them, hold what is shared once, and trust no bytes."""

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.columns import (
    Column,
    Layout,
    Parsed,
    Placement,
    SegmentWriter,
    format_placement,
    format_rows,
    format_tables,
    load_segment,
    parse,
    parse_placement,
    to_pandas,
)
from sojourn.columns.batches import MOST_ROWS

LAYOUT = Layout(
    delimiter=",",
    newline="\n",
    columns=(
        Column(name="t", kind="text"),
        Column(name="x", kind="decimal", decimals=1),
        Column(name="n", kind="integer"),
        Column(name="b", kind="boolean"),
    ),
)


def _table(values: Sequence[int | None], *, stamps: list[str] | None = None) -> Parsed:
    count = len(values)
    columns = (
        pa.array(stamps or [f"T-{count - at}" for at in range(count)]),
        pa.array(values, pa.int32()),
        pa.array([None if value is None else value << 40 for value in values], pa.int64()),
        pa.array([value is None or value % 3 == 0 for value in values]),
    )
    return Parsed(layout=LAYOUT, columns=columns, rows=count, ends_with_newline=True)


def test_floats_that_are_equal_and_written_otherwise_are_not_shared() -> None:
    layout = Layout(delimiter=",", newline="\n", columns=(Column(name="f", kind="float"),))
    tables = [b"f\n0.0\n0.25\n1e-05\n", b"f\n-0.0\n0.25\n1e-05\n", b"f\n-0.0\n0.25\n1e-05\n7.5\n"]
    writer = SegmentWriter(layout)
    parsed = [parse(table, delimiter=",", layout=layout) for table in tables]
    placements = [_placed(writer, table) for table in parsed if table is not None]
    segment = load_segment(writer.dump(), layout)
    assert [placement.starts for placement in placements] == [((1, 0),), ((1, 3),), ((1, 3),)]
    for table, placement in zip(tables, placements, strict=True):
        columns = segment.columns(placement)
        assert format_rows(layout, columns, header=True, final_newline=True) == table
        expected = pd.read_csv(io.BytesIO(table))
        pd.testing.assert_frame_equal(to_pandas(layout, columns), expected, check_exact=True)


def _text(columns: tuple[pa.Array, ...]) -> bytes:
    return format_rows(LAYOUT, columns, header=True, final_newline=True)


def _placed(writer: SegmentWriter, table: Parsed) -> Placement:
    placement = writer.add(table)
    assert placement is not None
    return placement


def test_a_window_a_few_rows_on_adds_a_few_rows() -> None:
    writer = SegmentWriter(LAYOUT)
    values: list[int | None] = [at * at % 1009 for at in range(200)]
    windows = [_table(values[start : start + 100]) for start in (0, 7, 7, 19, 20)]
    placements = [_placed(writer, window) for window in windows]
    assert [placement.starts for placement in placements] == [
        ((4, 0),),
        ((1, 0), (3, 7)),
        ((1, 0), (3, 7)),
        ((1, 0), (3, 19)),
        ((1, 0), (3, 20)),
    ]
    segment = load_segment(writer.dump(), LAYOUT)
    assert [_text(segment.columns(p)) for p in placements] == [_text(w.columns) for w in windows]
    strips = pa.ipc.open_file(writer.dump()).get_batch(0)
    assert [len(strip[0]) for strip in strips.columns] == [100, 120, 120, 120]


def test_a_window_inside_of_the_one_before_adds_nothing() -> None:
    writer = SegmentWriter(LAYOUT)
    values: list[int | None] = [at * 37 % 1009 for at in range(100)]
    stamps = [str(value) for value in values]
    for start, stop in ((0, 100), (20, 60), (30, 70), (50, 100)):
        table = _table(values[start:stop], stamps=stamps[start:stop])
        assert _placed(writer, table).starts == ((4, start),)


def test_pandas_and_arrow_open_a_segment() -> None:
    writer = SegmentWriter(LAYOUT)
    writer.add(_table([1, 2]))
    data = writer.dump()
    frame = pd.read_feather(io.BytesIO(data))
    assert [list(frame[name][0]) for name in ("t", "x")] == [["T-2", "T-1"], [1, 2]]
    assert pa.ipc.open_file(data).read_all().num_rows == 1


def test_columns_share_the_memory_of_the_segment() -> None:
    writer = SegmentWriter(LAYOUT)
    placement = _placed(writer, _table(list(range(10_000))))
    segment = load_segment(writer.dump(), LAYOUT)
    before = pa.total_allocated_bytes()
    columns = segment.columns(placement)
    assert pa.total_allocated_bytes() == before
    assert to_pandas(LAYOUT, columns).shape == (10_000, 4)


def test_a_writer_does_not_keep_whole_tables_for_a_few_rows() -> None:
    writer = SegmentWriter(LAYOUT)
    values: list[int | None] = [at * at % 100_003 for at in range(30_000)]
    writer.add(_table(values[:20_000]))
    before = pa.total_allocated_bytes()
    for start in range(7, 700, 7):
        writer.add(_table(values[start : start + 20_000]))
    assert pa.total_allocated_bytes() - before < 3 << 20


def test_a_full_segment_takes_nothing_more() -> None:
    writer = SegmentWriter(LAYOUT, target_bytes=2000)
    large, other = _table(list(range(1000))), _table(list(range(500, 530)))
    assert writer.add(large) is not None  # a table is never split
    data = writer.dump()
    assert writer.add(_table([-1, -2, -3], stamps=["a", "b", "c"])) is None
    assert writer.dump() == data
    assert writer.add(large) is not None
    assert writer.add(other) is None


def test_tables_of_another_layout_are_refused() -> None:
    parsed = parse(b"a\n1\n", delimiter=",")
    assert parsed is not None
    with pytest.raises(ValueError, match="another"):
        SegmentWriter(LAYOUT).add(parsed)


def test_a_segment_without_a_table_is_none() -> None:
    with pytest.raises(ValueError, match="without a table"):
        SegmentWriter(LAYOUT).dump()


_values = st.lists(st.integers(-3, 9) | st.none(), min_size=1, max_size=12)


@st.composite
def _sequences(draw: st.DrawFn) -> list[Parsed]:
    """Tables of which each is a window on the one before, the same, or another."""
    pool = draw(st.lists(st.integers(-99, 99) | st.none(), min_size=60, max_size=60))
    tables, start = [], 0
    for _ in range(draw(st.integers(1, 6))):
        start = min(start + draw(st.integers(0, 9)), 40)
        values = pool[start : start + draw(st.integers(1, 20))]
        values = draw(st.sampled_from([values, values, draw(_values)]))
        named = [f"{value}" for value in values]
        tables.append(_table(values, stamps=draw(st.sampled_from([None, named]))))
        if draw(st.booleans()):
            tables.append(tables[-1])
    return tables


@given(_sequences())
def test_any_sequence_of_tables_comes_back(tables: list[Parsed]) -> None:
    writer, again = SegmentWriter(LAYOUT), SegmentWriter(LAYOUT)
    placements = [_placed(writer, table) for table in tables]
    assert [again.add(table) for table in tables] == placements
    data = writer.dump()
    assert again.dump() == data
    segment = load_segment(data, LAYOUT)
    for table, placement in zip(tables, placements, strict=True):
        assert parse_placement(format_placement(placement)) == placement
        columns = segment.columns(placement)
        assert [c.to_pylist() for c in columns] == [c.to_pylist() for c in table.columns]
        assert _text(columns) == _text(table.columns)
    together = list(format_tables(LAYOUT, segment, placements))
    alone = [
        format_rows(LAYOUT, table.columns, header=False, final_newline=True) for table in tables
    ]
    assert together == alone


@pytest.mark.parametrize("rows", [1, 5_000, MOST_ROWS, MOST_ROWS + 1])
def test_tables_are_written_together_whatever_their_length(rows: int) -> None:
    values = [row % 1_000 for row in range(rows)]
    tables = [
        _table(list(values)),
        _table(values[rows // 2 :] + values),
        _table([7]),
        _table(values),
    ]
    data, placements = _segment_of(*tables)
    together = list(format_tables(LAYOUT, load_segment(data, LAYOUT), placements))
    assert together == [
        format_rows(LAYOUT, table.columns, header=False, final_newline=True) for table in tables
    ]


def test_a_table_that_its_segment_lacks_is_not_written() -> None:
    data, (placement, *_) = _segment_of(_table([1, 2, 3]))
    beyond = Placement(rows=placement.rows + 1, starts=placement.starts)
    with pytest.raises(ValueError, match="from row 0 on"):
        list(format_tables(LAYOUT, load_segment(data, LAYOUT), [placement, beyond]))


def _segment_of(*tables: Parsed) -> tuple[bytes, list[Placement]]:
    writer = SegmentWriter(LAYOUT)
    placements = [_placed(writer, table) for table in tables]
    return writer.dump(), placements


SMALL, PLACES = _segment_of(_table([1, None, 3, 4]), _table([3, 4, 5], stamps=["가", "", "c"]))


def _read_whole(data: bytes) -> None:
    """Touch all that a reader would."""
    segment = load_segment(data, LAYOUT)
    for placement in PLACES:
        try:
            columns = segment.columns(placement)
        except ValueError:
            continue
        _text(columns)
        to_pandas(LAYOUT, columns)


@settings(max_examples=1000)
@given(at=st.integers(0, len(SMALL) - 1), flip=st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_harmless(at: int, flip: int) -> None:
    damaged = bytearray(SMALL)
    damaged[at] ^= flip
    try:
        _read_whole(bytes(damaged))
    except ValueError:
        return


def test_a_segment_that_is_cut_is_refused_or_whole() -> None:
    stream_ends = SMALL.rindex(b"\xff\xff\xff\xff\0\0\0\0")
    for size in range(stream_ends):
        try:
            _read_whole(SMALL[:size])
        except ValueError:
            continue
        # Only what stands behind the values may be missing.
        assert size > stream_ends - 64


def _file_of(batch: pa.RecordBatch, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


BATCH = pa.ipc.open_file(SMALL).get_batch(0)


def _with_column(at: int, values: pa.Array) -> pa.RecordBatch:
    return BATCH.set_column(at, BATCH.schema.names[at], values)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no Arrow file"),
        (b"ARROW1\0\0", "cannot be read: "),
        (_file_of(BATCH, compression="zstd"), "it is compressed"),
        (_file_of(BATCH.slice(0, 0)), "not one row"),
        (_file_of(BATCH.select(["t", "x", "n"])), "other columns"),
        (_file_of(BATCH.rename_columns(["t", "x", "n", "c"])), "other columns"),
        (_file_of(_with_column(1, pa.array([[0.5]]))), "'x' is decimal and was given as double"),
        (_file_of(_with_column(1, pa.array([[0.5]], pa.list_(pa.float32())))), "'x' lists what"),
        (_file_of(_with_column(0, pa.array(["x"]))), "'t' is no list"),
        (_file_of(_with_column(1, pa.array([["x"]]))), "'x' is decimal and was given as string"),
        (_file_of(_with_column(1, pa.array([[1]], pa.list_(pa.uint32())))), "'x' lists what"),
        (_file_of(_with_column(0, pa.array([["x", None]]))), "'t' is text and lacks values"),
        (_file_of(_with_column(2, pa.array([None], pa.list_(pa.int64())))), "no length"),
    ],
)
def test_a_file_that_is_no_segment_of_these_tables_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load_segment(data, LAYOUT)


@pytest.mark.parametrize(
    "placement",
    [
        Placement(rows=5, starts=((4, 0),)),
        Placement(rows=4, starts=((3, 0), (1, 4))),
        Placement(rows=4, starts=((4, -1),)),
        Placement(rows=4, starts=((3, 0),)),
        Placement(rows=1, starts=((5, 0),)),
    ],
)
def test_rows_that_a_segment_does_not_have_are_refused(placement: Placement) -> None:
    segment = load_segment(_segment_of(_table([1, 2, 3, 4]))[0], LAYOUT)
    with pytest.raises(ValueError, match="A table "):
        segment.columns(placement)


@pytest.mark.parametrize(
    "document",
    [None, 3, {}, [], [1], [1, 2], [0, 1, 0], [1, 0, 0], [1, 1, -1], [1, True, 0], [1, 1, 1 << 31]],
)
def test_a_damaged_placement_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="place in a segment"):
        parse_placement(document)


def test_a_placement_that_claims_many_columns_costs_nothing() -> None:
    segment = load_segment(SMALL, LAYOUT)
    with pytest.raises(ValueError, match="columns"):
        segment.columns(Placement(rows=1, starts=((2**31 - 1, 0),) * 1000))
