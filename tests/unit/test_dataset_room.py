from datetime import UTC, datetime
from pathlib import Path

import pytest

from sojourn.dataset.push import push_folder
from sojourn.errors import StoreError
from sojourn.progress import NoProgress
from sojourn.stores.base import Capabilities
from sojourn.stores.objects import ObjectStore, open_memory


class SmallStore(ObjectStore):
    """A store in memory that says how little it takes."""

    room: int | None = None

    def room_bytes(self) -> int | None:
        return self.room


def small_store(
    *, room_bytes: int | None = None, max_object_bytes: int | None = None
) -> SmallStore:
    memory = open_memory()
    store = SmallStore(
        to_read=memory._to_read,
        to_write=memory._to_write,
        url="memory://small",
        capabilities=Capabilities(max_object_bytes=max_object_bytes),
    )
    store.room = room_bytes
    return store


def push(folder: Path, store: SmallStore) -> None:
    push_folder(
        folder, store, message="", now=datetime(2026, 1, 1, tzinfo=UTC), progress=NoProgress()
    )


def noise(size_bytes: int) -> bytes:
    state, data = 1, bytearray()
    for _ in range(size_bytes):
        state = (1103515245 * state + 12345) % 2**31
        data.append(state >> 16 & 255)
    return bytes(data)


def test_what_has_no_room_is_refused_before_any_of_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(noise(50_000))
    store = small_store(room_bytes=40_000)
    with pytest.raises(StoreError, match=r"room for 39\.1 KiB more.*takes 48\.\d KiB.*Nothing"):
        push(tmp_path, store)
    assert list(store.list()) == []


def test_what_has_room_once_it_is_packed_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(50_000))
    store = small_store(room_bytes=40_000)
    push(tmp_path, store)
    assert store.find("sojourn.json")


def test_a_file_that_is_too_large_is_refused_before_others_are_sent(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(noise(1000))
    (tmp_path / "b").write_bytes(noise(50_000))
    store = small_store(max_object_bytes=40_000)
    with pytest.raises(StoreError, match=r"takes objects of up to 39\.1 KiB"):
        push(tmp_path, store)
    assert list(store.list()) == []
