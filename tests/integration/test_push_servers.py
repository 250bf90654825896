"""Pushes to servers that other people wrote, over a wire that counts and breaks."""

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sojourn.errors import AccessDeniedError, ConflictError, StoreUnavailableError
from sojourn.stores.base import Store
from sojourn.stores.buckets import open_bucket
from sojourn.stores.url import open_store
from sojourn.testing.az import AzServer
from sojourn.testing.push_contract import PushContract
from sojourn.testing.s3 import S3Server
from sojourn.testing.store_contract import swap
from sojourn.testing.wire import Wire, wire_to


@pytest.fixture
def s3_wire(s3_server: S3Server, s3_environment: pytest.MonkeyPatch) -> Iterator[Wire]:
    with wire_to(s3_server.endpoint) as wire:
        s3_environment.setenv("AWS_ENDPOINT_URL", wire.url)
        yield wire


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    return f"s3://{s3_server.bucket}/push/{uuid.uuid4().hex}"


@pytest.mark.s3
class TestPushToS3(PushContract):
    @pytest.fixture
    def connect(self, s3_wire: Wire, s3_url: str) -> Callable[[], Store]:
        assert s3_wire
        return lambda: open_store(s3_url)

    @pytest.fixture
    def received(self, s3_wire: Wire) -> Callable[[], int]:
        return lambda: s3_wire.up_bytes


class TestPushToAzure(PushContract):
    @pytest.fixture
    def wire(self, az_server: AzServer, az_environment: pytest.MonkeyPatch) -> Iterator[Wire]:
        with wire_to(az_server.endpoint) as wire:
            az_environment.setenv("AZURITE_BLOB_STORAGE_URL", wire.url)
            yield wire

    @pytest.fixture
    def connect(self, wire: Wire, az_server: AzServer) -> Callable[[], Store]:
        assert wire
        url = f"az://{az_server.container}/push/{uuid.uuid4().hex}"
        return lambda: open_store(url)

    @pytest.fixture
    def received(self, wire: Wire) -> Callable[[], int]:
        return lambda: wire.up_bytes


@pytest.mark.s3
def test_an_object_is_made_only_once_and_replaced_only_unchanged(
    s3_environment: pytest.MonkeyPatch, s3_url: str
) -> None:
    assert s3_environment
    store = open_store(s3_url)
    swap(store, "k", b"1", expected=None)
    with pytest.raises(ConflictError, match="changed by somebody else"):
        swap(store, "k", b"2", expected=None)
    swap(store, "k", b"2", expected=b"1")
    with pytest.raises(ConflictError):
        swap(store, "k", b"3", expected=b"1")
    assert store.get("k") == b"2"


def _answer(status: str, body: str = "", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


@pytest.mark.s3
@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Slow Down", "429 Too Many"])
def test_trouble_of_a_moment_is_not_noticed(s3_wire: Wire, s3_url: str, status: str) -> None:
    open_store(s3_url).put("k", b"0123456789")
    store = open_store(s3_url)
    s3_wire.answers = [_answer(status)]
    assert store.get("k") == b"0123456789"
    s3_wire.answers = [_answer(status)]
    open_store(s3_url).put("k", b"new")
    assert store.get("k") == b"new"


@pytest.mark.s3
def test_connections_that_break_are_made_again(s3_wire: Wire, s3_url: str) -> None:
    data = bytes(range(256)) * 4096
    open_store(s3_url).put("k", data)
    store = open_store(s3_url)
    s3_wire.drops, s3_wire.drop_after_bytes = 1, 5_000
    assert store.get("k") == data
    store = open_store(s3_url)
    s3_wire.drops = 1
    assert store.get_range("k", offset=10, size_bytes=500_000) == data[10:500_010]


@pytest.mark.s3
def test_a_connection_that_breaks_while_sending_is_made_again(s3_wire: Wire, s3_url: str) -> None:
    s3_wire.drops, s3_wire.drop_after_bytes = 1, 1
    open_store(s3_url).put("k", bytes(20 << 20))
    assert open_store(s3_url).find("k") == 20 << 20


@pytest.mark.s3
def test_a_slow_wire_is_filled_by_requests_side_by_side(s3_wire: Wire, s3_url: str) -> None:
    data = bytes(range(256)) * 64
    store = open_store(s3_url)
    store.put("k", data)
    s3_wire.wait_s = 0.05
    before = s3_wire.connections
    with ThreadPoolExecutor(8) as pool:
        parts = pool.map(
            lambda at: store.get_range("k", offset=at, size_bytes=512), range(0, len(data), 512)
        )
        assert b"".join(parts) == data
    assert 4 <= s3_wire.connections - before <= 12


@pytest.mark.s3
def test_a_clock_that_is_wrong_is_said_to_be(s3_wire: Wire, s3_url: str) -> None:
    skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>"
    s3_wire.answers = [_answer("403 Forbidden", skewed)]
    with pytest.raises(AccessDeniedError, match="clock differs too much") as caught:
        open_store(s3_url).get("k")
    assert "Set the clock" in caught.value.remedy


@pytest.mark.s3
def test_a_session_that_expired_is_said_to_be_denied(s3_wire: Wire, s3_url: str) -> None:
    expired = "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>"
    s3_wire.answers = [_answer("400 Bad Request", expired)]
    with pytest.raises(AccessDeniedError, match="does not accept the credentials"):
        open_store(s3_url).get("k")


@pytest.mark.s3
def test_trouble_that_lasts_is_told(s3_wire: Wire, s3_url: str) -> None:
    # Without the patience of `open_store`.
    store = open_bucket("s3", *s3_url.removeprefix("s3://").split("/", 1), environment=os.environ)
    s3_wire.answers = [_answer("503 Slow Down")] * 100
    with pytest.raises(StoreUnavailableError, match="busy"):
        store.get("k")
