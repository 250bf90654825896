"""A file of a data set as a file object, which fetches the frames that are read and no others."""

from __future__ import annotations

import errno
import hashlib
import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal, TypeAlias

from sojourn.dataset.manifest import DIGEST_PREFIX
from sojourn.errors import ReadOnlyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.dataset.frames import FrameId, Piece

Mode: TypeAlias = Literal["rb", "r", "rt"]

# Read at once when little is asked for. A refill copies this much out of a frame in memory.
_BUFFER_BYTES = 64 << 10
_READING = ("rb", "br", "r", "rt", "tr")


class MemberFile(io.RawIOBase):
    """The bytes of one file, seekable, read only.

    Each frame's checksum is checked as it is decoded. The file's own digest is checked when the
    last byte is read, if every byte before it was.

    Args:
        name: What the file is called.
        size_bytes: How large it is.
        pieces: Where its bytes are, in order.
        fetch: Returns a decoded frame.
        check: Takes the digest of all bytes, and raises unless it is the right one.
    """

    def __init__(
        self,
        *,
        name: str,
        size_bytes: int,
        pieces: Sequence[tuple[FrameId, Piece]],
        fetch: Callable[[FrameId], bytes],
        check: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.name = name
        self.size_bytes = size_bytes
        self._pieces = pieces
        self._starts = [piece.at for _, piece in pieces]
        self._fetch = fetch
        self._check = check
        self._at = 0
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0  # from the start on

    @property
    def mode(self) -> str:
        """As of any file that was opened to read bytes."""
        return "rb"

    def readable(self) -> bool:
        """It is, until it is closed."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """It is, until it is closed."""
        self._check_open()
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        self._check_open()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it; one after the end is allowed, and nothing is there."""
        self._check_open()
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}
        if whence not in starts:
            raise ValueError(f"whence is {whence}, which is none of 0, 1 and 2")
        at = starts[whence] + offset
        if at < 0:
            # What files raise; zipfile goes by it.
            raise OSError(errno.EINVAL, f"there is no position {at} in {self.name}")
        self._at = at
        return at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer from the position on, at most to the end of a frame.

        Returns:
            How many bytes; 0 at the end of the file.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        if self._at >= self.size_bytes or not target:
            return 0
        frame_id, piece = self._pieces[bisect_right(self._starts, self._at) - 1]
        skip = self._at - piece.at
        count = min(len(target), piece.size_bytes - skip)
        start = piece.start + skip
        data = memoryview(self._fetch(frame_id))[start : start + count]
        self._follow(data)
        target[:count] = data
        self._at += count
        return count

    def _follow(self, data: memoryview) -> None:
        """Have the digest take what of this it has not seen and what follows what it has."""
        seen = self._hashed_bytes - self._at
        if not 0 <= seen < len(data):
            return
        self._hash.update(data[seen:])
        self._hashed_bytes = self._at + len(data)
        if self._hashed_bytes == self.size_bytes:
            self._check(DIGEST_PREFIX + self._hash.hexdigest())

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name} is closed")


class BufferedFile(io.BufferedReader):
    """A file with a buffer in front, so that small reads are cheap."""

    def __init__(self, file: MemberFile) -> None:
        super().__init__(file, _BUFFER_BYTES)
        self.size = file.size_bytes
        """In bytes; fsspec's files have it under this name."""


def check_mode(mode: str) -> None:
    """Check that a mode only reads.

    Raises:
        ReadOnlyError: it writes.
        UsageError: it is no mode.
    """
    if mode in _READING:
        return
    if set(mode) & set("wax+"):
        raise ReadOnlyError(
            f"mode={mode!r} would write, and a data set is only read.",
            remedy="Write the file into the folder, and push it again.",
        )
    raise UsageError(f"mode={mode!r} is no way to open a file.", remedy="Write 'rb' or 'r'.")
