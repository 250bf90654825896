"""What is in an archive, for servers of the tests that unpack."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import IO, TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def contents_of_archive(path: Path, ending: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the content of each file in an archive.

    Args:
        path: The archive.
        ending: What it is: ".zip", or a tar archive, also compressed with zstd (".tar.zst").
    """
    if ending == ".zip":
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, archive.open(entry)
        return
    data = path.read_bytes()
    if ending.endswith(".zst"):
        # A shard has many frames.
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content
