"""The one row of lists in an Arrow file, read with every offset checked.

Arrow's own reader believes what a file says of itself: one with a few wrong bytes in its schema can
end the process, or make it allocate whatever is claimed. This reads the little that a segment is
made of and refuses the rest: lists of int32, int64, float64, string or bool, not compressed,
little-endian.
What it returns shares the file's memory and is valid through and through. Writing is Arrow's part.

Between its magic and its footer such a file is a stream: a message with the schema, and one with
the row, each a size, a flatbuffer and a body. Source:
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
and the schemas in https://github.com/apache/arrow/tree/main/format (Message.fbs, Schema.fbs).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from sojourn.columns.placing import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"ARROW1\0\0"
_CONTINUATION = 0xFFFFFFFF
_ALIGNMENT = 8

# Fields of the tables and members of the unions in Arrow's schemas.
_MESSAGE_HEADER_TYPE, _MESSAGE_HEADER, _MESSAGE_BODY_LENGTH = 1, 2, 3
_HEADER_SCHEMA, _HEADER_RECORD_BATCH = 1, 3
_SCHEMA_ENDIANNESS, _SCHEMA_FIELDS = 0, 1
_FIELD_NAME, _FIELD_TYPE_TYPE, _FIELD_TYPE, _FIELD_DICTIONARY, _FIELD_CHILDREN = 0, 2, 3, 4, 5
_TYPE_INT, _TYPE_FLOAT, _TYPE_LIST = 2, 3, 12
_ITEM_TYPES = {5: pa.string(), 6: pa.bool_()}
_INT_BIT_WIDTH, _INT_IS_SIGNED = 0, 1
_INTEGER_TYPES = {32: pa.int32(), 64: pa.int64()}
_FLOAT_PRECISION = 0
_FLOAT_TYPES = {2: pa.float64()}
_BATCH_LENGTH, _BATCH_NODES, _BATCH_BUFFERS, _BATCH_COMPRESSION = 0, 1, 2, 3


def read_strips(data: bytes | memoryview) -> list[tuple[str, pa.Array]]:
    """Return the name and the list of each column.

    Raises:
        ValueError: this is not such a file, or it is damaged.
    """
    if bytes(data[: len(_MAGIC)]) != _MAGIC:
        raise ValueError("it is no Arrow file")
    try:
        schema, start = _message(data, len(_MAGIC), _HEADER_SCHEMA)
        rows, body_start = _message(data, start, _HEADER_RECORD_BATCH)
        fields = list(_fields(schema.header))
        body = pa.py_buffer(data).slice(body_start, rows.body_bytes)
        lists = _Batch(message=rows, body=body).lists([type_ for _, type_ in fields])
        return [(name, values) for (name, _), values in zip(fields, lists, strict=True)]
    except (struct.error, pa.ArrowException) as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table of a flatbuffer. Source: https://flatbuffers.dev/internals/ ."""

    raw: memoryview
    at: int

    def number(self, field: int, form: str, default: int = 0) -> int:
        place = self._place(field)
        return default if place is None else _unpack(form, self.raw, place)

    def has(self, field: int) -> bool:
        return self._place(field) is not None

    def table(self, field: int) -> _Table:
        return _Table(raw=self.raw, at=self._target(field))

    def tables(self, field: int) -> Iterator[_Table]:
        start = self._target(field)
        for at in range(start + 4, start + 4 + 4 * _unpack("<I", self.raw, start), 4):
            yield _Table(raw=self.raw, at=at + _unpack("<I", self.raw, at))

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """Yield the members of a vector of structs of two int64."""
        start = self._target(field)
        for at in range(start + 4, start + 4 + 16 * _unpack("<I", self.raw, start), 16):
            yield _unpack("<q", self.raw, at), _unpack("<q", self.raw, at + 8)

    def text(self, field: int) -> str:
        start = self._target(field)
        end = start + 4 + _unpack("<I", self.raw, start)
        return bytes(self.raw[start + 4 : end]).decode()

    def _target(self, field: int) -> int:
        place = self._place(field)
        if place is None:
            raise ValueError("something is missing in it")
        return place + _unpack("<I", self.raw, place)

    def _place(self, field: int) -> int | None:
        fields = self.at - _unpack("<i", self.raw, self.at)
        entry = 4 + 2 * field
        if entry + 2 > _unpack("<H", self.raw, fields):
            return None
        offset = _unpack("<H", self.raw, fields + entry)
        return self.at + offset if offset else None


def _unpack(form: str, raw: memoryview, at: int) -> int:
    # struct would count what is negative from the end.
    if at < 0:
        raise ValueError("something in it lies before its beginning")
    number: int = struct.unpack_from(form, raw, at)[0]
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    header: _Table
    body_bytes: int


