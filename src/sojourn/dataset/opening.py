"""A file of a data set as a file object, which fetches what of it is read and nothing else."""

from __future__ import annotations

import errno
import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal, TypeAlias

from sojourn.errors import ReadOnlyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sojourn.dataset.digests import Digester
    from sojourn.dataset.frames import FrameId, Piece
    from sojourn.dataset.segments import PartId

Mode: TypeAlias = Literal["rb", "r", "rt"]

# Read at once when little is asked for. A refill copies this much out of a frame in memory.
_BUFFER_BYTES = 64 << 10
_READING = ("rb", "br", "r", "rt", "tr")


class MemberFile(io.RawIOBase):
    """The bytes of one file, seekable, read only.

    Each frame's checksum is checked as it is decoded, and of a table each segment's digest. The
    file's own digest is checked when the last byte is read, if every byte before it was.

    Args:
        name: What the file is called.
        size_bytes: How large it is.
        pieces: Where its bytes are, in order.
        fetch: Returns a decoded frame, or the text of a part of a table.
        check: Takes the digest of all bytes, and raises unless it is the right one.
        digester: Makes that digest.
    """

    def __init__(
        self,
        *,
        name: str,
        size_bytes: int,
        pieces: Sequence[tuple[FrameId | PartId, Piece]],
        fetch: Callable[[FrameId | PartId], bytes],
        check: Callable[[str | None], None],
        digester: Digester,
    ) -> None:
        super().__init__()
        self.name = name
        self.size_bytes = size_bytes
        self._pieces = pieces
        self._starts = [piece.at for _, piece in pieces]
        self._fetch = fetch
        self._check = check
        self._at = 0
        self._digester = digester
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
        """Fill a buffer from the position on, at most to the end of a frame or part.

        Returns:
            How many bytes; 0 at the end of the file.

        Raises:
            IntegrityError: the store holds something else than was pushed.
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        if self._at >= self.size_bytes or not target:
            return 0
        place, piece = self._pieces[bisect_right(self._starts, self._at) - 1]
        skip = self._at - piece.at
        count = min(len(target), piece.size_bytes - skip)
        start = piece.start + skip
        data = memoryview(self._fetch(place))[start : start + count]
        self._follow(data)
        target[:count] = data
        self._at += count
        return count

    def _follow(self, data: memoryview) -> None:
        """Have the digest take what of this it has not seen and what follows what it has."""
        seen = self._hashed_bytes - self._at
        if not 0 <= seen < len(data):
            return
        self._digester.update(data[seen:])
        self._hashed_bytes = self._at + len(data)
        if self._hashed_bytes == self.size_bytes:
            self._check(self._digester.digest())

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name} is closed")


class StreamedFile(io.RawIOBase):
    """The bytes of a file that can only be unpacked from its start on; read only.

    Going back begins anew, going forward unpacks what lies between.

    Args:
        name: What the file is called.
        size_bytes: How large it is.
        stream: Begins to unpack.
    """

    def __init__(
        self, *, name: str, size_bytes: int, stream: Callable[[], Iterator[bytes]]
    ) -> None:
        super().__init__()
        self.name = name
        self.size_bytes = size_bytes
        self._begin = stream
        self._stream = stream()
        self._rest = memoryview(b"")
        self._unpacked_at = 0  # where in the file the rest begins
        self._at = 0

    @property
    def mode(self) -> str:
        """As of any file that was opened to read bytes."""
        return "rb"

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, at a price."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it; nothing is unpacked yet."""
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}
        if whence not in starts:
            raise ValueError(f"whence is {whence}, which is none of 0, 1 and 2")
        at = starts[whence] + offset
        if at < 0:
            raise OSError(errno.EINVAL, f"there is no position {at} in {self.name}")
        self._at = at
        return at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer from the position on.

        Returns:
            How many bytes; 0 at the end of the file.

        Raises:
            IntegrityError: the store holds something else than it should.
        """
        target = memoryview(buffer).cast("B")
        if self._at >= self.size_bytes or not target:
            return 0
        if self._at < self._unpacked_at:
            self._stream, self._rest, self._unpacked_at = self._begin(), memoryview(b""), 0
        while self._at >= self._unpacked_at + len(self._rest):
            self._unpacked_at += len(self._rest)
            self._rest = memoryview(next(self._stream))
            if self._unpacked_at + len(self._rest) >= self.size_bytes:
                for _ in self._stream:  # checks that this was all, and as it should be
                    pass
        start = self._at - self._unpacked_at
        data = self._rest[start : start + len(target)]
        target[: len(data)] = data
        self._at += len(data)
        return len(data)


class BufferedFile(io.BufferedReader):
    """A file with a buffer in front, so that small reads are cheap."""

    def __init__(self, file: MemberFile | StreamedFile) -> None:
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
