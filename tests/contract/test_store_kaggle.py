import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)
from sojourn.progress import NoProgress
from sojourn.stores.base import Presentation, Store
from sojourn.stores.kaggle import KaggleStore, open_kaggle
from sojourn.stores.kaggle_limits import KaggleLimits
from sojourn.stores.kaggle_publishing import Patience
from sojourn.testing.kaggle_server import KaggleServer, KaggleTrouble
from sojourn.testing.store_contract import RawAccess, StoreContract, commit

OWNER, SLUG = "me", "leaks-2024"


class Clock:
    """Time that goes on by being waited for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits_s: list[float] = []

    def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self.now_s += wait_s

    def __call__(self) -> float:
        return self.now_s


class VersionsAccess:
    """Objects as a person finds them who follows the index by hand."""

    def __init__(self, server: KaggleServer) -> None:
        self._datasets = server.datasets

    def read(self, key: str) -> bytes | None:
        dataset = self._datasets.get(OWNER, SLUG)
        if dataset is None:
            return None
        files = dataset.versions[-1].files
        if "sojourn-versions.json" in files:
            objects = json.loads(files["sojourn-versions.json"].read_bytes())["objects"]
            if key not in objects:
                return None
            if objects[key]["version"] is not None:
                files = dataset.versions[objects[key]["version"] - 1].files
        return files[key].read_bytes() if key in files else None

    def write(self, key: str, data: bytes) -> None:
        dataset = self._datasets.get(OWNER, SLUG)
        files = dataset.versions[-1].files if dataset else {}
        earlier = {name: path.read_bytes() for name, path in files.items()}
        self._datasets.add(OWNER, SLUG, {**earlier, key: data})


OpenStore = Callable[..., KaggleStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_it(kaggle: KaggleServer, clock: Clock) -> OpenStore:
    def open_it(name: str = f"{OWNER}/{SLUG}", **arguments: Any) -> KaggleStore:
        assert kaggle
        patience = Patience(clock=clock, sleep=clock.sleep)
        return open_kaggle(name, environment=os.environ, **{"patience": patience, **arguments})

    return open_it


@pytest.fixture
def store(open_it: OpenStore) -> KaggleStore:
    return open_it()


def current(server: KaggleServer) -> set[str]:
    dataset = server.datasets.get(OWNER, SLUG)
    assert dataset is not None
    return set(dataset.versions[-1].files)


class TestKaggleStore(StoreContract):
    @pytest.fixture
    def store(self, open_it: OpenStore) -> Store:
        return open_it()

    @pytest.fixture
    def raw(self, kaggle: KaggleServer) -> RawAccess:
        return VersionsAccess(kaggle)


class TestWhereKaggleDeniesWhatIsNotThere(TestKaggleStore):
    """The real one answers 403 for data sets that do not exist."""

    @pytest.fixture
    def store(self, kaggle: KaggleServer, open_it: OpenStore) -> Store:
        kaggle.datasets.absent_status = 403
        return open_it()


class TestWhereSingleFilesComeAsArchives(TestKaggleStore):
    @pytest.fixture
    def store(self, kaggle: KaggleServer, open_it: OpenStore) -> Store:
        kaggle.datasets.zips_files_from_bytes = 0
        return open_it()


class TestWithAnApiKey(TestKaggleStore):
    @pytest.fixture
    def store(self, open_it: OpenStore, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.delenv("KAGGLE_API_TOKEN")
        monkeypatch.setenv("KAGGLE_USERNAME", "me")
        monkeypatch.setenv("KAGGLE_KEY", "0123456789abcdef")
        return open_it()
