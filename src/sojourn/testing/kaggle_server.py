"""A server on this machine that speaks Kaggle's endpoints for data sets, with faults on order.

    with running_kaggle_server(folder) as server:
        server.url            # what kagglesdk.kaggle_env._env_to_endpoint is set to
        server.received_bytes, server.served_bytes

Calls are POST JSON to `/v1/SERVICE/Method`, also below `/api`. Files go to and come from a storage
under the same address, as at Google: resumable uploads (308 and `Range`), byte ranges, signed
addresses that expire, `x-goog-hash`. The real `kaggle` and `kagglehub` work with it. What Kaggle
does with archives is not known; here it is a switch. `kaggle_datasets` holds what it keeps.

Source: the requests and answers of kagglesdk 0.1.37, kaggle 2.2.4 and kagglehub 1.0.2.
"""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from sojourn.testing.kaggle_datasets import Datasets
from sojourn.testing.kaggle_records import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sojourn.testing.kaggle_records import Blob

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_SENT = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_ASKED = re.compile(r"bytes \*/(\d+)")
_CHUNK_BYTES = 1 << 18
# Google keeps whole multiples of this of an upload that breaks off.
# https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload
_KEPT_MULTIPLE_BYTES = 1 << 18


@dataclass(slots=True, kw_only=True)
class KaggleTrouble:
    """What goes wrong with requests whose method and path a pattern matches.

    Attributes:
        where: A regular expression, searched in "POST /v1/…/DownloadDataset" or "PUT /upload/…".
        status: Answered instead of what is asked for; None: the connection is cut.
        headers: Sent with the status.
        keep_bytes: Of a body that is cut, on its way in or out, what still passes.
        after: So many matching requests go well first.
        times: So many go wrong then; the rest go well.
    """

    where: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_bytes: int = 0
    after: int = 0
    times: int = 1 << 30


@dataclass(slots=True, kw_only=True)
class KaggleServer:
    """A server that is running.

    Attributes:
        datasets: What it keeps, and how it treats what it gets.
        url: Its address.
        troubles: What goes wrong with the requests to come; the first that matches counts.
        requests: Method and path of each request so far; of calls, what was asked as well.
        received_bytes: Bytes of file contents that came in.
        served_bytes: Bytes of file contents that went out.
        wait_s: What each answer takes, in seconds.
        rate_bytes_per_s: What each connection gets, each way; None: as much as there is.
        hold: Called with method and path of each request before it is looked at, and waited for.
    """

    datasets: Datasets
    url: str = ""
    troubles: list[KaggleTrouble] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    received_bytes: int = 0
    served_bytes: int = 0
    wait_s: float = 0.0
    rate_bytes_per_s: float | None = None
    hold: Callable[[str], object] | None = None
    _signature: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def expire_addresses(self) -> None:
        """Make all addresses in the storage that were given out so far invalid."""
        self._signature += 1

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Return what was asked in each call of a method so far."""
        return [asked for name, asked in self.requests if name.endswith(f"/{method}")]

    def forget_traffic(self) -> None:
        """Begin to count anew."""
        self.requests.clear()
        self.received_bytes = self.served_bytes = 0

    def meet(self, request: str, asked: dict[str, Any]) -> KaggleTrouble | None:
        """Write a request down, and return what goes wrong with it."""
        with self._lock:
            self.requests.append((request, asked))
            for trouble in self.troubles:
                if not re.search(trouble.where, request) or trouble.times <= 0:
                    continue
                if trouble.after > 0:
                    trouble.after -= 1
                    continue
                trouble.times -= 1
                return trouble
        return None

    def count(self, *, received_bytes: int = 0, served_bytes: int = 0) -> None:
        """Count traffic."""
        with self._lock:
            self.received_bytes += received_bytes
            self.served_bytes += served_bytes

    @property
    def signature(self) -> str:
        """What an address in the storage ends with while it is valid."""
        return f"X-Goog-Signature={self._signature}"


@contextmanager
def running_kaggle_server(folder: Path) -> Iterator[KaggleServer]:
    """Serve until the end of the `with`; files are kept in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    server = KaggleServer(datasets=Datasets(folder))
    with _Listener(("127.0.0.1", 0), partial(_Handler, server)) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


class _Pace:
    """Holds one transfer to a rate."""

    def __init__(self, rate_bytes_per_s: float | None) -> None:
        self._rate_bytes_per_s = rate_bytes_per_s
        self._began_s = time.monotonic()
        self._passed_bytes = 0

    def keep(self, passed_bytes: int) -> None:
        """Wait until so many more bytes may have passed."""
        self._passed_bytes += passed_bytes
        if self._rate_bytes_per_s is not None:
            due_s = self._began_s + self._passed_bytes / self._rate_bytes_per_s
            threading.Event().wait(max(0.0, due_s - time.monotonic()))


