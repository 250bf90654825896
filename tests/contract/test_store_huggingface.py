from collections.abc import Iterator

import pytest

from sojourn.stores.base import Store
from sojourn.stores.url import open_store
from sojourn.testing.hub_records import HubFile, HubServer
from sojourn.testing.hub_server import running_hub_server
from sojourn.testing.store_contract import RawAccess, StoreContract


class HubAccess:
    """The files of the newest commit, in the server itself."""

    def __init__(self, hub: HubServer, name: str) -> None:
        self._hub = hub
        self._name = name

    def read(self, key: str) -> bytes | None:
        repo = self._hub.repos.get(self._name)
        file = repo.files.get(key) if repo else None
        return file.data if file else None

    def write(self, key: str, data: bytes) -> None:
        file = HubFile(data=data, is_large=key.endswith("k") and bool(data))
        with self._hub.lock:
            repo = self._hub.repos.get(self._name) or self._hub.make_repo(self._name)
            if file.is_large:
                self._hub.storage[file.oid] = data
            repo.commit({**repo.files, key: file})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with running_hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        yield hub


class TestHuggingFaceStore(StoreContract):
    @pytest.fixture
    def store(self, hub: HubServer) -> Store:
        assert hub
        return open_store("hf://datasets/me/leaks")

    @pytest.fixture
    def raw(self, hub: HubServer) -> RawAccess:
        return HubAccess(hub, "me/leaks")
