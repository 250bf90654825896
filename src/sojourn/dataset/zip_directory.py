"""The directory of a zip in a store, read by ranges: its end, then the directory, nothing else.

What it says is checked before anything is made of it: names lead nowhere outside, no two members
are one file or share bytes, none claims to unpack to more than deflate can make of its bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

from sojourn.dataset.foreign import ZipEntry
from sojourn.errors import IntegrityError, StoreError
from sojourn.units import KIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sojourn.stores.base import Store

# The end of a directory with the longest comment (22 + 65,535 bytes), and the records of zip64
# before it (56 + 20). Source: APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16.
_TAIL_BYTES = 22 + 65_535 + 76
# Some 2 million members. What claims more is not read into memory.
_LARGEST_DIRECTORY_BYTES = 256 * MIB
HEADER_BYTES = 30
"""Of a member's own header, without its name and what follows that (APPNOTE.TXT, 4.3.7)."""
HEADER_MAGIC = b"PK\x03\x04"
# Longer names cannot be files on Linux (PATH_MAX of limits.h); and with each folder above it
# written out, one of 64 KiB, which a zip may hold, takes a GiB.
_LONGEST_NAME_BYTES = 4096
# Source: zlib's technical notes (https://zlib.net/zlib_tech.html): at most 1032 to 1.
_MOST_INFLATED = 1032
_INFLATED_SLACK_BYTES = 64 * KIB

_ENCRYPTED = 0x1
_UTF8 = 0x800
_MADE_ON_DOS = 0
_MADE_ON_UNIX = 3
_FILE_MODE = 0o644
_MAY_BE_RUN = 0o111
_METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz"}

# The field of Info-ZIP with the name in UTF-8 (APPNOTE.TXT, 4.6.9).
_UNICODE_PATH = 0x7075

_REFUSALS = (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error, EOFError)


def read_zip_directory(store: Store, key: str, size_bytes: int) -> tuple[ZipEntry, ...]:
    """Return the files in a zip, in the order in which they lie in it.

    Args:
        store: Where it is.
        key: Its name there.
        size_bytes: How large it is.

    Raises:
        IntegrityError: it is no zip, or what it says of its members cannot be.
        StoreError: the store refused, or a member can only be had with a password or with methods
            that are not known here.
    """
    where = f"{store.url}/{key}"
    file = _RangedFile(store, key, size_bytes)
    try:
        archive = zipfile.ZipFile(file)
    except (IntegrityError, StoreError):
        raise
    except _REFUSALS as error:
        raise unusable(where, "it is no zip, or cut short") from error
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    names = dict(zip(map(id, infos), _decoded_names(infos), strict=True))
    rooms = _rooms(infos, archive.start_dir, where)
    entries = [
        _entry(info, names[id(info)], room_bytes, where)
        for info, room_bytes in zip(infos, rooms, strict=True)
        if not names[id(info)].endswith("/")
    ]
    _check_distinct([entry.name for entry in entries], where)
    return tuple(entries)


def unusable(where: str, why: str) -> IntegrityError:
    """Return the error for a zip that cannot be read."""
    return IntegrityError(
        f"The zip {where} cannot be used: {why}.",
        remedy="Ask whoever made it for a whole one; or get it with other tools, unpack what can "
        "be unpacked, and push that folder.",
    )


