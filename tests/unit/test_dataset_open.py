import io
import random
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sojourn
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.errors import IntegrityError, NoSuchFileError, ReadOnlyError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore

SIZES = Sizes(
    min_shard_bytes=20_000, mean_shard_bytes=40_000, max_shard_bytes=80_000, frame_bytes=8_000
)
LARGE = random.Random(1).randbytes(51_200)


def _fetched(store: FaultyStore) -> int:
    return sum(verb == "get_range" for verb, _ in store.calls)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    folder = tmp_path_factory.mktemp("open") / "data"
    folder.mkdir()
    (folder / "before.bin").write_bytes(b"b" * 700)
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "empty").write_bytes(b"")
    (folder / "frame.bin").write_bytes(LARGE[:8_000])
    (folder / "link").symlink_to("large.bin")
    (folder / "words.txt").write_bytes("하나\r\n둘\n".encode())
    (folder / "zz.bin").write_bytes(LARGE[-3_000:])
    store = open_memory()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=SIZES)
    return store


@pytest.fixture
def store(memory: ObjectStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
def dataset(store: FaultyStore) -> Dataset:
    return Dataset(load_manifest(store), store)


def test_opening_fetches_nothing_and_reading_only_the_frames_that_are_read(
    dataset: Dataset, store: FaultyStore
) -> None:
    with dataset.open("large.bin") as file:
        assert _fetched(store) == 0
        file.seek(25_000)
        assert file.read(10) == LARGE[25_000:25_010]
        assert _fetched(store) == 1
        file.seek(-5, io.SEEK_END)
        assert file.read() == LARGE[-5:]
        assert _fetched(store) == 2


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 60_000)),
        st.tuples(st.just("read1"), st.integers(0, 20_000)),
        st.tuples(st.just("readline"), st.integers(-1, 500)),
        st.tuples(st.just("start"), st.integers(0, 60_000)),
        st.tuples(st.just("here"), st.integers(0, 20_000)),
        st.tuples(st.just("end"), st.integers(-51_200, 10)),
    ),
    max_size=12,
)


@given(name=st.sampled_from(["large.bin", "frame.bin", "before.bin", "empty"]), steps=steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_seeks_and_reads_give_what_the_bytes_in_memory_give(
    dataset: Dataset, name: str, steps: list[tuple[str, int]]
) -> None:
    whole = dataset.read_bytes(name)
    whence = {"start": io.SEEK_SET, "here": io.SEEK_CUR, "end": io.SEEK_END}
    with dataset.open(name) as file, io.BytesIO(whole) as expected:
        for verb, count in steps:
            if verb in whence:
                place = max(count, -len(whole)) if verb == "end" else count
                assert file.seek(place, whence[verb]) == expected.seek(place, whence[verb])
            elif verb == "read1":  # may give less, but no other bytes
                part = file.read1(count)  # type: ignore[attr-defined]
                assert part == expected.read(len(part))
            else:
                assert getattr(file, verb)(count) == getattr(expected, verb)(count)
            assert file.tell() == expected.tell()


def test_it_is_a_file_like_any_other(dataset: Dataset) -> None:
    file = dataset.open("link")
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    assert (file.name, file.mode, file.tell()) == ("link", "rb", 0)
    with pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    with pytest.raises(OSError, match="no position -1"):
        file.seek(-1)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_text_is_decoded(dataset: Dataset) -> None:
    with dataset.open("words.txt", "r") as file:
        assert list(file) == ["하나\n", "둘\n"]
    with dataset.open("words.txt", "r", newline="") as file:
        assert file.readline() == "하나\r\n"
    with dataset.open("words.txt", "r", encoding="ascii", errors="replace") as file:
        assert file.read().endswith("\n")


def test_a_mode_that_writes_is_refused(dataset: Dataset) -> None:
    for mode in ("w", "ab", "r+", "xb"):
        with pytest.raises(ReadOnlyError, match="only read"):
            dataset.open("large.bin", mode)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="'rb' or 'r'"):
        dataset.open("large.bin", "q")  # type: ignore[call-overload]


def test_a_name_that_is_not_there_is_also_what_python_says_of_files(dataset: Dataset) -> None:
    with pytest.raises(FileNotFoundError, match=r"large\.bin"):
        dataset.open("larg.bin")
    with pytest.raises(NoSuchFileError):
        dataset.member("larg.bin")


def test_a_damaged_frame_is_noticed_by_who_reads_it(memory: ObjectStore) -> None:
    store = FaultyStore(memory, Fault(verb="get_range", flip_bit_at=2_000))
    file = Dataset(load_manifest(memory), store).open("large.bin")
    with pytest.raises(IntegrityError):
        file.read(1)


def test_the_digest_is_checked_when_all_was_read_in_order(memory: ObjectStore) -> None:
    manifest = load_manifest(memory)
    wrong = "sha256:" + "0" * 64
    members = tuple(replace(m, digest=m.digest and wrong) for m in manifest.members)
    dataset = Dataset(replace(manifest, members=members), memory)
    with dataset.open("large.bin") as file:
        file.seek(30_000)
        assert file.read() == LARGE[30_000:]
        file.seek(0)
        with pytest.raises(IntegrityError, match=r"'large\.bin' does not match its digest"):
            file.read()


def test_a_table_that_is_kept_as_columns_is_opened_as_its_text(tmp_path: Path) -> None:
    text = "time,level\n" + "".join(f"{row},{row / 7:.3f}\n" for row in range(5_000))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "T.csv").write_text(text)
    sojourn.push(tmp_path / "data", tmp_path / "store")
    dataset = sojourn.open(tmp_path / "store")
    assert dataset.manifest.files[0].table is not None
    assert len(dataset.frames_of("T.csv")) == 1
    with dataset.open("T.csv", "r") as file:
        file.seek(11)
        assert file.read() == text[11:]


def test_an_archive_is_read_by_its_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}.bin", random.Random(number).randbytes(5_000))
    memory = open_memory()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, memory, message="", now=now, progress=NoProgress(), sizes=SIZES)
    store = FaultyStore(memory)
    dataset = Dataset(load_manifest(store), store)
    assert dataset.read_bytes("a.zip!10.bin") == random.Random(10).randbytes(5_000)
    assert _fetched(store) <= 4 < len(load_manifest(memory).shards[0].frames)
