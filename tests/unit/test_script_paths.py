from __future__ import annotations

import glob
import os
import posix
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sojourn.errors import UsageError
from sojourn.script.paths import PathMap, default_rules, parse_path_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

# Paths under this prefix exist on no machine.
REMOTE = "/sojourn-test-remote"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "user" / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("q\n1\n")
    (folder / "sub" / "b.csv").write_text("q\n2\n")
    return folder


@pytest.fixture
def mapped(data: Path) -> Iterator[Path]:
    """Install the rule REMOTE → data, with nothing redirected."""
    undo = PathMap([(REMOTE, data)], None).install()
    yield data
    undo()


@pytest.fixture
def traced(data: Path, tmp_path: Path) -> Iterator[Path]:
    """Install the rule REMOTE → data, and redirect all that is written elsewhere."""
    writable = tmp_path / "writable"
    writable.mkdir()
    undo = PathMap([(REMOTE, data)], writable, free=[]).install()
    yield data
    undo()


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


UNTOUCHED = {"a.csv": "q\n1\n", "sub/b.csv": "q\n2\n"}


def test_the_longest_remote_prefix_wins(tmp_path: Path) -> None:
    paths = PathMap([("/x", tmp_path / "one"), ("/x/y", tmp_path / "two")], None)
    assert paths.reading("/x/y/z") == str(tmp_path / "two" / "z")
    assert paths.reading("/x/yy") == str(tmp_path / "one" / "yy")
    assert paths.reading("/x") == str(tmp_path / "one")


def test_the_first_rule_that_has_the_file_wins(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "z").touch()
    paths = PathMap([("/x", tmp_path / "one"), ("/x", tmp_path / "two")], None)
    assert paths.reading("/x/z") == str(tmp_path / "two" / "z")
    assert paths.reading("/x/other") == str(tmp_path / "one" / "other")


def test_a_file_that_is_really_there_is_found_if_no_rule_has_it(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    paths = PathMap([(str(tmp_path), tmp_path.parent / "elsewhere")], None)
    assert paths.reading(str(tmp_path / "real")) == str(tmp_path / "real")


def test_a_local_path_below_its_own_remote_is_not_mapped_twice(tmp_path: Path) -> None:
    paths = PathMap([(str(tmp_path), tmp_path / "deep")], None)
    once = paths.reading(str(tmp_path / "x"))
    assert once == str(tmp_path / "deep" / "x")
    assert paths.reading(once) == once


def test_a_relative_path_is_left_alone(tmp_path: Path) -> None:
    assert PathMap([("/x", tmp_path)], None).reading("x/y") == "x/y"


def test_colabs_folders_are_the_scripts_own(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "i.csv").touch()
    (tmp_path / "leaks").mkdir()
    paths = PathMap(default_rules(tmp_path), None)
    for remote in ("/content/x", "/content/drive/MyDrive/x", "/kaggle/working/x"):
        assert paths.reading(remote) == str(tmp_path / "x")
    assert paths.reading("/content/drive/My Drive/x") == str(tmp_path / "x")
    assert paths.reading("/kaggle/input/i.csv") == str(tmp_path / "input" / "i.csv")
    assert paths.reading("/kaggle/input/leaks") == str(tmp_path / "leaks")


def test_a_path_rule_is_read(tmp_path: Path) -> None:
    assert parse_path_rule(f"/content/data/={tmp_path}") == ("/content/data", tmp_path)


@pytest.mark.parametrize("text", ["/content", "content=.", "/content=", "=.", "/content=./gone"])
def test_a_bad_path_rule_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"--path"):
        parse_path_rule(text)


def test_python_reads_a_mapped_folder(mapped: Path) -> None:
    remote = Path(REMOTE)
    with open(f"{REMOTE}/a.csv") as file:  # noqa: PTH123
        assert file.read() == "q\n1\n"
    assert remote.joinpath("a.csv").read_text() == "q\n1\n"
    assert sorted(os.listdir(REMOTE)) == ["a.csv", "sub"]  # noqa: PTH208
    assert sorted(os.listdir(REMOTE.encode())) == [b"a.csv", b"sub"]  # noqa: PTH208
    assert sorted(glob.glob(f"{REMOTE}/**/*.csv", recursive=True)) == [  # noqa: PTH207
        f"{REMOTE}/a.csv",
        f"{REMOTE}/sub/b.csv",
    ]
    assert sorted(remote.rglob("*.csv")) == [remote / "a.csv", remote / "sub" / "b.csv"]
    assert list(os.walk(REMOTE)) == [
        (REMOTE, ["sub"], ["a.csv"]),
        (f"{REMOTE}/sub", [], ["b.csv"]),
    ]
    with os.scandir(REMOTE) as entries:
        assert {entry.path for entry in entries} == {f"{REMOTE}/a.csv", f"{REMOTE}/sub"}
    assert remote.exists()
    assert remote.is_dir()
    assert os.path.getsize(f"{REMOTE}/a.csv") == 4  # noqa: PTH202
    assert mapped.joinpath("a.csv").samefile(f"{REMOTE}/a.csv")


