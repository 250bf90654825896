import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sojourn.dataset.manifest import Manifest, Shard
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.dataset.verifying import Problem, verify_folder, verify_store
from sojourn.errors import UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import ObjectStore, open_memory

SIZES = Sizes(
    min_shard_bytes=20_000, mean_shard_bytes=40_000, max_shard_bytes=80_000, frame_bytes=8_000
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    for number in range(60):
        (folder / "in" / f"{number:02}").write_bytes(os.urandom(2_000))
    (folder / "large").write_bytes(os.urandom(30_000))
    (folder / "nothing").write_bytes(b"")
    (folder / "link").symlink_to("large")
    return folder


@pytest.fixture
def memory(folder: Path) -> ObjectStore:
    store = open_memory()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=SIZES)
    return store


def _in_store(memory: ObjectStore) -> tuple[Problem, ...]:
    return verify_store(load_manifest(memory), memory, progress=NoProgress()).problems


def _in_folder(memory: ObjectStore, folder: Path) -> list[tuple[str, str]]:
    report = verify_folder(load_manifest(memory), memory, folder, progress=NoProgress())
    return [(problem.name, problem.problem) for problem in report.problems]


def test_a_store_as_it_was_pushed_is_whole(memory: ObjectStore) -> None:
    manifest = load_manifest(memory)
    report = verify_store(manifest, memory, progress=NoProgress())
    assert report.problems == ()
    assert report.checked_files == 62
    assert report.checked_bytes == manifest.stored_bytes


def _flip(memory: ObjectStore, shard: Shard, at: int) -> None:
    data = memory.get(shard.key)
    memory.put(shard.key, data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_a_bit_anywhere_in_a_shard_is_found(memory: ObjectStore, place: float) -> None:
    shard = load_manifest(memory).shards[1]
    _flip(memory, shard, int((shard.size_bytes - 1) * place))
    assert {problem.name for problem in _in_store(memory)} >= {shard.key}


def test_all_that_is_wrong_is_listed(memory: ObjectStore) -> None:
    manifest: Manifest = load_manifest(memory)
    first, second, third = manifest.shards[:3]
    memory.delete(first.key)
    memory.put(second.key, memory.get(second.key)[:-1])
    _flip(memory, third, 100)
    assert [problem.name for problem in _in_store(memory)] == [first.key, second.key, third.key]
    assert _in_store(memory)[0].problem == "missing"


def test_a_folder_as_it_was_pushed_matches(memory: ObjectStore, folder: Path) -> None:
    (folder / "mine").write_text("not in the set")
    assert _in_folder(memory, folder) == []


def test_what_differs_in_a_folder_is_listed(memory: ObjectStore, folder: Path) -> None:
    (folder / "in" / "03").write_bytes(os.urandom(2_000))
    (folder / "in" / "07").unlink()
    (folder / "large").write_bytes(b"short")
    (folder / "link").unlink()
    (folder / "link").symlink_to("nothing")
    (folder / "nothing").unlink()
    (folder / "nothing").mkdir()
    assert _in_folder(memory, folder) == [
        ("in/03", "its contents differ"),
        ("in/07", "missing"),
        ("large", "5 bytes instead of 30000"),
        ("link", "the link points elsewhere"),
        ("nothing", "not a file"),
    ]


def test_a_folder_that_is_not_there_is_refused(memory: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        _in_folder(memory, tmp_path / "nothing")
