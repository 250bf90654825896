import pytest

from sojourn.stores.base import Store
from sojourn.stores.objects import open_memory
from sojourn.stores.retrying import Retrying
from sojourn.testing.faults import FaultyStore
from sojourn.testing.store_contract import RawAccess, StoreContract


class SecondHandle:
    """The same objects by a handle of their own: memory has no other side."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, key: str) -> bytes | None:
        return self._store.get(key) if self._store.find(key) is not None else None

    def write(self, key: str, data: bytes) -> None:
        self._store.put(key, data)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def memory(self) -> Store:
        return open_memory()

    @pytest.fixture
    def store(self, memory: Store) -> Store:
        return memory

    @pytest.fixture
    def raw(self, memory: Store) -> RawAccess:
        return SecondHandle(memory)


class TestWrappedStore(TestMemoryStore):
    """A wrapper is a store: it passes what its store passes."""

    @pytest.fixture
    def store(self, memory: Store) -> Store:
        return Retrying(FaultyStore(memory))
