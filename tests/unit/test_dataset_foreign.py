"""Data sets that were not pushed with Sojourn: loose objects, and zips."""

import io
import os
import pickle
import random
import shlex
import stat
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import sojourn
from sojourn.api import verify
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.dataset_source import DatasetSource
from sojourn.dataset.foreign_listing import find_foreign
from sojourn.dataset.known_files import KnownFiles
from sojourn.dataset.pull import pull_manifest
from sojourn.dataset.push import push_source
from sojourn.errors import IntegrityError, ObjectNotFoundError, StoreError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.base import Store, StoredObject
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.stores.url import open_object, open_store
from sojourn.testing.faults import Fault, FaultyStore, unavailable
from sojourn.testing.web import WebServer, running_web_server

MIB = 1 << 20
NOISE = random.Random(7).randbytes(9 * MIB)
TABLE = "time,level\n" + "".join(f"{i},{i * 7 % 13}\n" for i in range(2_000))
FILES = {
    "a.txt": b"first",
    "empty": b"",
    "large.bin": NOISE,
    "train/TRAIN_A.csv": TABLE.encode(),
    "train/deep/한글.csv": TABLE[:500].encode(),
}


def zipped(files: dict[str, bytes], *, stored: tuple[str, ...] = ()) -> bytes:
    return _zipped(tuple(files.items()), stored)


@cache
def _zipped(files: tuple[tuple[str, bytes], ...], stored: tuple[str, ...]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/", b"")
        for name, data in files:
            how = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, compress_type=how)
    return made.getvalue()


def store_of(objects: dict[str, bytes]) -> ObjectStore:
    store = open_memory()
    for key, data in objects.items():
        store.put(key, data)
    return store


def opened(store: Store) -> Dataset:
    found = find_foreign(store)
    assert found is not None
    return Dataset(found, store)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def large_text() -> bytes:
    """Larger than what is unpacked in memory: 18 MiB that pack to a few."""
    return b"".join(b"%d,%d\n" % (i, i % 10) for i in range(1_900_000))


@pytest.fixture(params=["loose", "zip", "zips", "stored"])
def store(request: pytest.FixtureRequest) -> FaultyStore:
    kinds = {
        "loose": FILES,
        "zip": {"archive.zip": zipped(FILES)},
        "stored": {"archive.zip": zipped(FILES, stored=("large.bin",))},
        "zips": {
            "train.zip": zipped(
                {n[6:]: d for n, d in FILES.items() if n.startswith("train/")}
            ).replace(b"train/", b"other/"),
            "rest.ZIP": zipped({n: d for n, d in FILES.items() if not n.startswith("train/")}),
        },
    }
    return FaultyStore(store_of(kinds[request.param]))


def _names(store: FaultyStore) -> dict[str, bytes]:
    if store.find("rest.ZIP") is None:
        return FILES
    return {n if n.startswith("train/") else f"rest/{n}": data for n, data in FILES.items()}


