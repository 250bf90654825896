import uuid
from urllib.parse import quote

import httpx
import pytest

from sojourn.errors import StoreError
from sojourn.stores.base import Store
from sojourn.stores.url import open_store
from sojourn.testing.gs import GsServer
from sojourn.testing.store_contract import RawAccess, ReadingContract


class JsonAccess:
    """Objects by Google's JSON API; the store uses the XML one."""

    def __init__(self, server: GsServer, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def read(self, key: str) -> bytes | None:
        name = quote(f"{self._prefix}/{key}", safe="")
        url = f"{self._server.endpoint}/storage/v1/b/{self._server.bucket}/o/{name}?alt=media"
        answer = httpx.get(url)
        return answer.content if answer.status_code == 200 else None

    def write(self, key: str, data: bytes) -> None:
        url = f"{self._server.endpoint}/upload/storage/v1/b/{self._server.bucket}/o"
        query = {"uploadType": "media", "name": f"{self._prefix}/{key}"}
        httpx.post(url, params=query, content=data).raise_for_status()


class TestGsStore(ReadingContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"contract/{uuid.uuid4().hex}"

    @pytest.fixture
    def store(self, gs_server: GsServer, gs_environment: pytest.MonkeyPatch, prefix: str) -> Store:
        assert gs_environment
        return open_store(f"gs://{gs_server.bucket}/{prefix}")

    @pytest.fixture
    def raw(self, gs_server: GsServer, prefix: str) -> RawAccess:
        return JsonAccess(gs_server, prefix)


def test_what_is_below_a_prefix_is_listed(
    gs_server: GsServer, gs_environment: pytest.MonkeyPatch
) -> None:
    assert gs_environment
    prefix = f"list/{uuid.uuid4().hex}"
    raw = JsonAccess(gs_server, prefix)
    for key in ("a/1", "a/b/2", "ab/3"):
        raw.write(key, b"x")
    store = open_store(f"gs://{gs_server.bucket}/{prefix}")
    assert {entry.key for entry in store.list("a/")} == {"a/1", "a/b/2"}
    assert list(store.list("no/")) == []


@pytest.mark.parametrize("address", ["no address", "http://", "http://u:secret@host"])
def test_an_emulator_that_has_no_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    with pytest.raises(StoreError, match="STORAGE_EMULATOR_HOST is not") as caught:
        open_store("gs://bucket/x")
    assert "secret" not in str(caught.value)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(StoreError, match="no credentials") as caught:
        open_store("gs://user:secret@bucket/x")
    assert "secret" not in str(caught.value)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.remedy
