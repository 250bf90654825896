import os
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.dataset.localdisk import check_space
from sojourn.dataset.pull import PullReport, pull_manifest
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.errors import IntegrityError, StoreUnavailableError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.base import Store
from sojourn.stores.folders import open_folder
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore, unavailable

SIZES = Sizes(
    min_shard_bytes=20_000, mean_shard_bytes=40_000, max_shard_bytes=80_000, frame_bytes=8_000
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _push(folder: Path, store: Store) -> str:
    report = push_folder(folder, store, message="", now=NOW, progress=NoProgress(), sizes=SIZES)
    return report.revision


def _pull(store: Store, target: Path, *include: str, revision: str | None = None) -> PullReport:
    manifest = load_manifest(store, revision=revision)
    return pull_manifest(manifest, store, target, include=include, progress=NoProgress())


def _diff(one: Path, other: Path) -> str:
    command = ["diff", "-r", "--no-dereference", str(one), str(other)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "many").mkdir(parents=True)
    for number in range(60):
        (folder / "many" / f"{number:03}.bin").write_bytes(os.urandom(1_500 + number))
    (folder / "large.bin").write_bytes(os.urandom(50_000))
    (folder / "nothing").write_bytes(b"")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "한글 이름\n두 줄").write_text("x")
    (folder / "hollow" / "in").mkdir(parents=True)
    (folder / "hollow" / "in").chmod(0o700)
    (folder / "link").symlink_to("many/001.bin")
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.fixture
def memory(folder: Path) -> ObjectStore:
    store = open_memory()
    _push(folder, store)
    return store


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "target"


def test_what_was_pushed_comes_back_with_modes_links_and_empty_folders(
    folder: Path, memory: ObjectStore, target: Path
) -> None:
    report = _pull(memory, target)
    assert _diff(folder, target) == ""
    assert _names(folder) == _names(target)
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (target / "hollow" / "in").stat().st_mode & 0o777 == 0o700
    assert report.files == report.files_fetched == 64
    stored_bytes = load_manifest(memory).stored_bytes
    # All but a frame that holds nothing but the end of its archive.
    assert 0.99 * stored_bytes < report.fetched_bytes <= stored_bytes


_tree = st.dictionaries(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
        .filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
        .filter(lambda name: not name.startswith(".sojourn-pull-")),
        min_size=1,
        max_size=3,
    ).map("/".join),
    st.binary(max_size=200) | st.integers(0, 40_000).map(os.urandom),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(tree=_tree, modes=st.lists(st.sampled_from([0o600, 0o644, 0o755, 0o400]), min_size=12))
