"""A zip archive in a store, read by range: its list of files, and single ones of them."""

from __future__ import annotations

import io
import struct
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections import OrderedDict
from typing import IO, TYPE_CHECKING

from sojourn.errors import IntegrityError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What is before an entry's data: 30 bytes, its name, and what the archiver adds.
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7
_HEADER = struct.Struct("<4s5H3L2H")
_MAGIC = b"PK\x03\x04"
_PART_BYTES = 8 << 20
# The list of files at the end of an archive is read in steps of this.
_READ_BYTES = 256 << 10
# Larger files are unpacked to the disk, and kept there for the next range of them.
_SMALL_BYTES = 8 << 20
_ENTRIES_KEPT = 4
_MARGIN_BYTES = 64


class RemoteZip:
    """A zip archive that is fetched by range. May be used from several threads at once.

    Args:
        fetch: Returns bytes from an offset on, so many of them.
        size_bytes: Of the archive.
        name: What the archive is called in errors.

    Raises:
        IntegrityError: it is no zip archive.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], *, size_bytes: int, name: str) -> None:
        self._fetch = fetch
        self._name = name
        self._lock = threading.Lock()
        self._data_offsets: dict[str, int] = {}
        self._unpacked: OrderedDict[str, IO[bytes]] = OrderedDict()
        # An archive is not closed by anybody; what it unpacked goes with it.
        weakref.finalize(self, _close_all, self._unpacked)
        try:
            with zipfile.ZipFile(_Reader(fetch, size_bytes)) as archive:
                self._entries = {e.filename: e for e in archive.infolist() if not e.is_dir()}
        except zipfile.BadZipFile as error:
            raise self._damaged("its list of files cannot be read") from error

    def sizes(self) -> dict[str, int]:
        """Return how large each file is, in bytes, by name."""
        return {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file, fewer bytes where it ends sooner.

        Raises:
            KeyError: the archive has no such file.
            IntegrityError: it does not unpack.
            StoreError: it is packed in a way that is not known here.
        """
        entry = self._entries[name]
        size_bytes = max(0, min(size_bytes, entry.file_size - offset))
        if size_bytes == 0:
            return b""
        if entry.compress_type == zipfile.ZIP_STORED:
            return self._packed(entry, offset, size_bytes)
        if entry.file_size <= _SMALL_BYTES:
            whole = b"".join(self._unpacked_parts(entry))
            return whole[offset : offset + size_bytes]
        with self._lock:
            unpacked = self._unpack_once(entry)
            unpacked.seek(offset)
            return unpacked.read(size_bytes)

    def _unpack_once(self, entry: zipfile.ZipInfo) -> IO[bytes]:
        unpacked = self._unpacked.get(entry.filename)
        if unpacked is None:
            # It has no name, so that nothing of it is left however this process ends.
            unpacked = tempfile.TemporaryFile(prefix="sojourn-")  # noqa: SIM115 - kept open
            try:
                for data in self._unpacked_parts(entry):
                    unpacked.write(data)
            except BaseException:
                unpacked.close()
                raise
            self._unpacked[entry.filename] = unpacked
            while len(self._unpacked) > _ENTRIES_KEPT:
                self._unpacked.popitem(last=False)[1].close()
        self._unpacked.move_to_end(entry.filename)
        return unpacked

    def _unpacked_parts(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        if entry.compress_type != zipfile.ZIP_DEFLATED or entry.flag_bits & 1:
            raise StoreError(
                f"{entry.filename} in {self._name} is packed in a way that is not read here.",
                remedy="Fetch it with the store's own client.",
            )
        decoder, crc, found_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        try:
            for at in range(0, entry.compress_size, _PART_BYTES):
                part_bytes = min(_PART_BYTES, entry.compress_size - at)
                data = decoder.decompress(self._packed(entry, at, part_bytes))
                crc = zlib.crc32(data, crc)
                found_bytes += len(data)
                yield data
            data = decoder.flush()
        except zlib.error as error:
            raise self._damaged(f"{entry.filename} does not unpack") from error
        found_bytes += len(data)
        if zlib.crc32(data, crc) != entry.CRC or found_bytes != entry.file_size:
            raise self._damaged(f"{entry.filename} does not match its checksum")
        yield data

    def _packed(self, entry: zipfile.ZipInfo, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file as it is in the archive."""
        known = self._data_offsets.get(entry.filename)
        if known is not None:
            return self._fetch(known + offset, size_bytes)
        # Where the data begins is said by a header before it, fetched with it in one request. What
        # is added to that header differs from what is in the list, most often by little.
        margin = _HEADER.size + len(entry.filename.encode()) + len(entry.extra) + _MARGIN_BYTES
        data = self._fetch(entry.header_offset, margin + (size_bytes if offset == 0 else 0))
        if len(data) < _HEADER.size or not data.startswith(_MAGIC):
            raise self._damaged(f"{entry.filename} is not where the list says")
        *_, name_bytes, extra_bytes = _HEADER.unpack_from(data)
        start = _HEADER.size + int(name_bytes) + int(extra_bytes)
        self._data_offsets[entry.filename] = entry.header_offset + start
        found = data[start : start + size_bytes] if offset == 0 else b""
        missing_bytes = size_bytes - len(found)
        if missing_bytes <= 0:
            return found
        at = entry.header_offset + start + offset + len(found)
        return found + self._fetch(at, missing_bytes)

    def _damaged(self, why: str) -> IntegrityError:
        return IntegrityError(
            f"The archive {self._name} is damaged: {why}.",
            remedy="Read it again, or ask its owner.",
        )


def _close_all(files: OrderedDict[str, IO[bytes]]) -> None:
    for file in files.values():
        file.close()


class _Reader(io.RawIOBase):
    """The archive as a file to `zipfile`, which reads the list of files at its end."""

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._at = 0
        self._kept = b""
        self._kept_at = 0

    def read(self, size: int = -1) -> bytes:
        left = self._size_bytes - self._at
        size = left if size < 0 else min(size, left)
        inside = self._kept_at <= self._at <= self._at + size <= self._kept_at + len(self._kept)
        if size > 0 and not inside:
            # Steps that end at the archive's end, where the list is.
            steps = -(-(self._size_bytes - self._at) // _READ_BYTES)
            self._kept_at = max(0, self._size_bytes - steps * _READ_BYTES)
            self._kept = self._fetch(
                self._kept_at, max(_READ_BYTES, self._at + size - self._kept_at)
            )
        start = self._at - self._kept_at
        self._at += size
        return self._kept[start : start + size] if size > 0 else b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
