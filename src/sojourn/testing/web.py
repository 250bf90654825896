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
        status: Answered instead of what is asked for; None: it is found, and then cut.
        location: Where a redirect leads to.
        keep_bytes: Of a body that is cut, what still comes before the connection ends.
        times: So many requests go wrong; the rest go well.
    """

    status: int | None = None
    location: str = ""
    keep_bytes: int = 0
    times: int = 1 << 30


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
    """

    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    wait_s: float = 0.0
    knows_ranges: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def meet(self, method: str, path: str, port: int) -> Trouble | None:
        """Write a request down, and return what goes wrong with it."""
        with self._lock:
            self.requests.append((method, path, port))
            self.troubles = [trouble for trouble in self.troubles if trouble.times > 0]
            for trouble in self.troubles:
                trouble.times -= 1
                return trouble
        return None


@contextmanager
def running_web_server(folder: Path) -> Iterator[WebServer]:
    """Give out a folder until the end of the `with`."""
    server = WebServer()
    with _Listener(("127.0.0.1", 0), partial(_Handler, folder, server)) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    # Clients keep connections open for later; their threads are not waited for.
    block_on_close = False
    request_queue_size = 64


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
        if trouble is not None and trouble.status is not None:
            headers = {"Location": trouble.location} if trouble.location else {}
            self._answer(trouble.status, b"hush", headers=headers)
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
        keep = len(data) if cut is None else cut.keep_bytes
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted is None or not self._web.knows_ranges:
            self._answer(200, data, keep=keep)
            return
        first = int(wanted[1])
        last = min(int(wanted[2] or len(data)), len(data) - 1)
        if first > last:
            self._answer(416, b"")
            return
        headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self._answer(206, data[first : last + 1], keep=keep, headers=headers)

    def _answer(
        self,
        status: int,
        body: bytes,
        *,
        keep: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:keep])
        if keep is not None and keep < len(body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""
