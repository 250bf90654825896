"""Columns of many tables in one Arrow file, in which what the tables share stands once.

The file has one row. Its columns are those of the tables, and each holds a list: a strip, in which
a table has a stretch. So a table whose window lies a few rows after the last one's adds a few rows.
Any reader of Arrow or Feather files opens it. Buffers are not compressed: what keeps a segment
does that. It is no file on a disk here, only its bytes.

    table 0   aabbccdd              strip of column 0   aabbccddee
    table 1     bbccddee            placements          (8, ((1, 0),)), (8, ((1, 2),))
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sojourn.columns.placing import MAX_ROWS, PROBE_ROWS, Placement, Strip, run_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.columns.layout import Column, Layout
    from sojourn.columns.parsing import Parsed

TARGET_BYTES = 16 << 20

_MAGIC = b"ARROW1\0\0"
_ITEM_TYPES = {
    "integer": (pa.int32(), pa.int64()),
    "decimal": (pa.int32(), pa.int64()),
    "text": (pa.string(),),
    "boolean": (pa.bool_(),),
}
# Fields of the tables of Arrow's format. Source:
# https://github.com/apache/arrow/blob/main/format/Message.fbs
_MESSAGE_HEADER, _BATCH_COMPRESSION = 2, 3


class SegmentWriter:
    """Takes tables of one layout until there is enough.

    Args:
        layout: Of all tables.
        target_bytes: How large the strips may grow; a single table may be larger.
    """

    def __init__(self, layout: Layout, *, target_bytes: int = TARGET_BYTES) -> None:
        self._layout = layout
        self._target_bytes = target_bytes
        self._strips = tuple(Strip() for _ in layout.columns)
        self._bytes = 0
        self._rows = 0
        self._shift = 0

    def add(self, parsed: Parsed) -> Placement | None:
        """Take a table and return where it lies; None, and nothing is taken, if it is too much.

        Raises:
            ValueError: the table has another layout.
        """
        if parsed.layout != self._layout:
            raise ValueError("A segment holds tables of one layout, and this one has another.")
        shifts = self._shifts(parsed.columns)
        lacking = [
            strip.lacking(column, shift)
            for strip, column, shift in zip(self._strips, parsed.columns, shifts, strict=True)
        ]
        new_bytes = sum(values.nbytes for values in lacking)
        new_rows = max(map(len, lacking))
        is_full = self._bytes + new_bytes > self._target_bytes or self._rows + new_rows > MAX_ROWS
        if self._rows and is_full:
            return None
        self._bytes += new_bytes
        self._rows += new_rows
        starts = [
            strip.add(column, shift)
            for strip, column, shift in zip(self._strips, parsed.columns, shifts, strict=True)
        ]
        return Placement(rows=parsed.rows, starts=run_lengths(starts))

    def dump(self) -> bytes:
        """Return the segment; the same tables in the same order give the same bytes.

        Raises:
            ValueError: no table was taken.
        """
        if not self._rows:
            raise ValueError("A segment without a table cannot be written.")
        lists = [_list_of(strip.values()) for strip in self._strips]
        batch = pa.record_batch(lists, names=[column.name for column in self._layout.columns])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as file:
            file.write_batch(batch)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def _shifts(self, columns: Sequence[pa.Array]) -> list[int | None]:
        """Return where each column begins in the newest table; None for one that does not."""
        pairs = list(zip(self._strips, columns, strict=True))
        still = [strip.fits(column, 0) for strip, column in pairs]
        moved = [pair for pair, is_still in zip(pairs, still, strict=True) if not is_still]
        if moved and not any(strip.fits(column, self._shift) for strip, column in moved):
            # Where values repeat much fits by chance; the column that says most decides for all.
            strip, column = max(moved, key=lambda pair: _variety(pair[1]))
            self._shift = strip.find_shift(column) or self._shift
        return [
            0 if is_still else self._shift if strip.fits(column, self._shift) else None
            for (strip, column), is_still in zip(pairs, still, strict=True)
        ]


class Segment:
    """The strips of a segment. Get one with `load_segment`."""

    def __init__(self, strips: Sequence[pa.Array]) -> None:
        self._strips = tuple(strips)

    def columns(self, placement: Placement) -> tuple[pa.Array, ...]:
        """Return the columns of a table, which share the segment's memory.

        Raises:
            ValueError: the segment has no such rows.
        """
        starts = [start for count, start in placement.starts for _ in range(count)]
        if len(starts) != len(self._strips):
            raise ValueError(
                f"A table of {len(starts)} columns is in no segment of {len(self._strips)}."
            )
        for start, strip in zip(starts, self._strips, strict=True):
            if start < 0 or placement.rows < 0 or start + placement.rows > len(strip):
                raise ValueError(
                    f"A table has {placement.rows} rows from row {start} on, and its segment "
                    f"ends at row {len(strip)}."
                )
        return tuple(
            strip.slice(start, placement.rows)
            for start, strip in zip(starts, self._strips, strict=True)
        )


def load_segment(data: bytes, layout: Layout) -> Segment:
    """Read what `SegmentWriter.dump` made, trusting none of it.

    Args:
        data: The whole segment; what is returned shares its memory.
        layout: Of its tables.

    Raises:
        ValueError: it is damaged, or of another layout.
    """
    try:
        return Segment(_strips(data, layout))
    except (pa.ArrowException, OSError, StopIteration, MemoryError, struct.error) as error:
        raise ValueError(f"A segment cannot be read: {error}") from error


def _strips(data: bytes, layout: Layout) -> list[pa.Array]:
    if not data.startswith(_MAGIC):
        raise ValueError("A segment is no Arrow file.")
    # Between its magic and its footer such a file is a stream. To read that shows each message
    # before anything in it is believed.
    stream = pa.ipc.MessageReader.open_stream(pa.py_buffer(data).slice(len(_MAGIC)))
    schema = pa.ipc.read_schema(stream.read_next_message())
    if schema.names != [column.name for column in layout.columns]:
        raise ValueError("A segment has other columns than its tables.")
    for column, field in zip(layout.columns, schema, strict=True):
        if not _is_strip_type(field.type, column):
            raise ValueError(f"{column.name!r} is {column.kind}, and {field.type} in its segment.")
    message = stream.read_next_message()
    if message.type != "record batch" or _is_compressed(message.metadata):
        raise ValueError("A segment has no uncompressed rows.")
    batch = pa.ipc.read_record_batch(message, schema)
    batch.validate(full=True)
    if batch.num_rows != 1:
        raise ValueError(f"A segment has {batch.num_rows} rows instead of one.")
    columns = zip(layout.columns, batch.columns, strict=True)
    return [_values_of(column, lists) for column, lists in columns]


def _is_strip_type(type_: pa.DataType, column: Column) -> bool:
    return pa.types.is_list(type_) and type_.value_type in _ITEM_TYPES[column.kind]


def _values_of(column: Column, lists: pa.ListArray) -> pa.Array:
    values = lists.flatten()
    if lists.null_count or (values.null_count and column.kind in ("text", "boolean")):
        raise ValueError(f"{column.name!r} lacks values in its segment.")
    return values


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Tell whether a record batch says that its buffers are compressed.

    Arrow would allocate whatever such a buffer claims to become. It offers no way to ask, so this
    follows the offsets itself. Source: https://flatbuffers.dev/internals/
    """
    raw = memoryview(metadata)
    message = struct.unpack_from("<I", raw, 0)[0]
    header = _find_field(raw, message, _MESSAGE_HEADER)
    if header is None:
        return False
    batch = header + struct.unpack_from("<I", raw, header)[0]
    return _find_field(raw, batch, _BATCH_COMPRESSION) is not None


def _find_field(raw: memoryview, table: int, field: int) -> int | None:
    vtable = table - struct.unpack_from("<i", raw, table)[0]
    entry = 4 + 2 * field
    if vtable < 0 or entry + 2 > struct.unpack_from("<H", raw, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", raw, vtable + entry)[0]
    return table + offset if offset else None


def _list_of(values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _variety(column: pa.Array) -> int:
    count: int = pc.count_distinct(column.slice(0, PROBE_ROWS)).as_py()
    return count