class _Listener(ThreadingHTTPServer):
    # Clients keep connections open for later; their threads are not waited for.
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that leave early are no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer go out at once instead of waiting for each other's receipt.
    wbufsize = -1

    def __init__(self, server: KaggleServer, *rest: object) -> None:
        self._kaggle = server
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(body or b"{}")
        if self._is_in_trouble(asked):
            return
        method = self.path.rpartition("/")[2]
        datasets = self._kaggle.datasets
        try:
            user = datasets.user_of(self.headers.get("Authorization"))
            if method == "StartBlobUpload":
                blob = datasets.start_upload(user, asked)
                token = quote(blob.token)
                self._answer_json(
                    {"token": blob.token, "createUrl": f"{self._kaggle.url}/upload/{token}"}
                )
            elif method == "DownloadDataset":
                self._redirect(datasets.file_to_download(user, asked))
            else:
                self._answer_json(datasets.answer(method, user, asked))
        except Refused as refusal:
            self._answer_json(
                {"code": refusal.status, "message": refusal.message}, status=refusal.status
            )

    def do_PUT(self) -> None:
        trouble = self._met({})
        blob = self._kaggle.datasets.blobs.get(unquote(self.path.removeprefix("/upload/")))
        if trouble is not None and trouble.status is not None:
            self._read_body(None)
            self._answer(trouble.status, b"", headers=trouble.headers)
        elif blob is None or blob.expired:
            self._read_body(None)
            self._answer(410, b"")
        elif _ASKED.fullmatch(self.headers.get("Content-Range", "")):
            self._answer_progress(blob)
        else:
            self._receive(blob, cut_at=None if trouble is None else trouble.keep_bytes)

    def do_GET(self) -> None:
        trouble = self._met({})
        if trouble is not None and trouble.status is not None:
            self._answer(trouble.status, b"", headers=trouble.headers)
            return
        parts = urlsplit(self.path)
        number, _, _ = parts.path.removeprefix("/storage/").partition("/")
        path = self._kaggle.datasets.storage.find(number)
        if parts.query != self._kaggle.signature:
            self._answer(400, b"<Error><Code>ExpiredToken</Code></Error>")
        elif path is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._send(path, cut_at=None if trouble is None else trouble.keep_bytes)

    def _met(self, asked: dict[str, Any]) -> KaggleTrouble | None:
        if self._kaggle.wait_s:
            threading.Event().wait(self._kaggle.wait_s)
        request = f"{self.command} {urlsplit(self.path).path}"
        if self._kaggle.hold is not None:
            self._kaggle.hold(request)
        return self._kaggle.meet(request, asked)

    def _is_in_trouble(self, asked: dict[str, Any]) -> bool:
        trouble = self._met(asked)
        if trouble is None:
            return False
        if trouble.status is None:
            self.close_connection = True
        else:
            told = {"code": trouble.status, "message": "trouble was asked for"}
            self._answer_json(told, status=trouble.status, headers=trouble.headers)
        return True

    def _redirect(self, found: tuple[str, str]) -> None:
        number, name = found
        where = f"{self._kaggle.url}/storage/{number}/{quote(name)}?{self._kaggle.signature}"
        self._answer(302, b"", headers={"Location": where})

    def _receive(self, blob: Blob, *, cut_at: int | None) -> None:
        sent = _SENT.fullmatch(self.headers.get("Content-Range", ""))
        first = int(sent[1]) if sent else 0
        if first > blob.kept_bytes:
            self._read_body(None)
            self._answer(400, b"the upload does not go on there")
            return
        with blob.path.open("r+b") as file:
            file.seek(first)
            whole = self._read_body(file.write, cut_at=cut_at)
            end = file.tell()
        blob.kept_bytes = end if whole else end // _KEPT_MULTIPLE_BYTES * _KEPT_MULTIPLE_BYTES
        if not whole:
            self.close_connection = True
        else:
            self._answer_progress(blob)

    def _answer_progress(self, blob: Blob) -> None:
        if blob.is_complete:
            self._answer_json({"name": blob.name})
            return
        kept = {"Range": f"bytes=0-{blob.kept_bytes - 1}"} if blob.kept_bytes else {}
        self._answer(308, b"", headers=kept)

    def _read_body(self, write: Any, *, cut_at: int | None = None) -> bool:
        """Read what is sent; tell whether it came whole."""
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            raise AssertionError("Kaggle's storage is told how much comes")
        length = int(self.headers.get("Content-Length") or 0)
        left = length if cut_at is None else min(length, cut_at)
        whole = left == length
        pace = _Pace(self._kaggle.rate_bytes_per_s)
        while left:
            data = self.rfile.read(min(_CHUNK_BYTES, left))
            if not data:
                return False
            left -= len(data)
            pace.keep(len(data))
            if write is not None:
                write(data)
                self._kaggle.count(received_bytes=len(data))
        return whole

    def _send(self, path: Path, *, cut_at: int | None) -> None:
        size_bytes = path.stat().st_size
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        last = min(int((wanted and wanted[2]) or size_bytes), size_bytes - 1)
        if wanted and first > last:
            self._answer(416, b"", headers={"Content-Range": f"bytes */{size_bytes}"})
            return
        digest = self._kaggle.datasets.storage.md5_of(path)
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{digest}"',
            "Last-Modified": "Mon, 01 Jun 2026 00:00:00 GMT",
            "Content-Type": "application/octet-stream",
            "x-goog-hash": f"crc32c=AAAAAA==,md5={digest}",
            "Content-Length": str(last - first + 1),
        }
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
        self.send_response(206 if wanted else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        left = last - first + 1
        keep = left if cut_at is None else min(cut_at, left)
        self.close_connection = self.close_connection or keep < left
        pace = _Pace(self._kaggle.rate_bytes_per_s)
        with path.open("rb") as file:
            file.seek(first)
            while keep:
                data = file.read(min(_CHUNK_BYTES, keep))
                pace.keep(len(data))
                self.wfile.write(data)
                self._kaggle.count(served_bytes=len(data))
                keep -= len(data)

    def _answer_json(
        self, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self._answer(status, json.dumps(document).encode(), headers={**kind, **(headers or {})})

    def _answer(
        self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
