"""Files to and from the storage that Kaggle's signed addresses lead to: by range, and resumable.

The storage is Google's, and speaks as Google Cloud Storage does. Nothing here knows data sets.

Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import base64
import hashlib
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import httpx

from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.stores.kaggle_busy import BusyError, come_back_later, retry_after_s
from sojourn.stores.whole import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WHOLE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_KEPT = re.compile(r"bytes=0-(\d+)")
_MD5 = re.compile(r"md5=([A-Za-z0-9+/]+=*)")

# Parts of a whole object, side by side: many links give each connection only so much.
_PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 4
_READ_BYTES = 1 << 20
# No byte for this long means that the connection is dead; an answer to a sent file takes longer.
_TIMEOUT = httpx.Timeout(5.0, read=90.0, write=90.0)
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=16)
# So often in a row may an upload break off without a byte more having arrived.
_MOST_VAIN_ATTEMPTS = 4
_FIRST_WAIT_S = 0.5

_AGAIN = "Check the network, then run it again; what was sent is not sent again."
_BUSY = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT})
_EXPIRED = frozenset({400, 401, 403, 404, 410})


class ExpiredAddressError(Exception):
    """An address does not lead to the file, or no longer: ask for a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came of a file.

    Attributes:
        data: The bytes.
        whole_bytes: How large all of the file is.
        md5: Of all of the file, in base64; None if the storage does not say.
    """

    data: bytes
    whole_bytes: int
    md5: str | None


class Transfer:
    """Sends and fetches. May be used from several threads at once.

    Args:
        sleep: Waits so many seconds.
    """

    def __init__(self, *, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._client = httpx.Client(timeout=_TIMEOUT, limits=_CONNECTIONS, follow_redirects=False)
        # A store is not closed by anybody; its connections go with it.
        weakref.finalize(self, self._client.close)

    def fetch(self, url: str, *, offset: int, size_bytes: int) -> Part:
        """Return a part of a file; no bytes where it begins at or after the end.

        Raises:
            ExpiredAddressError: the address leads nowhere any more.
            StoreUnavailableError: the storage cannot be reached, or broke off.
        """
        return come_back_later(lambda: self._fetch(url, offset, size_bytes), sleep=self._sleep)

    def fetch_whole(self, url: str) -> bytes:
        """Return a whole file, its parts fetched side by side, checked against its MD5 if known.

        Raises:
            ExpiredAddressError: the address leads nowhere any more.
            StoreUnavailableError: the storage cannot be reached, or gave something else.
            StoreError: it is too large to be read whole.
        """
        first = self.fetch(url, offset=0, size_bytes=_PART_BYTES)
        check_size(first.whole_bytes, address="A file of the data set on Kaggle")
        offsets = range(_PART_BYTES, first.whole_bytes, _PART_BYTES)
        with ThreadPoolExecutor(_PARTS_AT_ONCE, "fetch part") as pool:
            rest = pool.map(lambda at: self.fetch(url, offset=at, size_bytes=_PART_BYTES), offsets)
            data = b"".join([first.data, *(part.data for part in rest)])
        found = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        if len(data) != first.whole_bytes or first.md5 not in (None, found):
            raise StoreUnavailableError(
                "What the storage gave does not match its own checksum.", remedy=_AGAIN
            )
        return data

    def _fetch(self, url: str, offset: int, size_bytes: int) -> Part:
        asked = {"Range": f"bytes={offset}-{offset + size_bytes - 1}"}
        # Packed on the way, a part of a file would be a part of something else.
        headers = {**asked, "Accept-Encoding": "identity"}
        with _as_unavailable(), self._client.stream("GET", url, headers=headers) as answer:
            found = _WHOLE.fullmatch(answer.headers.get("Content-Range", ""))
            md5 = _MD5.search(answer.headers.get("x-goog-hash", ""))
            digest = md5[1] if md5 else None
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return Part(data=b"", whole_bytes=int(found[1]) if found else 0, md5=digest)
            if answer.status_code == httpx.codes.PARTIAL_CONTENT and found:
                return Part(data=answer.read(), whole_bytes=int(found[1]), md5=digest)
            if answer.status_code == httpx.codes.OK:
                return _part_of_whole(answer, offset, size_bytes, digest)
            raise _refusal(answer)

    def send(self, url: str, body: BinaryIO, *, size_bytes: int, resume: bool) -> None:
        """Send a file; where the connection breaks, go on where the storage says it has got to.

        Args:
            url: Where to.
            body: The file.
            size_bytes: How large it is.
            resume: Some of it may be there from an earlier time: ask first.

        Raises:
            ExpiredAddressError: the upload is not known there any more: begin a new one.
            StoreUnavailableError: the storage cannot be reached, or goes on breaking off.
        """
        sent_bytes = self._kept_bytes(url, size_bytes) if resume else 0
        vain = 0
        while sent_bytes is not None:
            try:
                kept_bytes = self._send_from(url, body, sent_bytes, size_bytes)
            except StoreUnavailableError as error:
                vain += 1
                if vain >= _MOST_VAIN_ATTEMPTS:
                    raise
                self._wait(vain, error)
                kept_bytes = self._kept_bytes(url, size_bytes)
            if kept_bytes is not None and kept_bytes > sent_bytes:
                vain = 0
            sent_bytes = kept_bytes

    def _wait(self, vain: int, error: StoreUnavailableError) -> None:
        asked_s = error.after_s if isinstance(error, BusyError) else None
        self._sleep(asked_s if asked_s is not None else _FIRST_WAIT_S * 2**vain)

    def _send_from(self, url: str, body: BinaryIO, start: int, size_bytes: int) -> int | None:
        """Send the rest of a file; return how much of it is there, None if all."""
        headers = {
            "Content-Length": str(size_bytes - start),
            "Content-Type": "application/octet-stream",
        }
        if size_bytes:
            headers["Content-Range"] = f"bytes {start}-{size_bytes - 1}/{size_bytes}"
        with _as_unavailable():
            answer = self._client.put(url, headers=headers, content=_chunks(body, start))
        return _kept_of(answer)

    def _kept_bytes(self, url: str, size_bytes: int) -> int | None:
        """Return how much of an upload is there; None if all."""
        headers = {"Content-Length": "0", "Content-Range": f"bytes */{size_bytes}"}

        def ask() -> int | None:
            with _as_unavailable():
                return _kept_of(self._client.put(url, headers=headers))

        return come_back_later(ask, sleep=self._sleep)


class _as_unavailable:  # noqa: N801 - reads as the function that it stands for
    """Turns what httpx raises about the network into the error for it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # An address is signed, so that neither it nor what httpx says of it is repeated.
        if isinstance(error, httpx.HTTPError):
            raise StoreUnavailableError(
                f"Kaggle's storage cannot be reached, or broke off: {type(error).__name__}.",
                remedy=_AGAIN,
            ) from None


