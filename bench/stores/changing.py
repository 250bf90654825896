"""A data set of which one file is another for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sets import DataSet

_REPEATED_BYTES = 100


@contextmanager
def one_file_changed(data: DataSet) -> Iterator[None]:
    """Repeat the end of a file in the middle of the set, and put the file back as it was."""
    path = data.folder / data.changing
    kept = path.read_bytes()
    try:
        path.write_bytes(kept + kept[-_REPEATED_BYTES:])
        yield
    finally:
        path.write_bytes(kept)
