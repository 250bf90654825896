"""Digests of files by the way that they are made, which stands before the colon.

`sha256:` is Sojourn's own. Data sets that others made come with what they have: `md5:` of a store,
`crc32:` of a zip, or `version:`, a store's mark that changes when the object does and that cannot
be made from the bytes. None is no digest at all.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CRC32_PREFIX = "crc32:"
VERSION_PREFIX = "version:"
_HASHES: dict[str, Callable[[], hashlib._Hash]] = {
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}


class Digester:
    """Takes bytes, and says which digest they have, made in the way of an expected one.

    Args:
        expected: The digest that the bytes should have.
    """

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self._kind = (expected or "").partition(":")[0]
        make = _HASHES.get(self._kind)
        self._hash = make() if make else None
        self._crc32 = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        if self._hash is not None:
            self._hash.update(data)
        elif self._kind == "crc32":
            self._crc32 = zlib.crc32(data, self._crc32)

    def digest(self) -> str | None:
        """Return the digest of all bytes; the expected one where none can be made."""
        if self._hash is not None:
            return f"{self._kind}:{self._hash.hexdigest()}"
        return format_crc32(self._crc32) if self._kind == "crc32" else self._expected


def can_be_made(digest: str | None) -> bool:
    """Tell whether bytes can be checked against a digest."""
    kind = (digest or "").partition(":")[0]
    return kind in _HASHES or kind == "crc32"


def format_crc32(value: int) -> str:
    """Return a CRC-32 as a digest."""
    return f"{CRC32_PREFIX}{value:08x}"


def digest_like(expected: str | None, data: bytes | memoryview) -> str | None:
    """Return the digest of some bytes, made in the way of an expected one."""
    digester = Digester(expected)
    digester.update(data)
    return digester.digest()
