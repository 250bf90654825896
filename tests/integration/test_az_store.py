import uuid

import pytest

from sojourn.errors import AccessDeniedError, ConflictError, StoreError
from sojourn.stores.base import Store
from sojourn.stores.url import open_store
from sojourn.testing.az import AzServer, request_blob
from sojourn.testing.store_contract import RawAccess, StoreContract, swap


class RestAccess:
    """Blobs by signed requests of the tests' own."""

    def __init__(self, server: AzServer, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def read(self, key: str) -> bytes | None:
        answer = request_blob(self._server, "GET", f"{self._prefix}/{key}")
        return answer.content if answer.status_code == 200 else None

    def write(self, key: str, data: bytes) -> None:
        request_blob(self._server, "PUT", f"{self._prefix}/{key}", data).raise_for_status()


class TestAzStore(StoreContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"contract/{uuid.uuid4().hex}"

    @pytest.fixture
    def store(self, az_server: AzServer, az_environment: pytest.MonkeyPatch, prefix: str) -> Store:
        assert az_environment
        return open_store(f"az://{az_server.container}/{prefix}")

    @pytest.fixture
    def raw(self, az_server: AzServer, prefix: str) -> RawAccess:
        return RestAccess(az_server, prefix)


def test_a_wrong_key_is_denied_and_not_shown(
    az_server: AzServer, az_environment: pytest.MonkeyPatch
) -> None:
    az_environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmcgb25l")
    store = open_store(f"az://{az_server.container}/x")
    for call in (
        lambda: store.get("k"),
        lambda: store.put("k", b"x"),
        lambda: list(store.list()),
        lambda: store.find("k"),
    ):
        with pytest.raises(AccessDeniedError) as caught:
            call()
        assert "d3Jvbmcgb25l" not in str(caught.value)


def test_a_missing_container_is_named(az_environment: pytest.MonkeyPatch) -> None:
    assert az_environment
    with pytest.raises(StoreError, match=r"az://no-such/x.*no such container"):
        open_store("az://no-such/x").put("k", b"x")


def test_an_object_that_changed_is_not_replaced(
    az_server: AzServer, az_environment: pytest.MonkeyPatch
) -> None:
    assert az_environment
    store = open_store(f"az://{az_server.container}/{uuid.uuid4().hex}")
    swap(store, "k", b"1", expected=None)
    with pytest.raises(ConflictError):
        swap(store, "k", b"2", expected=None)
    swap(store, "k", b"2", expected=b"1")
    assert store.get("k") == b"2"


def test_without_an_account_the_address_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.delenv("AZURE_STORAGE_USE_EMULATOR", raising=False)
    with pytest.raises(AccessDeniedError, match="whose container") as caught:
        open_store("az://container/x")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.remedy
