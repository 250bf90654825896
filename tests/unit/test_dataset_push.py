import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sojourn.dataset.manifest import Manifest
from sojourn.dataset.push import PushReport, push_folder
from sojourn.dataset.repository import find_manifest, load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.errors import IntegrityError, StoreError, StoreUnavailableError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.base import Capabilities, Store, StoredObject
from sojourn.stores.dryrun import DryRun
from sojourn.stores.folders import open_folder
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore, Verb, unavailable

SIZES = Sizes(
    min_shard_bytes=20_000, mean_shard_bytes=40_000, max_shard_bytes=80_000, frame_bytes=8_000
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _push(folder: Path, store: Store, message: str = "") -> PushReport:
    return push_folder(folder, store, message=message, now=NOW, progress=NoProgress(), sizes=SIZES)


def _manifest(store: Store) -> Manifest:
    return load_manifest(store)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03}.bin").write_bytes(os.urandom(2_000 + number))
    return folder


@pytest.fixture
def memory() -> ObjectStore:
    return open_memory()


def _puts(store: FaultyStore) -> list[str]:
    return [key for verb, key in store.calls if verb in ("put", "publish") and key]


def test_the_manifest_comes_last(folder: Path, memory: ObjectStore) -> None:
    store = FaultyStore(memory)
    report = _push(folder, store)
    puts = _puts(store)
    assert puts[-3:] == ["README.md", f"revisions/{report.revision}.json", "sojourn.json"]
    assert all(key.startswith("shards/") for key in puts[:-3])
    assert report.shards_sent == len(puts) - 3 > 3


def test_what_was_sent_is_counted(folder: Path, memory: ObjectStore) -> None:
    report = _push(folder, memory)
    assert report.sent_bytes == sum(entry.size_bytes for entry in memory.list())
    assert report.files == 100
    assert report.raw_bytes == sum(file.stat().st_size for file in folder.iterdir())


def test_a_second_push_sends_nothing_at_all(folder: Path, memory: ObjectStore) -> None:
    first = _push(folder, memory)
    os.utime(folder / "050.bin", (1, 1))
    store = FaultyStore(memory)
    second = _push(folder, store, message="another message")
    assert _puts(store) == []
    assert second.unchanged
    assert (second.revision, second.sent_bytes, second.shards_sent) == (first.revision, 0, 0)


@pytest.mark.parametrize("change", ["contents", "same size", "mode", "new", "gone", "kind"])
def test_one_change_sends_few_shards(folder: Path, memory: ObjectStore, change: str) -> None:
    first = _push(folder, memory)
    file = folder / "050.bin"
    match change:
        case "contents":
            file.write_bytes(b"other")
        case "same size":
            file.write_bytes(os.urandom(2_050))
        case "mode":
            file.chmod(0o755)
        case "new":
            (folder / "050.new").write_bytes(b"new")
        case "gone":
            file.unlink()
        case "kind":
            file.unlink()
            file.mkdir()
    second = _push(folder, memory, message="changed")
    assert second.parent == first.revision != second.revision
    assert 1 <= second.shards_sent <= 2
    assert second.shards_reused >= first.shards_sent - 2
    assert _manifest(memory).message == "changed"
    assert load_manifest(memory, revision=first.revision).revision == first.revision


def test_going_back_makes_a_new_revision_and_sends_no_shard(
    folder: Path, memory: ObjectStore
) -> None:
    first = _push(folder, memory)
    (folder / "new").write_bytes(b"x")
    second = _push(folder, memory)
    (folder / "new").unlink()
    third = _push(folder, memory)
    assert third.shards_sent == 0
    assert third.parent == second.revision
    assert third.revision not in (first.revision, second.revision)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_push_that_stops_publishes_nothing_and_goes_on(
    folder: Path, memory: ObjectStore, after: int
) -> None:
    stopping = FaultyStore(
        memory, Fault(verb="put", keys="shards/*", after=after, error=unavailable())
    )
    with pytest.raises(StoreUnavailableError):
        _push(folder, stopping)
    assert find_manifest(memory) is None
    there = len(list(memory.list("shards/")))
    assert there >= after
    report = _push(folder, memory)
    assert report.shards_reused == there
    assert report.shards_sent == len(_manifest(memory).shards) - there


@pytest.mark.parametrize(
    ("verb", "key"),
    [("put", "README.md"), ("put", "revisions/*"), ("publish", "sojourn.json")],
)
def test_a_push_that_stops_at_its_end_leaves_the_old_revision(
    folder: Path, memory: ObjectStore, verb: Verb, key: str
) -> None:
    first = _push(folder, memory)
    (folder / "new").write_bytes(b"x")
    with pytest.raises(StoreUnavailableError):
        _push(folder, FaultyStore(memory, Fault(verb=verb, keys=key, error=unavailable())))
    assert _manifest(memory).revision == first.revision
    assert _push(folder, memory).shards_sent == 0


def test_a_shard_that_is_too_short_in_the_store_is_sent_again(
    folder: Path, memory: ObjectStore
) -> None:
    _push(folder, memory)
    key = _manifest(memory).shards[1].key
    whole = memory.get(key)
    memory.put(key, whole[:-1])
    store = FaultyStore(memory)
    report = _push(folder, store)
    assert _puts(store) == [key]
    assert memory.get(key) == whole
    assert report.shards_sent == 1


