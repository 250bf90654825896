"""A folder that stands for a mounted Drive; what Drive itself does with the files is not seen."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sojourn.errors import StoreError
from sojourn.progress import Progress
from sojourn.stores.base import Body, Store, StoredObject, Swap
from sojourn.stores.drive import is_on_drive, open_drive
from sojourn.stores.url import open_store
from sojourn.testing.faults import FaultyStore
from sojourn.testing.push_contract import PushContract
from sojourn.testing.store_contract import FolderAccess, RawAccess, StoreContract


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    mount = tmp_path / "drive"
    (mount / "MyDrive").mkdir(parents=True)
    return mount


@pytest.fixture
def store(mount: Path) -> Store:
    return open_drive(mount / "MyDrive" / "sets" / "leaks", mount=mount, is_mount=Path.is_dir)


class TestDriveStore(StoreContract):
    @pytest.fixture
    def store(self, mount: Path) -> Store:
        return open_drive(mount / "MyDrive" / "leaks", mount=mount, is_mount=Path.is_dir)

    @pytest.fixture
    def raw(self, mount: Path) -> RawAccess:
        return FolderAccess(mount / "MyDrive" / "leaks")


class Watched(FaultyStore):
    written_bytes = 0

    def put(self, key: str, body: Body) -> None:
        Watched.written_bytes += len(body) if isinstance(body, bytes) else body.seek(0, 2)
        super().put(key, body)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        Watched.written_bytes += len(swap.body) if swap else 0
        super().publish(swap, message=message, progress=progress)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        raise AssertionError(f"{prefix!r} is listed")


class TestPushToDrive(PushContract):
    """None of these pushes lists anything."""

    guards = False

    @pytest.fixture
    def connect(self, mount: Path) -> Callable[[], Store]:
        folder = mount / "MyDrive" / "leaks"
        return lambda: Watched(open_drive(folder, mount=mount, is_mount=Path.is_dir))

    @pytest.fixture
    def received(self) -> Callable[[], int]:
        return lambda: Watched.written_bytes


def test_an_object_is_replaced_at_once_and_nothing_is_left_beside_it(
    store: Store, mount: Path
) -> None:
    store.put("a/k", b"old")
    file = mount / "MyDrive" / "sets" / "leaks" / "a" / "k"
    with file.open("rb") as reader:
        store.put("a/k", b"new and longer")
        assert reader.read() == b"old"
    assert file.read_bytes() == b"new and longer"
    assert [path.name for path in file.parent.iterdir()] == ["k"]


def test_a_drive_that_is_not_mounted_is_not_written_to(tmp_path: Path) -> None:
    mount = tmp_path / "drive"
    with pytest.raises(StoreError, match="not mounted") as caught:
        open_drive(mount / "MyDrive" / "leaks", mount=mount)
    assert "from google.colab import drive; drive.mount(" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_drive_that_goes_away_is_told(mount: Path) -> None:
    there = [True]
    store = open_drive(mount / "MyDrive" / "x", mount=mount, is_mount=lambda _: there[0])
    store.put("k", b"1")
    there[0] = False
    for call in (lambda: store.get("k"), lambda: store.put("k", b"2"), lambda: store.find("k")):
        with pytest.raises(StoreError, match="not mounted"):
            call()


def test_the_mount_itself_and_unknown_drives_are_refused(mount: Path) -> None:
    for folder in (mount, mount / "MyDrvie" / "x"):
        with pytest.raises(StoreError, match="none of the drives") as caught:
            open_drive(folder, mount=mount, is_mount=Path.is_dir)
        assert f"{mount}/MyDrive/data" in caught.value.remedy


@pytest.mark.parametrize(
    "path", ["/content/drive/MyDrive/x", "/content/drive", "/content/../content/drive/MyDrive"]
)
def test_a_path_on_a_drive_is_known_as_one(path: str) -> None:
    assert is_on_drive(Path(path))


@pytest.mark.parametrize("path", ["/content/driver", "/content/data", "drive"])
def test_other_paths_are_on_no_drive(path: str) -> None:
    assert not is_on_drive(Path(path))


@pytest.mark.skipif(Path("/content/drive").exists(), reason="a Drive is mounted here")
@pytest.mark.parametrize("address", ["/content/drive/MyDrive/x", "file:///content/drive/MyDrive/x"])
def test_an_address_on_a_drive_is_known_as_one(address: str) -> None:
    with pytest.raises(StoreError, match="Google Drive is not mounted at /content/drive"):
        open_store(address)
