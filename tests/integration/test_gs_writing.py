"""Writing as Google's XML API has it, to an S3 server: the two are near relations.

No emulator that can be installed here knows that API's writes. SeaweedFS does, but for the header
of Google's tokens, so that is taken off on the way. What only Google's server knows, writes that
depend on an object's generation and its tokens, is not tried.
"""

import http.client
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest

from sojourn.stores.base import Store
from sojourn.stores.url import open_store
from sojourn.testing.push_contract import PushContract
from sojourn.testing.s3 import S3Server, running_s3_server
from sojourn.testing.store_contract import RawAccess, StoreContract
from sojourn.testing.web import Listener
from sojourn.testing.wire import Wire, wire_to

pytestmark = pytest.mark.s3
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "authorization", "date"}


class WithoutTokens(BaseHTTPRequestHandler):
    """Hands requests on, less their token."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, server: str, *rest: Any) -> None:
        self._to = server
        super().__init__(*rest)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
        upstream = http.client.HTTPConnection(self._to, timeout=30)
        upstream.request(self.command, self.path, body, asked)
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        upstream.close()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _without_tokens(endpoint: str) -> Iterator[str]:
    handler = partial(WithoutTokens, urlsplit(endpoint).netloc)
    with Listener(("127.0.0.1", 0), handler) as listener, listener.running():
        yield f"http://127.0.0.1:{listener.server_address[1]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("gs") / "server"
    with running_s3_server(folder, open_to_all=True) as server:
        yield server


class Boto:
    def __init__(self, server: S3Server, prefix: str) -> None:
        self._client = server.client()
        self._bucket = server.bucket
        self._prefix = prefix

    def read(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}")
        except self._client.exceptions.NoSuchKey:
            return None
        return bytes(answer["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}", Body=data)


class TestPushToGs(PushContract):
    # The server does not know generations, so it is written to as a folder is.
    guards = False

    @pytest.fixture
    def wire(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
        with _without_tokens(server.endpoint) as endpoint, wire_to(endpoint) as wire:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", wire.url)
            yield wire

    @pytest.fixture
    def connect(self, wire: Wire, server: S3Server) -> Callable[[], Store]:
        assert wire
        url = f"gs://{server.bucket}/push/{uuid.uuid4().hex}"
        return lambda: open_store(url)

    @pytest.fixture
    def received(self, wire: Wire) -> Callable[[], int]:
        return lambda: wire.up_bytes


class TestGsStoreWrites(StoreContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"contract/{uuid.uuid4().hex}"

    @pytest.fixture
    def store(
        self, server: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Store]:
        with _without_tokens(server.endpoint) as endpoint:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
            yield open_store(f"gs://{server.bucket}/{prefix}")

    @pytest.fixture
    def raw(self, server: S3Server, prefix: str) -> RawAccess:
        return Boto(server, prefix)