def test_every_way_of_reading_gives_what_was_put(store: FaultyStore, tmp_path: Path) -> None:
    dataset = opened(store)
    files = _names(store)
    assert dataset.files() == sorted(files)
    assert dataset.revision == ""
    for name, data in files.items():
        assert dataset.read_bytes(name) == data
        assert b"".join(dataset.chunks(dataset.member(name))) == data
        with dataset.open(name) as file:
            assert file.read() == data
            file.seek(len(data) // 2)
            assert file.read(100) == data[len(data) // 2 :][:100]
    expected = pd.read_csv(io.StringIO(TABLE))
    pd.testing.assert_frame_equal(dataset.read("train/TRAIN_A.csv"), expected)
    tables = dict(dataset.read_many("train/**"))
    assert sorted(tables) == ["train/TRAIN_A.csv", "train/deep/한글.csv"]
    dataset.extract(tmp_path / "out")
    assert contents(tmp_path / "out") == files


def test_a_part_is_pulled_and_other_files_are_left_alone(
    store: FaultyStore, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    report = opened(store).extract(tmp_path, ["train/*.csv"])
    assert report.files == report.files_fetched == 1
    assert report.other_files == 1
    assert contents(tmp_path) == {"mine.txt": b"mine", "train/TRAIN_A.csv": TABLE.encode()}
    assert report.fetched_bytes < len(NOISE)


def test_a_second_pull_fetches_nothing_and_a_changed_file_is_mended(
    store: FaultyStore, tmp_path: Path
) -> None:
    dataset = opened(store)
    dataset.extract(tmp_path)
    assert dataset.extract(tmp_path).files_fetched == 0
    name = next(name for name in dataset.files() if name.endswith("a.txt"))
    (tmp_path / name).write_bytes(b"FIRST")
    again = dataset.extract(tmp_path)
    assert again.files_fetched == 1
    assert (tmp_path / name).read_bytes() == b"first"


def test_what_was_in_place_when_a_pull_was_cut_off_is_not_fetched_again(tmp_path: Path) -> None:
    files = {f"{i}.bin": NOISE[i * 1000 : i * 1000 + 1000] for i in range(30)}
    raw = store_of(files)
    broken = FaultyStore(raw, Fault(verb="get_range", after=20, error=unavailable()))
    manifest = find_foreign(raw)
    assert manifest is not None
    with pytest.raises(StoreError):
        pull_manifest(manifest, broken, tmp_path, progress=NoProgress())
    there = {path.name for path in tmp_path.iterdir()}
    assert 0 < len(there) <= 20
    known = KnownFiles.of(tmp_path)
    noted = {n for n in there if known.find_digest(n, os.lstat(tmp_path / n)) is not None}
    report = pull_manifest(manifest, raw, tmp_path, progress=NoProgress())
    assert report.files_fetched == len(files) - len(noted)
    assert contents(tmp_path) == files


def test_small_files_of_a_zip_are_fetched_together() -> None:
    files = {f"{i:04}.csv": TABLE.encode() for i in range(300)}
    store = FaultyStore(store_of({"a.zip": zipped(files)}))
    dataset = opened(store)
    assert [verb for verb, _ in store.calls].count("get_range") <= 2
    before = len(store.calls)
    for name, data in files.items():
        assert dataset.read_bytes(name) == data
    assert len(store.calls) - before == 1


def test_a_large_member_is_streamed_and_the_first_bytes_cost_little(
    large_text: bytes, tmp_path: Path
) -> None:
    files = {"large.csv": large_text, "noise": NOISE + NOISE, "small": b"s"}
    store = FaultyStore(store_of({"a.zip": zipped(files)}))
    dataset = opened(store)
    with dataset.open("large.csv") as file:
        assert file.read(10) == large_text[:10]
        file.seek(14 * MIB)
        assert file.read(10) == large_text[14 * MIB :][:10]
        file.seek(5)
        assert file.read(3) == large_text[5:8]
        file.seek(-4, os.SEEK_END)
        assert file.read() == large_text[-4:]
    assert dataset.read_bytes("large.csv") == large_text
    dataset.extract(tmp_path)
    assert contents(tmp_path) == files


def test_damage_in_a_zip_is_noticed_wherever_it_is_read(tmp_path: Path, large_text: bytes) -> None:
    for files, name in (({"a.bin": NOISE[:1000]}, "a.bin"), ({"large": large_text}, "large")):
        data = bytearray(zipped(files))
        data[len(data) // 2 if name == "large" else 200] ^= 1
        dataset = opened(store_of({"a.zip": bytes(data)}))
        with pytest.raises(IntegrityError, match=r"a\.zip"):
            dataset.read_bytes(name)
        with pytest.raises(IntegrityError, match=r"a\.zip"):
            dataset.open(name).read()
        with pytest.raises(IntegrityError, match=r"a\.zip"):
            dataset.extract(tmp_path / "out")
        with pytest.raises(IntegrityError, match=r"a\.zip"):
            list(dataset.chunks(dataset.member(name)))
        assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("change", [b"longer by these", b"-"])
def test_an_object_that_became_longer_or_shorter_is_noticed(change: bytes, tmp_path: Path) -> None:
    raw = store_of({"a.txt": b"as it was"})
    dataset = opened(raw)
    raw.put("a.txt", b"as it was, " + change if len(change) > 1 else change)
    with pytest.raises(IntegrityError, match="not as long as it was"):
        dataset.read_bytes("a.txt")
    with pytest.raises(IntegrityError, match="not as long as it was"):
        dataset.extract(tmp_path)
    assert contents(tmp_path) == {}


def test_marks_of_folders_are_no_files() -> None:
    store = store_of({"train": b"", "train/a": b"x"})
    assert opened(store).files() == ["train/a"]


def test_a_file_with_others_below_it_is_refused() -> None:
    with pytest.raises(IntegrityError, match="is a file"):
        find_foreign(store_of({"train": b"data", "train/a": b"x"}))
    with pytest.raises(IntegrityError, match="is a file"):
        find_foreign(store_of({"a.zip": zipped({"b": b"1", "b/c": b"2"})}))


def test_zips_beside_other_files_stay_files_and_are_looked_into() -> None:
    store = store_of({"a.zip": zipped(FILES), "labels.csv": b"a,b"})
    dataset = opened(store)
    assert dataset.files() == ["a.zip", "labels.csv"]
    assert dataset.read_bytes("a.zip!a.txt") == b"first"


def test_what_describes_a_zip_stays_beside_its_files(tmp_path: Path) -> None:
    beside = {"README.md": b"outer", ".gitattributes": b"", "LICENSE": b"free"}
    inside = {"a.csv": b"x,y", "LICENSE": b"inner"}
    dataset = opened(store_of({"data.zip": zipped(inside)} | beside))
    dataset.extract(tmp_path)
    assert contents(tmp_path) == beside | inside
    assert dataset.read_bytes("README.md") == b"outer"
    two = opened(store_of({"1.zip": zipped(inside), "2.zip": zipped(inside)} | beside))
    assert "2/a.csv" in two.files()
    assert two.read_bytes("LICENSE") == b"free"


@pytest.mark.parametrize(
    "objects", [{}, {f"shards/{'0' * 64}.tar.zst": b"x", "README.md": b"x"}], ids=["empty", "cut"]
)
def test_an_empty_store_or_an_interrupted_push_holds_no_data_set(
    objects: dict[str, bytes], tmp_path: Path
) -> None:
    for key, data in objects.items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(data)
    with pytest.raises(ObjectNotFoundError, match="There is no data set in"):
        sojourn.open(tmp_path)
    with pytest.raises(ObjectNotFoundError, match="There is no data set in"):
        sojourn.open(f"file://{tmp_path}")


def test_places_that_were_pushed_to_are_named_instead_of_listing_their_shards(
    folder: Path, tmp_path: Path
) -> None:
    above = tmp_path / "bucket"
    for name in ("one", "in/two"):
        sojourn.push(folder / "set", above / name)
    for address in (above, f"file://{above}"):
        with pytest.raises(ObjectNotFoundError, match=r"places below it: in/two, one\.") as refused:
            sojourn.open(address)
        assert refused.value.remedy == f"Name one of them: {above}/in/two"
    with pytest.raises(ObjectNotFoundError, match="places below it"):
        sojourn.push(f"file://{above}", tmp_path / "again")
    (above / "loose.csv").write_text("x")
    assert "loose.csv" in sojourn.open(above).files()


def test_an_address_that_leads_into_a_data_set_is_told_the_names_in_it(
    folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    sojourn.push(folder / "set", store)
    for inside in ("train", "train/", "train/TRAIN_A.csv"):
        with pytest.raises(ObjectNotFoundError, match=f"is a part of the one in {store}") as told:
            sojourn.open(f"{store}/{inside}")
        quoted = shlex.quote(inside.rstrip("/"))
        assert f"`sojourn ls {store} {quoted}`" in told.value.remedy
    for nothing in (tmp_path / "nothing", store / "nothing"):
        with pytest.raises(ObjectNotFoundError, match=r"holds no sojourn\.json"):
            sojourn.open(nothing)


def test_an_executable_stays_one_and_nothing_else_of_the_mode(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, mode in (("run.sh", 0o104755), ("plain", 0o100600), ("none", 0)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"x")
    opened(store_of({"a.zip": made.getvalue()})).extract(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"run.sh": 0o755, "plain": 0o644, "none": 0o644}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "zip").mkdir()
    (tmp_path / "zip" / "archive.zip").write_bytes(zipped(FILES))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[WebServer]:
    with running_web_server(folder) as running:
        yield running


def test_the_functions_take_such_addresses(folder: Path, server: WebServer, tmp_path: Path) -> None:
    addresses: list[str | Path] = [
        folder / "set",
        f"file://{folder}/set",
        folder / "zip",
        folder / "zip" / "archive.zip",
        f"file://{folder}/zip/archive.zip",
        f"{server.url}/zip/archive.zip",
    ]
    for number, address in enumerate(addresses):
        dataset = sojourn.open(address)
        assert dataset.read_bytes("train/TRAIN_A.csv") == TABLE.encode()
        copy = pickle.loads(pickle.dumps(dataset))
        assert (copy.url, copy.read_bytes("a.txt")) == (dataset.url, b"first")
        out = tmp_path / f"out-{number}"
        assert sojourn.pull(address, out).revision == ""
        assert contents(out) == FILES


def test_one_plain_file_of_a_web_server(server: WebServer) -> None:
    dataset = sojourn.open(f"{server.url}/set/large.bin")
    assert dataset.files() == ["large.bin"]
    assert dataset.read_bytes("large.bin") == NOISE
    with pytest.raises(ObjectNotFoundError, match="There is no data set in"):
        sojourn.open(f"{server.url}/set/absent.zip")


def test_a_pull_names_its_folder_after_the_zip(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sojourn.pull(f"{server.url}/zip/archive.zip").folder == Path("archive")


def test_there_are_no_revisions_and_no_digests_to_check(folder: Path) -> None:
    with pytest.raises(UsageError, match="it was not pushed with Sojourn"):
        sojourn.open(folder / "set", revision="abcd")
    with pytest.raises(UsageError, match="no digests to check"):
        verify(folder / "zip")
    with pytest.raises(UsageError, match="cannot be compared"):
        verify(folder / "set", folder / "set")
    assert verify(folder / "zip", folder / "set").problems == ()
    (folder / "set" / "a.txt").write_bytes(b"FIRST")
    assert [p.name for p in verify(folder / "zip", folder / "set").problems] == ["a.txt"]


@pytest.mark.parametrize("source", ["set", "zip", "zip/archive.zip", "pushed"])
def test_it_is_packed_anew_from_store_to_store(folder: Path, source: str) -> None:
    if source == "pushed":
        (folder / "set" / "link").symlink_to("a.txt")
        (folder / "set" / "nothing").mkdir()
        (folder / "set" / "a.txt").chmod(0o755)
        sojourn.push(folder / "set", folder / "pushed")
    address = f"file://{folder}/{source}"
    first = sojourn.push(address, folder / "target")
    assert not first.unchanged
    assert sojourn.push(address, folder / "target").unchanged
    target = sojourn.open(folder / "target")
    assert target.revision == first.revision
    for name, data in FILES.items():
        assert target.read_bytes(name) == data
    if source == "pushed":
        assert target.revision == sojourn.open(folder / "pushed").revision
    assert verify(folder / "target", folder / "set").problems == ()


def test_packing_anew_holds_nothing_whole_on_the_disk(
    folder: Path, large_text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scratch space is what packing takes, not what is packed."""
    (folder / "big").mkdir()
    (folder / "big" / "a.zip").write_bytes(zipped({"1": large_text, "2": NOISE + NOISE}))
    scratch = folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    largest = 0

    class Watching(FaultyStore):
        def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
            nonlocal largest
            sizes = [path.stat().st_size for path in scratch.rglob("*") if path.is_file()]
            largest = max(largest, sum(sizes))
            return super().get_range(key, offset=offset, size_bytes=size_bytes)

    dataset = opened(Watching(open_store(folder / "big")))
    push_source(
        DatasetSource(dataset),
        open_store(folder / "target"),
        message="",
        now=datetime(2026, 1, 2, tzinfo=UTC),
        progress=NoProgress(),
    )
    assert sojourn.open(folder / "target").read_bytes("1") == large_text
    assert largest < len(large_text) // 2


@pytest.mark.parametrize("key", ["../outside", "/absolute", "a/../../b", "a//b", "a\nb", ""])
def test_names_of_objects_that_lead_outside_are_refused(key: str) -> None:
    """A store may list what it likes; an empty object would not even have to be fetched."""

    class Listing(FaultyStore):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            assert prefix == ""
            return iter([StoredObject(key=key, size_bytes=0)])

    with pytest.raises(StoreError, match="cannot name an object"):
        find_foreign(Listing(open_memory()))


def test_an_earlier_revision_is_read_where_the_newest_is_damaged(folder: Path) -> None:
    first = sojourn.push(folder / "set", folder / "pushed").revision
    (folder / "pushed" / "sojourn.json").write_text("{")
    with pytest.raises(IntegrityError):
        sojourn.open(folder / "pushed")
    assert sojourn.open(folder / "pushed", revision=first).revision == first
    with pytest.raises(UsageError, match="There is no revision"):
        sojourn.open(folder / "pushed", revision="0" * 16)


def test_an_object_is_read_and_not_written_to(server: WebServer) -> None:
    store = open_object(f"{server.url}/set/a.txt")
    assert store is not None
    assert (store.url, store.get("a.txt")) == (f"{server.url}/set/a.txt", b"first")
    assert [found.size_bytes for found in store.list()] == [5]
    assert list(store.list("below/")) == []
    assert store.find("b.txt") is None
    with pytest.raises(ObjectNotFoundError):
        store.get("b.txt")
    with pytest.raises(StoreError, match="is only read"):
        store.put("a.txt", b"x")
    with pytest.raises(StoreError, match="is only read"):
        store.delete("a.txt")


@pytest.mark.parametrize("address", ["s3://bucket", "https://host", "https://host/", ".", "a/.."])
def test_a_whole_store_is_no_object(address: str) -> None:
    assert open_object(address) is None
