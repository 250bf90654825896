"""A web server on this machine that gives out a folder, with byte ranges and with faults on order.

Python's own `http.server` knows no ranges. Not for anything but tests: it looks at nothing that a
client says about itself.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What goes wrong with requests to the server, in the order in which they come.

    Attributes:
        status: Answered instead of what is asked for; None: it is found, and then spoilt.
        location: Where a redirect leads to.
        headers: What else stands in the answer's head: Retry-After, Date.
        says: The reason that is given to people, by a server that gives one.
        hang_up: The connection ends without an answer.
        keep_bytes: Of a body that is cut, what still comes before the connection ends; None: all.
        flip_bit_at: A bit of the byte at this offset of the body is the other one.
        method: Only requests of this method; None: of any.
        path: Only requests with this in their path.
        times: So many requests go wrong; the rest go well.
    """

    status: int | None = None
    location: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    says: str = "hush"
    hang_up: bool = False
    keep_bytes: int | None = None
    flip_bit_at: int | None = None
    method: str | None = None
    path: str = ""
    times: int = 1 << 30

    def spoil(self, body: bytes) -> bytes:
        """Return what arrives of a body."""
        kept = body[: self.keep_bytes]
        at = self.flip_bit_at
        if at is None or at >= len(kept):
            return kept
        return kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :]


def first_trouble(troubles: list[Trouble], method: str, path: str) -> Trouble | None:
    """Return what goes wrong with a request, and count it."""
    for trouble in troubles:
        if trouble.times > 0 and trouble.method in (None, method) and trouble.path in path:
            trouble.times -= 1
            return trouble
    return None


def parse_range(header: str, size_bytes: int) -> range | None:
    """Return the offsets that a Range header names; None if it names none."""
    wanted = _RANGE.fullmatch(header)
    if wanted is None:
        return None
    return range(int(wanted[1]), min(int(wanted[2] or size_bytes), size_bytes - 1) + 1)


@dataclass(slots=True, kw_only=True)
class WebServer:
    """A server that is running.

    Attributes:
        url: Its address.
        troubles: What goes wrong with the requests to come, the first first.
        requests: Method, path, and the client's port of each request so far: a port is a
            connection.
        wait_s: What each answer takes, in seconds.
        knows_ranges: If False, it sends whole files whatever part is asked for.
        sent_bytes: Of bodies, so far.
    """

    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    wait_s: float = 0.0
    knows_ranges: bool = True
    sent_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def meet(self, method: str, path: str, port: int) -> Trouble | None:
        """Write a request down, and return what goes wrong with it."""
        with self._lock:
            self.requests.append((method, path, port))
            return first_trouble(self.troubles, method, unquote(path))

    def count(self, sent_bytes: int) -> None:
        """Count bytes of a body that was sent."""
        with self._lock:
            self.sent_bytes += sent_bytes


@contextmanager
def running_web_server(folder: Path) -> Iterator[WebServer]:
    """Give out a folder until the end of the `with`."""
    server = WebServer()
    with Listener(("127.0.0.1", 0), partial(_Handler, folder, server)) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        with listener.running():
            yield server


class Listener(ThreadingHTTPServer):
    """A server of Python's own, a thread for each connection."""

    # Clients keep connections open for later; their threads are not waited for.
    block_on_close = False
    request_queue_size = 64

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer in the background until the end of the `with`."""
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer go out at once instead of waiting for each other's receipt.
    wbufsize = -1

    def __init__(self, folder: Path, server: WebServer, *rest: object) -> None:
        self._folder = folder
        self._web = server
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        trouble = self._web.meet(self.command, self.path, self.client_address[1])
        self._wait()
        path = self._folder / unquote(urlsplit(self.path).path).lstrip("/")
        if trouble is not None and trouble.hang_up:
            self.close_connection = True
        elif trouble is not None and trouble.status is not None:
            headers = {"Location": trouble.location} if trouble.location else {}
            self._answer(trouble.status, b"hush", headers={**headers, **trouble.headers})
        elif not path.is_file():
            self._answer(404, b"")
        else:
            self._send(path.read_bytes(), cut=trouble)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _wait(self) -> None:
        if self._web.wait_s:
            threading.Event().wait(self._web.wait_s)

    def _send(self, data: bytes, *, cut: Trouble | None) -> None:
        wanted = parse_range(self.headers.get("Range", ""), len(data))
        if wanted is None or not self._web.knows_ranges:
            self._answer(200, data, cut=cut)
        elif wanted.start >= wanted.stop:
            self._answer(416, b"")
        else:
            there = f"bytes {wanted.start}-{wanted.stop - 1}/{len(data)}"
            body = data[wanted.start : wanted.stop]
            self._answer(206, body, cut=cut, headers={"Content-Range": there})

    def _answer(
        self,
        status: int,
        body: bytes,
        *,
        cut: Trouble | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        arriving = body if cut is None else cut.spoil(body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(arriving)
            self._web.count(len(arriving))
        if len(arriving) < len(body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""
