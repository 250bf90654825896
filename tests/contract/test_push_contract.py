"""Pushes to the stores that need no server but one of Python's own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sojourn.progress import Progress
from sojourn.stores.base import Body, Store, Swap
from sojourn.stores.kaggle import open_kaggle
from sojourn.stores.kaggle_readiness import Patience
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.stores.retrying import Retrying
from sojourn.stores.url import open_store
from sojourn.testing.faults import FaultyStore
from sojourn.testing.hub_records import HubServer
from sojourn.testing.hub_server import running_hub_server
from sojourn.testing.kaggle_server import KaggleServer
from sojourn.testing.push_contract import PushContract


class Counting(FaultyStore):
    received_bytes = 0

    def put(self, key: str, body: Body) -> None:
        self._count(body)
        super().put(key, body)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        self._count(swap.body if swap else b"")
        super().publish(swap, message=message, progress=progress)

    def _count(self, body: Body) -> None:
        size_bytes = len(body) if isinstance(body, bytes) else body.seek(0, 2)
        Counting.received_bytes += size_bytes


class TestPushToMemory(PushContract):
    @pytest.fixture
    def memory(self) -> ObjectStore:
        return open_memory()

    @pytest.fixture
    def connect(self, memory: ObjectStore) -> Callable[[], Store]:
        return lambda: Counting(memory)

    @pytest.fixture
    def received(self) -> Callable[[], int]:
        return lambda: Counting.received_bytes


class TestPushToFolder(PushContract):
    guards = False

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: open_store(tmp_path / "store")

    @pytest.fixture
    def received(self, tmp_path: Path) -> Callable[[], int]:
        # Files that are replaced are counted with what they had before: by inode.
        seen: dict[int, int] = {}

        def received() -> int:
            for path in (tmp_path / "store").rglob("*"):
                if path.is_file():
                    seen[path.stat().st_ino] = path.stat().st_size
            return sum(seen.values())

        return received


class TestPushToKaggle(PushContract):
    """A version is waited for by a clock that stands still between the looks."""

    @pytest.fixture
    def connect(self, kaggle: KaggleServer) -> Callable[[], Store]:
        assert kaggle
        patience = Patience(sleep=lambda _: None)
        return lambda: Retrying(
            open_kaggle("me/leaks-2024", environment=os.environ, patience=patience)
        )

    @pytest.fixture
    def received(self, kaggle: KaggleServer) -> Callable[[], int]:
        return lambda: kaggle.received_bytes


class TestPushToTheHub(PushContract):
    overhead = 4 / 3

    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # noqa: ANN201
        with running_hub_server() as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            monkeypatch.setenv("HF_TOKEN", hub.token)
            yield hub

    @pytest.fixture
    def connect(self, hub: HubServer) -> Callable[[], Store]:
        assert hub
        return lambda: open_store("hf://datasets/me/leaks")

    @pytest.fixture
    def received(self, hub: HubServer) -> Callable[[], int]:
        return lambda: hub.received_bytes("hub") + hub.received_bytes("storage")
