import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.pull import pull_manifest
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.dataset.verifying import verify_store
from sojourn.errors import IntegrityError
from sojourn.progress import NoProgress
from sojourn.stores.base import Store
from sojourn.stores.objects import open_memory
from sojourn.units import KIB

SIZES = Sizes(
    min_shard_bytes=64 * KIB,
    mean_shard_bytes=128 * KIB,
    max_shard_bytes=256 * KIB,
    frame_bytes=64 * KIB,
)


def make_folder(folder: Path) -> None:
    (folder / "train").mkdir(parents=True)
    (folder / "empty").mkdir()
    for number in range(40):
        rows = "".join(f"{number + row},{row}.25\n" for row in range(400))
        (folder / "train" / f"{number:03}.csv").write_text(f"a,b\n{rows}")
    (folder / "large.bin").write_bytes(bytes(range(251)) * 2000)
    (folder / "note.txt").write_text("a note")
    (folder / "nothing").write_bytes(b"")


def unpack(store: Store, ending: str) -> None:
    for stored in list(store.list("shards/")):
        data = store.get(stored.key)
        raw = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    store.put(f"{stored.key.removesuffix(ending)}/{member.name}", content.read())
        store.delete(stored.key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Store:
    store = open_memory()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=SIZES)
    return store


@pytest.mark.parametrize("ending", [".tar.zst", ".zst", ".none"])
def test_shards_that_the_store_unpacked_are_pulled_read_and_verified(
    store: Store, folder: Path, tmp_path: Path, ending: str
) -> None:
    unpack(store, ending)
    assert not any(o.key.endswith(".tar.zst") for o in store.list())
    manifest = load_manifest(store)
    assert len(manifest.shards) > 1
    assert any(shard.segments for shard in manifest.shards)
    pull_manifest(manifest, store, tmp_path / "out", progress=NoProgress())
    for path in folder.rglob("*"):
        got = tmp_path / "out" / path.relative_to(folder)
        assert got.exists()
        if path.is_file():
            assert got.read_bytes() == path.read_bytes()
    dataset = Dataset(manifest, store)
    assert dataset.read_bytes("large.bin") == (folder / "large.bin").read_bytes()
    assert verify_store(manifest, store, progress=NoProgress()).problems == ()


def test_a_file_of_them_that_differs_is_found(store: Store, tmp_path: Path) -> None:
    unpack(store, ".tar.zst")
    (key,) = [o.key for o in store.list() if o.key.endswith("note.txt")]
    store.put(key, b"b note")
    manifest = load_manifest(store)
    report = verify_store(manifest, store, progress=NoProgress())
    assert [(p.name, p.problem) for p in report.problems] == [("note.txt", "its contents differ")]
    with pytest.raises(IntegrityError, match=r"note\.txt"):
        pull_manifest(manifest, store, tmp_path / "out", progress=NoProgress())
    store.put(key, b"a")
    with pytest.raises(IntegrityError, match="too short"):
        pull_manifest(manifest, store, tmp_path / "out", progress=NoProgress())


def test_a_shard_that_is_there_neither_way_is_missing(store: Store, tmp_path: Path) -> None:
    manifest = load_manifest(store)
    (large,) = [member for member in manifest.files if member.path == "large.bin"]
    store.delete(manifest.shards[large.shard].key)
    with pytest.raises(IntegrityError, match=r"is missing.*Push the folder again.*sojourn verify"):
        pull_manifest(manifest, store, tmp_path / "out", progress=NoProgress())