def _part_of_whole(answer: httpx.Response, offset: int, size_bytes: int, md5: str | None) -> Part:
    """Return the part of an answer that gives the whole file though a part was asked for."""
    whole_bytes = int(answer.headers.get("Content-Length", 0))
    kept, seen_bytes = bytearray(), 0
    for data in answer.iter_raw(_READ_BYTES):
        if seen_bytes + len(data) > offset and len(kept) < size_bytes:
            start = max(0, offset - seen_bytes)
            kept += data[start : start + size_bytes - len(kept)]
        seen_bytes += len(data)
    return Part(data=bytes(kept), whole_bytes=max(whole_bytes, seen_bytes), md5=md5)


def _kept_of(answer: httpx.Response) -> int | None:
    if answer.status_code in (httpx.codes.OK, httpx.codes.CREATED):
        return None
    if answer.status_code == httpx.codes.PERMANENT_REDIRECT:  # "resume incomplete", as Google says
        kept = _KEPT.fullmatch(answer.headers.get("Range", ""))
        return int(kept[1]) + 1 if kept else 0
    raise _refusal(answer)


def _refusal(answer: httpx.Response) -> Exception:
    status = answer.status_code
    if status in _BUSY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return BusyError(
            f"Kaggle's storage is busy (it answered {status}).",
            remedy=_AGAIN,
            after_s=retry_after_s(answer.headers.get("Retry-After")),
        )
    if status in _EXPIRED:
        return ExpiredAddressError(f"the storage answered {status}")
    return StoreError(f"Kaggle's storage answered {status}.", remedy=_AGAIN)


def _chunks(body: BinaryIO, start: int) -> Iterator[bytes]:
    body.seek(start)
    while data := body.read(_READ_BYTES):
        yield data
