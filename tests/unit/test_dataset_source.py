"""The objects of a store, packed as if they were the files of a folder."""

from datetime import UTC, datetime

import pytest

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.names import find_clash
from sojourn.dataset.push import push_source
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.source import StoreSource
from sojourn.errors import IntegrityError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def raw() -> ObjectStore:
    store = open_memory()
    for key in ("b/c/1.bin", "b/2.bin", "a.txt"):
        store.put(key, key.encode() * 100)
    return store


def test_objects_become_files_in_folders(raw: ObjectStore) -> None:
    entries = StoreSource(raw).entries()
    assert [(entry.path, entry.kind, entry.mode) for entry in entries] == [
        ("a.txt", "file", 0o644),
        ("b", "folder", 0o755),
        ("b/2.bin", "file", 0o644),
        ("b/c", "folder", 0o755),
        ("b/c/1.bin", "file", 0o644),
    ]


def test_they_are_pushed_and_read_back(raw: ObjectStore) -> None:
    target = open_memory()
    for is_first in (True, False):
        report = push_source(StoreSource(raw), target, message="", now=NOW, progress=NoProgress())
        assert report.unchanged != is_first
    dataset = Dataset(load_manifest(target), target)
    assert dataset.read_bytes("b/c/1.bin") == b"b/c/1.bin" * 100


def test_an_object_that_is_a_folder_as_well_is_refused(raw: ObjectStore) -> None:
    raw.put("b", b"x")
    with pytest.raises(UsageError, match="no folder can hold both"):
        StoreSource(raw).entries()


def test_an_empty_store_is_refused() -> None:
    with pytest.raises(UsageError, match="holds no object"):
        StoreSource(open_memory()).entries()


def test_an_object_that_became_shorter_is_noticed(raw: ObjectStore) -> None:
    source = StoreSource(FaultyStore(raw, Fault(verb="get_range", drop_bytes=1)))
    with pytest.raises(IntegrityError, match="changed while it was read"):
        list(source.chunks(source.entries()[0]))


@pytest.mark.parametrize(
    ("paths", "clash"),
    [
        (("a", "b", "a/b"), None),
        (("Data.csv", "data.csv"), ("Data.csv", "data.csv")),
        (("a/STRASSE", "a/straße"), ("a/STRASSE", "a/straße")),
        (("\uac00", "\u1100\u1161"), ("\uac00", "\u1100\u1161")),
    ],
)
def test_names_that_some_disks_take_for_one_are_found(
    paths: tuple[str, ...], clash: tuple[str, str] | None
) -> None:
    assert find_clash(paths) == clash