def test_a_push_meanwhile_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    class Meanwhile(FaultyStore):
        """Somebody else pushes after this push has looked for an earlier revision."""

        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            _push(other, self._store)
            return super().list(prefix)

    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").write_text("x")
    memory = open_memory()
    with pytest.raises(StoreError, match="Somebody else pushed"):
        _push(folder, Meanwhile(memory))
    assert [member.path for member in _manifest(memory).members] == ["theirs"]
    assert _push(folder, memory).shards_sent == 0


def test_a_dry_run_tells_what_the_push_then_does(folder: Path, memory: ObjectStore) -> None:
    would = _push(folder, DryRun(memory))
    assert list(memory.list()) == []
    assert _push(folder, memory) == would


def test_a_file_that_changes_meanwhile_stops_the_push(folder: Path, memory: ObjectStore) -> None:
    class Changing(NoProgress):
        def task(self, label: str, *, total: int | None = None, unit: str = "bytes"):  # type: ignore[no-untyped-def]  # noqa: ANN202
            (folder / "099.bin").write_bytes(b"changed after the listing")
            return super().task(label, total=total, unit=unit)

    with pytest.raises(IntegrityError, match=r"099\.bin changed while it was read"):
        push_folder(folder, memory, message="", now=NOW, progress=Changing(), sizes=SIZES)
    assert find_manifest(memory) is None


def test_an_empty_folder_is_refused_before_the_store_is_asked(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    store = FaultyStore(open_memory())
    with pytest.raises(UsageError, match="holds no file"):
        _push(tmp_path / "empty", store)
    assert store.calls == []


def test_a_store_inside_of_the_folder_is_refused(folder: Path) -> None:
    for place in (folder, folder / "store", folder / "a" / "b"):
        with pytest.raises(UsageError, match="is inside of"):
            _push(folder, open_folder(place))


def test_a_store_reached_by_a_link_into_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UsageError, match="is inside of"):
        _push(folder, open_folder(tmp_path / "link" / "store"))


def test_a_damaged_or_newer_manifest_is_not_overwritten(folder: Path, memory: ObjectStore) -> None:
    for data in (b"{", b'{"schema": "sojourn.manifest/2"}'):
        memory.put("sojourn.json", data)
        with pytest.raises(IntegrityError):
            _push(folder, memory)
        assert memory.get("sojourn.json") == data


def _limited(memory: ObjectStore, capabilities: Capabilities) -> ObjectStore:
    def handle():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return memory._to_read()

    return ObjectStore(to_read=handle, to_write=handle, url="memory://", capabilities=capabilities)


def test_a_shard_larger_than_the_store_takes_is_refused(folder: Path, memory: ObjectStore) -> None:
    store = _limited(memory, Capabilities(max_object_bytes=10_000))
    with pytest.raises(StoreError, match=r"takes objects of up to 9\.8 KiB"):
        _push(folder, store)


def test_a_store_that_can_only_be_read_is_refused(folder: Path, memory: ObjectStore) -> None:
    with pytest.raises(StoreError, match="can only be read"):
        _push(folder, _limited(memory, Capabilities(read_only=True)))


def test_the_same_folder_has_the_same_revision_everywhere(
    folder: Path, tmp_path: Path, memory: ObjectStore
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    elsewhere = open_memory()
    _push(folder, memory)
    _push(tmp_path / "copy", elsewhere)
    assert memory.get("sojourn.json") == elsewhere.get("sojourn.json")


def test_a_push_of_the_same_content_meanwhile_is_no_quarrel(
    folder: Path, memory: ObjectStore
) -> None:
    class Meanwhile(FaultyStore):
        """The same folder is pushed after this push has looked for an earlier revision."""

        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            _push(folder, self._store, message="theirs")
            return super().list(prefix)

    store = Meanwhile(memory)
    report = _push(folder, store, message="ours")
    assert report.revision == _manifest(memory).revision
    assert _manifest(memory).message == "theirs"
    assert _puts(store) == []


def test_a_message_that_is_no_text_is_refused_before_anything_is_sent(
    folder: Path, memory: ObjectStore
) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        _push(folder, memory, message="a\udcffb")
    assert list(memory.list()) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null"])
def test_the_way_out_of_a_damaged_manifest_leads_out(
    folder: Path, memory: ObjectStore, damage: bytes
) -> None:
    _push(folder, memory)
    (folder / "000.bin").write_bytes(b"other")
    newest = _push(folder, memory).revision
    whole = memory.get("sojourn.json")
    memory.put("sojourn.json", damage)
    with pytest.raises(IntegrityError) as caught:
        _push(folder, memory)
    assert f"revisions/{newest}.json over it" in caught.value.remedy
    memory.put("sojourn.json", memory.get(f"revisions/{newest}.json"))
    assert memory.get("sojourn.json") == whole
    assert _push(folder, memory).unchanged

    memory.put("sojourn.json", damage)
    assert "delete it and push" in caught.value.remedy
    memory.delete("sojourn.json")
    assert _push(folder, memory).shards_sent == 0
    assert len(_manifest(memory).files) == 100


def test_without_a_readable_revision_a_damaged_manifest_is_deleted(
    folder: Path, memory: ObjectStore
) -> None:
    memory.put(f"revisions/{_push(folder, memory).revision}.json", b"")
    memory.put("sojourn.json", b"")
    with pytest.raises(IntegrityError) as caught:
        _manifest(memory)
    assert caught.value.remedy.startswith("Delete it and push")
    memory.delete("sojourn.json")
    assert _push(folder, memory).shards_sent == 0