def test_any_folder_comes_back(tree: dict[str, bytes], modes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "source", Path(scratch) / "target"
        source.mkdir()
        written = {}
        for (path, data), mode in zip(tree.items(), modes, strict=False):
            file = source / path
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue  # one path is below another that is a file
            file.chmod(mode)
            written[path] = (data, mode)
        store = open_memory()
        _push(source, store)
        _pull(store, target)
        assert _names(source) == _names(target)
        for path, (data, mode) in written.items():
            assert (target / path).read_bytes() == data
            assert (target / path).stat().st_mode & 0o777 == mode


def test_only_what_differs_is_fetched(folder: Path, memory: ObjectStore, target: Path) -> None:
    _pull(memory, target)
    (target / "many" / "007.bin").write_bytes(b"x" * 1_507)  # the same size
    (target / "run.sh").chmod(0o600)
    (target / "nothing").unlink()
    (target / "mine").write_text("not in the set")
    report = _pull(memory, target)
    assert (report.files_fetched, report.other_files) == (2, 1)
    assert report.fetched_bytes < 10_000
    (target / "mine").unlink()
    assert _diff(folder, target) == ""
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o755


def test_a_second_pull_fetches_nothing(memory: ObjectStore, target: Path) -> None:
    _pull(memory, target)
    store = FaultyStore(memory)
    assert _pull(store, target).fetched_bytes == 0
    assert [verb for verb, _ in store.calls] == ["get"]  # the manifest


def test_globs_choose_and_only_their_frames_are_fetched(memory: ObjectStore, target: Path) -> None:
    report = _pull(memory, target, "many/00*", "hollow")
    assert _names(target) == [
        "hollow",
        "hollow/in",
        "many",
        *(f"many/00{digit}.bin" for digit in range(10)),
    ]
    assert report.files == 10
    assert report.fetched_bytes < load_manifest(memory).stored_bytes / 3


def test_where_a_chosen_link_leads_comes_with_it(memory: ObjectStore, target: Path) -> None:
    _pull(memory, target, "link")
    assert _names(target) == ["link", "many", "many/001.bin"]


def test_a_glob_that_names_nothing_makes_nothing(memory: ObjectStore, target: Path) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        _pull(memory, target, "many/*.csv")
    assert not target.exists()


def _files(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes()
        for name in _names(folder)
        if (folder / name).is_file() and not (folder / name).is_symlink()
    }


@pytest.mark.parametrize("flip_bit_at", [0, 9, 300, 7_000])
def test_a_flipped_bit_is_noticed_and_nothing_wrong_is_kept(
    folder: Path, memory: ObjectStore, target: Path, flip_bit_at: int
) -> None:
    store = FaultyStore(memory, Fault(verb="get_range", after=3, flip_bit_at=flip_bit_at))
    with pytest.raises(IntegrityError, match="is damaged"):
        _pull(store, target)
    whole = _files(folder)
    assert all(data == whole[name] for name, data in _files(target).items())
    assert not any(name.startswith(".sojourn") for name in _names(target))
    _pull(memory, target)
    assert _diff(folder, target) == ""


def test_a_shard_that_ends_too_early_is_noticed(memory: ObjectStore, target: Path) -> None:
    with pytest.raises(IntegrityError, match="ends too early"):
        _pull(FaultyStore(memory, Fault(verb="get_range", drop_bytes=1)), target)


def test_a_shard_swapped_for_another_is_noticed(memory: ObjectStore, target: Path) -> None:
    shards = load_manifest(memory).shards
    one, other = (memory.get(shard.key) for shard in shards[:2])
    memory.put(shards[0].key, other + bytes(max(0, len(one) - len(other))))
    with pytest.raises(IntegrityError):
        _pull(memory, target)


def test_a_store_that_fails_half_way_leaves_whole_files_only(
    folder: Path, memory: ObjectStore, target: Path
) -> None:
    store = FaultyStore(memory, Fault(verb="get_range", after=5, error=unavailable()))
    with pytest.raises(StoreUnavailableError):
        _pull(store, target)
    whole = _files(folder)
    assert all(data == whole[name] for name, data in _files(target).items())
    assert not any(name.startswith(".sojourn") for name in _names(target))


def test_what_a_killed_pull_left_is_removed(memory: ObjectStore, target: Path) -> None:
    left = target / ".sojourn-pull-abc"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (left / "file-1").write_bytes(b"part")
    _pull(memory, target)
    assert not left.exists()


def _to_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file")


def _to_link_to(elsewhere: Path) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(elsewhere)

    return make


@pytest.mark.parametrize("where", ["many", "hollow", "hollow/in"])
def test_a_file_becomes_a_folder(
    folder: Path, memory: ObjectStore, target: Path, where: str
) -> None:
    _to_file(target / where)
    _pull(memory, target)
    assert _diff(folder, target) == ""


@pytest.mark.parametrize("where", ["many", "large.bin", "link", "hollow"])
def test_a_link_in_the_way_is_replaced_and_not_followed(
    folder: Path, memory: ObjectStore, target: Path, tmp_path: Path, where: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "000.bin").write_text("not ours")
    _to_link_to(elsewhere)(target / where)
    _pull(memory, target)
    assert _diff(folder, target) == ""
    assert _files(elsewhere) == {"000.bin": b"not ours"}


def test_a_link_to_an_equal_file_is_replaced(
    folder: Path, memory: ObjectStore, target: Path
) -> None:
    _to_link_to(folder / "large.bin")(target / "large.bin")
    _pull(memory, target)
    assert not (target / "large.bin").is_symlink()
    assert (target / "large.bin").read_bytes() == (folder / "large.bin").read_bytes()


def test_an_empty_folder_becomes_a_file(folder: Path, memory: ObjectStore, target: Path) -> None:
    (target / "large.bin").mkdir(parents=True)
    (target / "link").mkdir()
    _pull(memory, target)
    assert _diff(folder, target) == ""


def test_a_folder_with_something_in_it_is_not_removed(memory: ObjectStore, target: Path) -> None:
    _to_file(target / "large.bin" / "mine")
    with pytest.raises(UsageError, match=r"large\.bin is a folder with something in it"):
        _pull(memory, target)
    assert _names(target) == ["large.bin", "large.bin/mine"]


def test_a_folder_that_was_pushed_read_only_can_be_pulled_again(folder: Path, target: Path) -> None:
    (folder / "many").chmod(0o555)
    memory = open_memory()
    _push(folder, memory)
    _pull(memory, target)
    (target / "many" / "007.bin").write_bytes(b"other")
    _pull(memory, target)
    assert _diff(folder, target) == ""
    assert (target / "many").stat().st_mode & 0o777 == 0o555


def test_a_target_that_cannot_be_made_is_told(memory: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="Could not"):
        _pull(memory, tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="file is a file, and a data set goes into a folder"):
        _pull(memory, tmp_path / "file")


def test_the_folder_of_the_store_is_no_target(folder: Path, tmp_path: Path) -> None:
    store = open_folder(tmp_path / "store")
    _push(folder, store)
    for target in (tmp_path / "store", tmp_path / "store" / "in"):
        with pytest.raises(UsageError, match="keeps its objects"):
            _pull(store, target)


def test_space_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are free"):
        check_space(tmp_path / "not" / "there", needed_bytes=1 << 60, files=1)


def test_an_unknown_revision_tells_those_there(memory: ObjectStore, target: Path) -> None:
    revision = load_manifest(memory).revision
    for unknown in ("0123456789abcdef", "../sojourn", "newest"):
        with pytest.raises(UsageError, match=revision):
            _pull(memory, target, revision=unknown)


def test_a_revision_under_another_name_is_refused(memory: ObjectStore, target: Path) -> None:
    memory.put("revisions/0123456789abcdef.json", memory.get("sojourn.json"))
    with pytest.raises(IntegrityError, match="that of revision"):
        _pull(memory, target, revision="0123456789abcdef")


def test_a_folder_that_cannot_be_listed_and_is_not_of_the_set_is_left_alone(
    memory: ObjectStore, target: Path
) -> None:
    _pull(memory, target)
    (target / "other").write_text("x")
    # Its whole path is longer than any call takes, whoever calls.
    descriptor = os.open(target, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    report = _pull(memory, target)
    assert (report.files_fetched, report.other_files) == (0, 1)