def test_a_folder_that_is_not_there_is_not_there(mapped: Path) -> None:
    assert not Path(REMOTE, "gone").exists()
    with pytest.raises(FileNotFoundError, match=f"'{REMOTE}/gone'"):
        Path(REMOTE, "gone").read_text()
    with pytest.raises(FileNotFoundError, match=f"'{REMOTE}/gone'"):
        os.listdir(f"{REMOTE}/gone")  # noqa: PTH208
    assert mapped.exists()


def test_libraries_read_and_write_a_mapped_folder(mapped: Path) -> None:
    frame = pd.read_csv(f"{REMOTE}/a.csv")
    assert frame["q"].tolist() == [1]
    frame.to_csv(f"{REMOTE}/out.csv", index=False)
    frame.to_parquet(f"{REMOTE}/out.parquet")
    assert pd.read_parquet(f"{REMOTE}/out.parquet").equals(frame)
    np.save(f"{REMOTE}/x.npy", np.arange(3))
    assert np.load(f"{REMOTE}/x.npy").tolist() == [0, 1, 2]
    np.savetxt(f"{REMOTE}/x.txt", np.arange(2.0))
    assert np.loadtxt(f"{REMOTE}/x.txt").tolist() == [0.0, 1.0]
    np.arange(2.0).tofile(f"{REMOTE}/x.bin")
    assert np.fromfile(f"{REMOTE}/x.bin").tolist() == [0.0, 1.0]
    Image.new("RGB", (2, 3)).save(f"{REMOTE}/x.png")
    with Image.open(f"{REMOTE}/x.png") as image:
        assert image.size == (2, 3)
    names = {"out.csv", "out.parquet", "x.npy", "x.txt", "x.bin", "x.png"}
    assert names <= {path.name for path in mapped.iterdir()}


def test_readers_written_in_c_find_a_mapped_folder(mapped: Path) -> None:
    import sqlite3

    import polars as pl
    import pyarrow.csv
    import pyarrow.parquet

    assert pl.read_csv(f"{REMOTE}/a.csv")["q"].to_list() == [1]
    table = pyarrow.csv.read_csv(f"{REMOTE}/a.csv")
    pyarrow.parquet.write_table(table, f"{REMOTE}/t.parquet")
    assert pyarrow.parquet.read_table(f"{REMOTE}/t.parquet").equals(table)
    sqlite3.connect(f"{REMOTE}/db.sqlite").close()
    assert (mapped / "db.sqlite").exists()


def test_folders_are_made_moved_and_removed_where_they_are(mapped: Path) -> None:
    os.makedirs(f"{REMOTE}/new/deep")  # noqa: PTH103
    Path(REMOTE, "new", "deep", "f").write_text("x")
    shutil.copytree(f"{REMOTE}/new", f"{REMOTE}/copied")
    os.rename(f"{REMOTE}/copied", dst=f"{REMOTE}/moved")  # noqa: PTH104
    shutil.rmtree(f"{REMOTE}/new")
    os.remove(f"{REMOTE}/a.csv")  # noqa: PTH107
    assert contents(mapped) == {"moved/deep/f": "x", "sub/b.csv": "q\n2\n"}


def test_modules_are_found_on_a_mapped_import_path(
    mapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mapped / "module_of_the_user.py").write_text("x = 41")
    monkeypatch.setattr(sys, "path", [*sys.path, REMOTE])
    import module_of_the_user  # type: ignore[import-not-found]

    assert module_of_the_user.x == 41
    assert not (mapped / "__pycache__").exists()


def test_a_script_can_change_to_a_mapped_folder(
    mapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mapped.parent)
    os.chdir(f"{REMOTE}/sub")
    assert Path("b.csv").read_text() == "q\n2\n"


def test_descriptors_and_wrong_types_reach_the_original(mapped: Path) -> None:
    with (mapped / "a.csv").open("rb") as file:
        assert os.stat(file.fileno()).st_size == 4  # noqa: PTH116
        with open(file.fileno(), closefd=False) as again:
            assert again.read() == "q\n1\n"
    with pytest.raises(TypeError):
        open(1.5)  # type: ignore[call-overload]  # noqa: PTH123, SIM115
    with pytest.raises(ValueError, match="null"):
        os.stat("a\0b")  # noqa: PTH116