def _entry(info: zipfile.ZipInfo, name: str, room_bytes: int, where: str) -> ZipEntry:
    _check_name(name, info.orig_filename, where)
    shown = name[:200]
    if info.flag_bits & _ENCRYPTED:
        raise StoreError(
            f"{shown!r} in the zip {where} needs a password, and there is no way to give one.",
            remedy="Get the zip with other tools, unpack it, and push the folder.",
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise StoreError(
            f"{shown!r} in the zip {where} is packed with {method}, and only deflate is known.",
            remedy="Get the zip with other tools, unpack it, and push the folder.",
        )
    is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
    most_bytes = info.compress_size
    if is_deflated:
        most_bytes = info.compress_size * _MOST_INFLATED + _INFLATED_SLACK_BYTES
    if info.file_size > most_bytes or (not is_deflated and info.file_size != info.compress_size):
        raise unusable(
            where,
            f"{shown!r} claims to be {format_bytes(info.file_size)}, which "
            f"{format_bytes(info.compress_size)} cannot hold",
        )
    made_on_unix = info.create_system == _MADE_ON_UNIX
    may_be_run = (info.external_attr >> 16) & _MAY_BE_RUN if made_on_unix else 0
    return ZipEntry(
        name=name,
        raw_name=_raw_name(info),
        header_at=info.header_offset,
        room_bytes=room_bytes,
        packed_bytes=info.compress_size,
        size_bytes=info.file_size,
        crc32=info.CRC,
        is_deflated=is_deflated,
        mode=_FILE_MODE | may_be_run,
    )


def _rooms(infos: Sequence[zipfile.ZipInfo], directory_at: int, where: str) -> list[int]:
    """Return how many bytes there are from each member to the next.

    Raises:
        IntegrityError: a member has not the room that it needs: it lies outside, or in another.
    """
    starts = [*(info.header_offset for info in infos), directory_at]
    rooms = [following - start for start, following in pairwise(starts)]
    for info, room_bytes in zip(infos, rooms, strict=True):
        if info.header_offset < 0 or room_bytes < HEADER_BYTES + info.compress_size:
            raise unusable(where, f"{info.filename[:200]!r} lies across another, or outside of it")
    return rooms


def _check_name(name: str, original: str, where: str) -> None:
    if len(name.encode(errors="surrogateescape")) > _LONGEST_NAME_BYTES:
        raise unusable(where, f"the name {name[:80]!r}… is longer than {_LONGEST_NAME_BYTES} bytes")
    parts = name.split("/")
    is_drive = len(parts[0]) > 1 and parts[0][1] == ":"
    outside = any(part in ("", ".", "..") for part in parts) or is_drive
    if outside or "\0" in original or "\\" in name:
        raise unusable(where, f"{name[:200]!r} is no path inside of a folder")


def _check_distinct(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise unusable(where, f"{name[:200]!r} is in it twice")
        seen.add(name)


def _decoded_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the names, in the writing that they most likely are in."""
    unmarked = [_raw_name(info) for info in infos if not info.flag_bits & _UTF8]
    encoding = guess_encoding(unmarked)
    names: list[str] = []
    for info in infos:
        name = info.orig_filename
        if not info.flag_bits & _UTF8:
            name = _unicode_path(info) or _raw_name(info).decode(encoding)
        if info.create_system == _MADE_ON_DOS and "/" not in name:
            name = name.replace("\\", "/")
        names.append(name.removeprefix("./"))
    return names


def guess_encoding(names: Iterable[bytes]) -> str:
    """Return the encoding that names of a zip are in which does not say so.

    UTF-8 if all of them are; then cp949, in which Korean Windows writes them, if all of them are
    and most letters are the common ones of Hangul; else cp437, which the format prescribes.
    """
    raw = [name for name in names if not name.isascii()]
    if not raw:
        return "cp437"
    if all(_is_in(name, "utf-8") for name in raw):
        return "utf-8"
    if all(_is_in(name, "cp949") for name in raw):
        letters = [c for name in raw for c in name.decode("cp949") if not c.isascii()]
        # The 2,350 syllables of KS X 1001. cp949 has more, which bytes of other writings make.
        common = sum(1 for c in letters if "가" <= c <= "힣" and _is_written_in(c, "euc_kr"))
        if common * 2 > len(letters):
            return "cp949"
    return "cp437"


def _is_in(name: bytes, encoding: str) -> bool:
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_written_in(letter: str, encoding: str) -> bool:
    try:
        # euc_kr writes other syllables as eight bytes.
        return len(letter.encode(encoding)) == 2  # noqa: PLR2004
    except UnicodeEncodeError:
        return False


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")


def _unicode_path(info: zipfile.ZipInfo) -> str | None:
    """Return the name in UTF-8 that stands beside the other; None if there is none."""
    extra = info.extra
    while len(extra) >= 4:  # noqa: PLR2004 - kind and length
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        # Version 1, and the CRC of the name beside which it was written.
        if kind == _UNICODE_PATH and field[:1] == b"\1":
            is_of_name = field[1:5] == struct.pack("<I", zlib.crc32(_raw_name(info)))
            if is_of_name and _is_in(field[5:], "utf-8"):
                return field[5:].decode()
    return None


class _RangedFile(io.RawIOBase):
    """As much of a file as `zipfile` needs to find a zip's directory. Its end is fetched once."""

    def __init__(self, store: Store, key: str, size_bytes: int) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._size_bytes = size_bytes
        self._tail_at = max(0, size_bytes - _TAIL_BYTES)
        self._tail = store.get_range(key, offset=self._tail_at, size_bytes=_TAIL_BYTES + 1)
        if len(self._tail) != size_bytes - self._tail_at:
            raise unusable(f"{store.url}/{key}", "its size is not the one that is listed")
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = offset + {io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}.get(whence, 0)
        if at < 0:
            raise OSError(f"there is no position {at}")
        self._at = at
        return at

    def read(self, size_bytes: int = -1, /) -> bytes:
        left_bytes = max(0, self._size_bytes - self._at)
        size_bytes = left_bytes if size_bytes < 0 else min(size_bytes, left_bytes)
        if size_bytes > _LARGEST_DIRECTORY_BYTES:
            raise StoreError(
                f"The directory of the zip {self._store.url}/{self._key} takes "
                f"{format_bytes(size_bytes)}, and at most "
                f"{format_bytes(_LARGEST_DIRECTORY_BYTES)} are read.",
                remedy="Get the zip with other tools, unpack it, and push the folder.",
            )
        data = self._get(size_bytes)
        self._at += len(data)
        return data

    def _get(self, size_bytes: int) -> bytes:
        if size_bytes == 0:
            return b""
        if self._at >= self._tail_at:
            start = self._at - self._tail_at
            return self._tail[start : start + size_bytes]
        return self._store.get_range(self._key, offset=self._at, size_bytes=size_bytes)
