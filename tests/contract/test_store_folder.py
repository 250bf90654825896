from pathlib import Path

import pytest

from sojourn.stores.base import Store
from sojourn.stores.objects import open_folder
from sojourn.testing.store_contract import RawAccess, StoreContract


class FolderAccess:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> bytes | None:
        path = self._folder / key
        return path.read_bytes() if path.is_file() else None

    def write(self, key: str, data: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class TestFolderStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_folder(tmp_path / "not made yet")

    @pytest.fixture
    def raw(self, tmp_path: Path) -> RawAccess:
        return FolderAccess(tmp_path / "not made yet")

    def test_reading_makes_no_folder(self, store: Store, tmp_path: Path) -> None:
        assert store.find("k") is None
        assert list(tmp_path.iterdir()) == []