def test_undoing_restores_every_function(data: Path) -> None:
    before = (open, os.stat, os.listdir, shutil.rmtree, sys.dont_write_bytecode)
    undo = PathMap([(REMOTE, data)], data, free=[]).install()
    assert open is not before[0]
    undo()
    after = (open, os.stat, os.listdir, shutil.rmtree, sys.dont_write_bytecode)
    assert after == before
    assert not Path(REMOTE, "a.csv").exists()


def test_what_is_written_is_read_back_and_the_users_file_stays(traced: Path) -> None:
    for path in (Path(REMOTE, "a.csv"), traced / "a.csv"):
        path.write_text("other")
        assert path.read_text() == "other"
    with Path(REMOTE, "sub", "b.csv").open("a") as file:
        file.write("3\n")
    assert Path(REMOTE, "sub", "b.csv").read_text() == "q\n2\n3\n"
    with Path(REMOTE, "new.txt").open("x") as file:
        file.write("n")
    assert sorted(path.name for path in traced.iterdir()) == ["a.csv", "new.txt", "sub"]


def test_nothing_of_the_user_changes_whatever_a_script_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writable = tmp_path / "writable"
    writable.mkdir()
    monkeypatch.chdir(data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    undo = PathMap([(REMOTE, data)], writable, free=[]).install()
    try:
        _do_everything(data)
        assert not Path(REMOTE, "sub").exists()
        assert Path(REMOTE, "a.csv").read_bytes() == b"Q\n1\n"
    finally:
        undo()
    assert contents(data) == UNTOUCHED
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["user", "writable"]


def _do_everything(data: Path) -> None:
    with open("a.csv", "r+b") as file:  # noqa: PTH123
        file.write(b"Q")
    os.truncate(f"{REMOTE}/sub/b.csv", 1)
    os.chmod(f"{REMOTE}/sub/b.csv", 0o600)  # noqa: PTH101
    os.utime(data / "a.csv", (1, 1))
    os.rename(data / "sub" / "b.csv", data / "sub" / "c.csv")  # noqa: PTH104
    assert os.listdir(data / "sub") == ["c.csv"]  # noqa: PTH208
    os.link(data / "sub" / "c.csv", data / "hard")
    Path(data, "hard").write_text("through a hard link")
    Path(data, "soft").symlink_to(data / "a.csv")
    shutil.copytree(data / "sub", data / "copied")
    shutil.move(data / "copied", data / "moved")
    shutil.rmtree(f"{REMOTE}/sub")
    Path("made/deep").mkdir(parents=True)
    Path("made/deep/file").touch()
    Path("made/deep/file").unlink()
    Path("made/deep").rmdir()
    descriptor = os.open(data / "low", os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    array = np.memmap(data / "map.bin", dtype="u1", mode="w+", shape=3)
    array.flush()


def test_what_is_gone_stays_gone_until_it_is_made_again(traced: Path) -> None:
    os.remove(f"{REMOTE}/a.csv")  # noqa: PTH107
    assert not Path(REMOTE, "a.csv").exists()
    assert os.listdir(traced) == ["sub"]  # noqa: PTH208
    with pytest.raises(FileNotFoundError):
        os.remove(f"{REMOTE}/a.csv")  # noqa: PTH107
    Path(REMOTE, "a.csv").write_text("again")
    assert Path(REMOTE, "a.csv").read_text() == "again"
    assert contents(traced)["a.csv"] == "again"


def test_what_the_system_would_refuse_is_refused(traced: Path) -> None:
    with pytest.raises(FileExistsError):
        Path(REMOTE, "a.csv").open("x").close()
    with pytest.raises(FileExistsError):
        Path(REMOTE, "sub").mkdir()
    with pytest.raises(FileNotFoundError):
        Path(REMOTE, "gone").open("r+").close()
    with pytest.raises(IsADirectoryError):
        Path(REMOTE, "sub").open("w").close()
    with pytest.raises(IsADirectoryError):
        Path(REMOTE, "sub").unlink()
    with pytest.raises(OSError, match="not empty"):
        Path(REMOTE, "sub").rmdir()
    with pytest.raises(NotADirectoryError):
        Path(REMOTE, "a.csv").rmdir()
    with pytest.raises(FileNotFoundError):
        shutil.rmtree(f"{REMOTE}/gone")
    shutil.rmtree(f"{REMOTE}/gone", ignore_errors=True)
    assert traced.exists()


def test_a_missing_folder_is_made_for_what_is_written(traced: Path) -> None:
    Path(REMOTE, "checkpoints", "m.pt").write_text("x")
    assert Path(REMOTE, "checkpoints").is_dir()
    assert "checkpoints" in os.listdir(traced)  # noqa: PTH208


def test_a_link_out_of_the_writable_folder_is_replaced_by_a_copy(
    data: Path, tmp_path: Path
) -> None:
    writable = tmp_path / "writable"
    writable.mkdir()
    for name in ("kept", "replaced"):
        (writable / name).symlink_to(data / "a.csv")
    undo = PathMap([], writable, free=[Path("/")]).install()
    try:
        with (writable / "kept").open("a") as file:
            file.write("2\n")
        (writable / "replaced").write_text("new")
    finally:
        undo()
    assert (writable / "kept").read_text() == "q\n1\n2\n"
    assert (writable / "replaced").read_text() == "new"
    assert contents(data) == UNTOUCHED


def test_a_folder_that_is_linked_whole_is_not_written_through(data: Path, tmp_path: Path) -> None:
    writable = tmp_path / "writable"
    writable.mkdir()
    (writable / "linked").symlink_to(data)
    undo = PathMap([], writable, free=[]).install()
    try:
        (writable / "linked" / "new").write_text("n")
        (writable / "linked" / "a.csv").write_text("w")
        (writable / "linked" / "sub" / "b.csv").unlink()
        assert sorted(os.listdir(writable / "linked")) == ["a.csv", "new", "sub"]  # noqa: PTH208
        assert (writable / "linked" / "a.csv").read_text() == "w"
    finally:
        undo()
    assert contents(data) == UNTOUCHED


def test_temporary_files_are_left_alone_but_a_rules_folder_is_not(
    data: Path, tmp_path: Path
) -> None:
    writable = tmp_path / "writable"
    writable.mkdir()
    # pytest's folder is itself temporary, and so is the rule's.
    undo = PathMap([(REMOTE, data)], writable).install()
    try:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "x").write_text("t")
            assert os.path.realpath(folder) == os.path.realpath(Path(folder).absolute())
        Path(REMOTE, "a.csv").write_text("w")
    finally:
        undo()
    assert contents(data) == UNTOUCHED


def test_threads_do_not_disturb_each_other(traced: Path) -> None:
    failures: list[BaseException] = []

    def write_and_read(number: int) -> None:
        try:
            for turn in range(20):
                path = Path(REMOTE, f"t{number}")
                path.write_text(str(turn))
                assert path.read_text() == str(turn)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=write_and_read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert contents(traced).keys() >= {"t0", "t1", "t2", "t3"}


@pytest.mark.parametrize("form", ["path", "descriptor", "posix", "fchmod"])
def test_mode_and_times_of_the_users_files_stay_however_they_are_named(
    traced: Path, form: str
) -> None:
    file = traced / "a.csv"
    before = file.stat()
    with file.open() as opened:
        if form == "fchmod":
            os.fchmod(opened.fileno(), 0o600 ^ before.st_mode & 0o777)
            os.fchown(opened.fileno(), before.st_uid, before.st_gid)
        named: Path | int = opened.fileno() if form == "descriptor" else file
        change = posix if form == "posix" else os
        change.chmod(named, 0o600 ^ before.st_mode & 0o777)
        change.utime(named, (1, 1))
    after = file.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert after.st_ctime_ns == before.st_ctime_ns


def test_mode_and_times_of_what_a_script_wrote_are_its_own(traced: Path) -> None:
    with (traced / "new.txt").open("w") as opened:
        os.fchmod(opened.fileno(), 0o751)
        os.utime(opened.fileno(), (1, 1))
    written = (traced / "new.txt").stat()
    assert (written.st_mode & 0o777, written.st_mtime) == (0o751, 1)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no folder is shared memory here")
def test_files_in_shared_memory_stay_as_they_are(tmp_path: Path) -> None:
    writable = tmp_path / "writable"
    writable.mkdir()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        kept = Path(folder, "kept.txt")
        kept.write_text("kept")
        undo = PathMap([], writable, free=[]).install()
        kept.write_text("overwritten")
        Path(folder, "new.txt").write_text("x")
        seen = (kept.read_text(), sorted(os.listdir(folder)))  # noqa: PTH208
        kept.unlink()
        undo()
        assert seen == ("overwritten", ["kept.txt", "new.txt"])
        assert contents(Path(folder)) == {"kept.txt": "kept"}
    with Path("/dev/null").open("w") as nowhere:
        nowhere.write("x")
