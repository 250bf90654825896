"""Count rows and columns of a table while its bytes pass by; of Parquet they stand at the end."""

from __future__ import annotations

import io
import json
from typing import Protocol

import pyarrow as pa

from sojourn.dataset.tables import Shape, TableCounter, delimiter_of
from sojourn.units import MIB

_PARQUET = (".parquet", ".pq")
# A footer takes some hundred bytes for each column of each group of rows.
_LONGEST_FOOTER_BYTES = 1 * MIB


class Counter(Protocol):
    """Takes a file's bytes in pieces of any size and tells its shape at the end."""

    def update(self, data: bytes) -> None:
        """Take the next piece."""
        ...

    def finish(self) -> Shape | None:
        """Return the shape that pandas reads; None where it cannot be told."""
        ...


def counter_of(path: str) -> Counter | None:
    """Return what counts a file with this name; None if nothing does."""
    if path.lower().endswith(_PARQUET):
        return FooterCounter()
    delimiter = delimiter_of(path)
    return None if delimiter is None else TableCounter(delimiter)


class FooterCounter:
    """Counts a Parquet file."""

    def __init__(self) -> None:
        self._tail = b""
        self._size_bytes = 0

    def update(self, data: bytes) -> None:
        """Take the next piece."""
        self._size_bytes += len(data)
        self._tail = (self._tail + data)[-_LONGEST_FOOTER_BYTES:]

    def finish(self) -> Shape | None:
        """Return the shape that pandas reads; None where it cannot be told."""
        from pyarrow import parquet

        try:
            metadata = parquet.read_metadata(_Tail(self._tail, self._size_bytes))
            names = metadata.schema.to_arrow_schema().names
            index = json.loads((metadata.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
        except KeyError:  # not written by pandas
            index = []
        except (pa.ArrowException, OSError, ValueError, TypeError):
            return None
        # An index of mere numbers is no column; another is one, and pandas takes it out again.
        columns = len(names) - sum(name in names for name in index if isinstance(name, str))
        return Shape(rows=metadata.num_rows, columns=columns)


class _Tail(io.BytesIO):
    """A file of which only the end is there."""

    def __init__(self, tail: bytes, size_bytes: int) -> None:
        super().__init__(tail)
        self._missing_bytes = size_bytes - len(tail)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place of the whole file.

        Raises:
            ValueError: it is not there.
        """
        if whence == io.SEEK_SET:
            offset -= self._missing_bytes
        return super().seek(offset, whence) + self._missing_bytes

    def tell(self) -> int:
        """Return the place in the whole file."""
        return super().tell() + self._missing_bytes
