from pathlib import Path

import pytest

from sojourn.stores.base import Store
from sojourn.stores.folders import open_folder
from sojourn.testing.store_contract import FolderAccess, RawAccess, StoreContract


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
