"""How the hub of the tests answers requests, and the storage beside it that keeps large files."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from sojourn.testing.hub_records import HubRequest
from sojourn.testing.web import first_trouble, parse_range

if TYPE_CHECKING:
    from sojourn.testing.hub_records import HubServer
    from sojourn.testing.web import Trouble


class HubRefusal(Exception):  # noqa: N818 - an answer, and no error of the server's
    """An answer that is none of the good ones.

    Args:
        status: HTTP's number.
        error: What the hub says for people to read.
        code: What it says for programs.
        commit: The newest commit, where there is one.
        url: Where to look instead.
    """

    def __init__(
        self, status: int, error: str, *, code: str = "", commit: str = "", url: str = ""
    ) -> None:
        super().__init__(error)
        self.body = {"error": error} | ({"url": url} if url else {})
        self.status = status
        self.headers = {"X-Error-Code": code} if code else {}
        self.headers |= {"X-Error-Message": error}
        self.headers |= {"X-Repo-Commit": commit} if commit else {}


class HubHandler(BaseHTTPRequestHandler):
    """What the hub and its storage have in common."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    place = ""

    def __init__(self, hub: HubServer, *rest: object) -> None:
        self.hub = hub
        self._trouble: Trouble | None = None
        self.body = b""
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer a request, of whatever method."""
        self.body = self._read_body()
        parts = urlsplit(self.path)
        self.path_only = unquote(parts.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.hub.lock:
            self._trouble = first_trouble(self.hub.troubles, self.command, self.path_only)
        trouble = self._trouble
        if trouble is not None and trouble.hang_up:
            self._note(0)
            self.close_connection = True
            return
        try:
            self._check_trouble()
            self.answer()
        except HubRefusal as refusal:
            extra = dict(trouble.headers) if trouble is not None else {}
            self.send(
                refusal.status,
                json.dumps(refusal.body).encode(),
                {"Content-Type": "application/json"} | refusal.headers | extra,
            )

    def do_HEAD(self) -> None:
        """Answer a request."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Answer a request."""
        self.do_GET()

    def do_POST(self) -> None:
        """Answer a request."""
        self.do_GET()

    def _check_trouble(self) -> None:
        if self._trouble is not None and self._trouble.status is not None:
            raise HubRefusal(self._trouble.status, self._trouble.says)

    def answer(self) -> None:
        """Answer the request, or raise a refusal."""
        raise NotImplementedError

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    @property
    def token(self) -> str:
        """The token that the request came with."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def send_json(self, value: object, headers: dict[str, str] | None = None) -> None:
        """Answer with a JSON document."""
        self.send(
            200, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {})
        )

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        """Answer with a file, or the range of it that is asked for."""
        wanted = parse_range(self.headers.get("Range", ""), len(data))
        if wanted is None:
            self.send(200, data, headers)
        elif wanted.start >= wanted.stop:
            self.send(416, b"", {})
        else:
            there = f"bytes {wanted.start}-{wanted.stop - 1}/{len(data)}"
            self.send(206, data[wanted.start : wanted.stop], headers | {"Content-Range": there})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Answer, spoilt if something is to go wrong with it."""
        arriving = body
        if self._trouble is not None and self._trouble.status is None:
            arriving = self._trouble.spoil(body)
        self._note(len(arriving) if self.command != "HEAD" else 0)
        self.send_response_only(status, HTTPStatus(status).phrase)
        usual = {"Date": self.date_time_string(), "Content-Length": str(len(body))}
        for name, value in (usual | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(arriving)
        if len(arriving) < len(body):
            self.close_connection = True

    def _note(self, sent_bytes: int) -> None:
        request = HubRequest(
            method=self.command,
            place=self.place,
            path=self.path_only,
            received_bytes=len(self.body),
            sent_bytes=sent_bytes,
            token=self.token,
        )
        with self.hub.lock:
            self.hub.requests.append(request)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class StorageHandler(HubHandler):
    """The storage of large files: signed addresses lead here, and tokens must not."""

    place = "storage"

    def answer(self) -> None:
        """Take a file or a part of one, put parts together, or give a file out."""
        oid = self.path_only.rpartition("/")[2]
        if self.token:
            raise HubRefusal(400, "Only one auth mechanism allowed")
        if int(self.query.get("signature", "0")) <= self.hub.gone_signatures:
            raise HubRefusal(403, "Request has expired")
        if self.command == "PUT":
            self._put(oid)
        elif self.command == "POST":
            self._complete(oid)
        elif oid not in self.hub.storage:
            raise HubRefusal(404, "The specified key does not exist.")
        else:
            self.send_file(self.hub.storage[oid], {"ETag": f'"{oid}"'})

    def _put(self, oid: str) -> None:
        part = self.query.get("part")
        digest = hashlib.sha256(self.body).hexdigest()
        if part is None and digest != oid:
            raise HubRefusal(400, "The SHA256 you specified did not match what we received.")
        with self.hub.lock:
            self.hub.storage[oid if part is None else f"{oid}.{part}"] = self.body
        self.send(200, b"", {"ETag": f'"{digest}"'})

    def _complete(self, oid: str) -> None:
        count = len(json.loads(self.body)["parts"])
        with self.hub.lock:
            pieces = [self.hub.storage.pop(f"{oid}.{number + 1}") for number in range(count)]
        if hashlib.sha256(b"".join(pieces)).hexdigest() != oid:
            raise HubRefusal(400, "The SHA256 you specified did not match what we received.")
        with self.hub.lock:
            self.hub.storage[oid] = b"".join(pieces)
        self.send_json({})