def _message(data: bytes | memoryview, at: int, kind: int) -> tuple[_Message, int]:
    """Return the message that begins there and where its body does."""
    raw = memoryview(data)
    mark, size = struct.unpack_from("<Ii", raw, at)
    start = at + 8
    if mark != _CONTINUATION or not 0 < size <= len(raw) - start:
        raise ValueError("it holds no message where one should be")
    metadata = raw[start : start + size]
    message = _Table(raw=metadata, at=_unpack("<I", metadata, 0))
    body_bytes = message.number(_MESSAGE_BODY_LENGTH, "<q")
    if message.number(_MESSAGE_HEADER_TYPE, "<B") != kind:
        raise ValueError("it holds another message where one should be")
    if not 0 <= body_bytes <= len(raw) - start - size or (start + size) % _ALIGNMENT:
        raise ValueError("a message in it is cut")
    return _Message(header=message.table(_MESSAGE_HEADER), body_bytes=body_bytes), start + size


def _fields(schema: _Table) -> Iterator[tuple[str, pa.DataType]]:
    """Yield each column's name and the type of its list's items."""
    if schema.number(_SCHEMA_ENDIANNESS, "<h"):
        raise ValueError("it is not little-endian")
    for field in schema.tables(_SCHEMA_FIELDS):
        name = field.text(_FIELD_NAME)
        if field.number(_FIELD_TYPE_TYPE, "<B") != _TYPE_LIST:
            raise ValueError(f"its column {name[:80]!r} is no list")
        children = list(field.tables(_FIELD_CHILDREN))
        if len(children) != 1:
            raise ValueError(f"its column {name[:80]!r} is a list of more than one thing")
        yield name, _item_type(children[0], name)


def _item_type(field: _Table, name: str) -> pa.DataType:
    code = field.number(_FIELD_TYPE_TYPE, "<B")
    found = _ITEM_TYPES.get(code)
    if code == _TYPE_INT:
        type_ = field.table(_FIELD_TYPE)
        is_signed = type_.number(_INT_IS_SIGNED, "<B")
        found = _INTEGER_TYPES.get(type_.number(_INT_BIT_WIDTH, "<i")) if is_signed else None
    if code == _TYPE_FLOAT:
        precision = field.table(_FIELD_TYPE).number(_FLOAT_PRECISION, "<h")
        found = _FLOAT_TYPES.get(precision)
    if found is None or field.has(_FIELD_DICTIONARY):
        raise ValueError(f"its column {name[:80]!r} lists what no column holds")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """The message with the row."""

    message: _Message
    body: pa.Buffer

    def lists(self, types: list[pa.DataType]) -> list[pa.Array]:
        """Return the items of each column's list."""
        header = self.message.header
        # Arrow would allocate whatever a compressed buffer claims to become.
        if header.has(_BATCH_COMPRESSION):
            raise ValueError("it is compressed")
        if header.number(_BATCH_LENGTH, "<q") != 1:
            raise ValueError("it has not one row")
        nodes, buffers = header.pairs(_BATCH_NODES), header.pairs(_BATCH_BUFFERS)
        lists = [self._list(type_, nodes, buffers) for type_ in types]
        if any(True for _ in nodes) or any(True for _ in buffers):
            raise ValueError("it has more columns than it says")
        return lists

    def _list(
        self,
        type_: pa.DataType,
        nodes: Iterator[tuple[int, int]],
        buffers: Iterator[tuple[int, int]],
    ) -> pa.Array:
        """Return the next list's items."""
        (rows, missing), (items, missing_items) = _next(nodes), _next(nodes)
        _next(buffers)  # which rows are there: the one
        offsets = self._buffer(_next(buffers))
        if rows != 1 or missing or not 0 <= items <= MAX_ROWS or not 0 <= missing_items <= items:
            raise ValueError("a list in it has no length")
        if struct.unpack_from("<2i", offsets, 0) != (0, items):
            raise ValueError("a list in it is not all of its items")
        presence = self._buffer(_next(buffers))
        parts = [presence if missing_items else None]
        parts += [self._buffer(_next(buffers)) for _ in range(type_.num_buffers - 1)]
        values = pa.Array.from_buffers(type_, items, parts, null_count=missing_items)
        values.validate(full=True)
        return values

    def _buffer(self, extent: tuple[int, int]) -> pa.Buffer:
        offset, size = extent
        if not 0 <= offset <= offset + size <= len(self.body) or offset % _ALIGNMENT:
            raise ValueError("values in it lie outside of it")
        return self.body.slice(offset, size)


def _next(pairs: Iterator[tuple[int, int]]) -> tuple[int, int]:
    found = next(pairs, None)
    if found is None:
        raise ValueError("it has fewer columns than it says")
    return found
