"""What goes to the Hugging Face Hub and comes from it in the bodies of requests and answers."""

from __future__ import annotations

import io
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO

from sojourn.stores.whole import check_size, gather

if TYPE_CHECKING:
    from sojourn.stores.base import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """A part of a file, in bytes."""

    first: int
    size_bytes: int

    @property
    def headers(self) -> dict[str, str]:
        """What asks for it."""
        return {"Range": f"bytes={self.first}-{self.first + self.size_bytes - 1}"}


class SentFile(io.BufferedIOBase):
    """What is put, as the kind of file that the hub's client takes and sends by plain HTTP.

    Bytes, and files with a path, it would send by Xet, whose servers nothing else speaks to.
    """

    def __init__(self, body: Body, *, in_memory: bool) -> None:
        """Keep the body; one in memory is read now, and may be closed before it is sent."""
        if isinstance(body, bytes):
            self._body: BinaryIO = io.BytesIO(body)
        else:
            self._body = io.BytesIO(body.read()) if in_memory else body

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all that are left if no size is given."""
        return self._body.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position, and return it."""
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._body.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


def read_body(response: Any, wanted: ByteRange | None, *, address: str) -> bytes:
    """Return the body; of a whole file that came instead of a part, that part.

    Args:
        response: Whose body it is.
        wanted: The part; None for all of a manifest or another record.
        address: Where the file is, for messages.
    """
    if wanted is None:
        length = response.headers.get("content-length", "")
        if length.isdigit():
            check_size(int(length), address=address)
        return gather(response.iter_bytes(), address=address)
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        return bytes(response.read())
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= wanted.first + wanted.size_bytes:
            break
    return bytes(data[wanted.first : wanted.first + wanted.size_bytes])
