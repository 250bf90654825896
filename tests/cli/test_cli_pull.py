import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sojourn
from sojourn.cli import root
from sojourn.cli._errors import run_guarded


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    (folder / "a.csv").write_text("x,y\n1,2\n")
    (folder / "in" / "b.txt").write_text("words")
    sojourn.push(folder, str(tmp_path / "stores" / "leaks"))
    return tmp_path / "stores" / "leaks"


def _pull(*arguments: str | Path) -> int:
    return run_guarded(root, ["pull", *map(str, arguments)])


def test_a_pull_says_what_came(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pull(store, tmp_path / "out", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "sojourn.pull/1"
    assert (document["files"], document["files_fetched"], document["bytes"]) == (2, 2, 13)
    assert (tmp_path / "out" / "in" / "b.txt").read_text() == "words"


def test_the_folder_is_named_after_the_store_if_none_is_given(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _pull(store, "-q") == 0
    assert (tmp_path / "here" / "leaks" / "a.csv").exists()


def test_what_is_read_to_compare_it_is_shown_and_a_pull_of_nothing_is_not(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pull(store, tmp_path / "out") == 0
    assert capsys.readouterr().err.startswith("pull: 2 files, 13 B in")
    assert _pull(store, tmp_path / "out") == 0
    assert capsys.readouterr().err == ""
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert _pull(store, tmp_path / "copy") == 0
    told = capsys.readouterr().err
    assert told.startswith("compare: 2 files, 13 B in")
    assert told.count("\n") == 1


def test_what_somebody_changed_is_named_when_it_is_overwritten(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _pull(store, tmp_path / "out", "-q") == 0
    (tmp_path / "out" / "a.csv").write_text("my own work")
    assert _pull(store, tmp_path / "out") == 0
    assert "not what a pull had put there: a.csv." in capsys.readouterr().out
    assert (tmp_path / "out" / "a.csv").read_text() == "x,y\n1,2\n"


def test_in_a_folder_that_was_not_named_nothing_of_the_readers_is_overwritten(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaks").mkdir()
    (tmp_path / "leaks" / "a.csv").write_text("my own work")
    assert _pull(store) == 2
    assert "a.csv in it would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "leaks" / "a.csv").read_text() == "my own work"
    assert not (tmp_path / "leaks" / "in").exists()


def test_a_new_revision_comes_into_a_folder_that_was_not_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _pull(store, "-q") == 0
    (tmp_path / "data" / "a.csv").write_text("x,y\n3,4\n")
    sojourn.push(tmp_path / "data", str(store))
    assert _pull(store, "-q") == 0
    assert (tmp_path / "here" / "leaks" / "a.csv").read_text() == "x,y\n3,4\n"


def test_globs_choose(store: Path, tmp_path: Path) -> None:
    assert _pull(store, tmp_path / "out", "--include", "*.csv", "--include", "in", "-q") == 0
    assert (tmp_path / "out" / "in" / "b.txt").exists()
    assert _pull(store, tmp_path / "one", "--include", "*.csv", "-q") == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["a.csv"]


def test_a_glob_that_stops_at_folders_is_refused_with_one_that_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "data" / "photos" / "cats" / "1.jpg").write_bytes(b"1")
    (tmp_path / "data" / "hollow" / "in").mkdir(parents=True)
    store = tmp_path / "photos"
    sojourn.push(tmp_path / "data", store)
    assert _pull(store, tmp_path / "out", "--include", "photos/*") == 2
    assert "'photos/*' names folders, and none of the files in them. Write 'photos/*/' to" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
    assert _pull(store, tmp_path / "out", "--include", "photos/*/", "-q") == 0
    assert (tmp_path / "out" / "photos" / "cats" / "1.jpg").exists()
    assert _pull(store, tmp_path / "out", "--include", "hollow/*", "-q") == 0
    assert (tmp_path / "out" / "hollow" / "in").is_dir()


def test_nothing_is_pulled_in_among_the_objects_of_another_store(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sojourn.push(tmp_path / "data", tmp_path / "leaks")
    before = sorted((tmp_path / "leaks").rglob("*"))
    monkeypatch.chdir(tmp_path)
    for folder in ([], ["leaks"]):
        assert _pull(store, *folder) == 2
        assert "leaks is a store: it holds a data set that was pushed" in capsys.readouterr().err
    assert sorted((tmp_path / "leaks").rglob("*")) == before


def test_files_of_the_readers_own_are_told_of_and_left(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    assert _pull(store, tmp_path / "out") == 0
    assert "1 file that the data set does not hold was left alone: mine." in capsys.readouterr().out
    for number in range(6):
        (tmp_path / "out" / f"in\n{number}").write_text("mine")
    assert _pull(store, tmp_path / "out") == 0
    assert (
        r"7 files that the data set does not hold were left alone: in\n0, in\n1, in\n2, in\n3, "
        r"in\n4 and 2 more." in capsys.readouterr().out
    )
    assert (tmp_path / "out" / "mine").exists()


def test_a_flipped_bit_ends_with_6_and_leaves_no_file(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = next((store / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert _pull(store, tmp_path / "out", "--json") == 6
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "integrity"
    assert "is damaged" in captured.err
    assert "sojourn verify" in captured.err
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_newer_schema_ends_with_6_and_says_to_upgrade(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = store / "sojourn.json"
    manifest.write_text(manifest.read_text().replace("manifest/2", "manifest/4"))
    assert _pull(store, tmp_path / "out") == 6
    assert "pip install --upgrade sojourn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_store_without_a_data_set_ends_with_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").mkdir()
    for store in (tmp_path / "store", tmp_path / "nothing"):
        assert _pull(store, tmp_path / "out") == 5
        assert "There is no data set" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("options", [["--include", "*.parquet"], ["--revision", "nothing"]])
def test_what_names_nothing_ends_with_2(store: Path, tmp_path: Path, options: list[str]) -> None:
    assert _pull(store, tmp_path / "out", *options) == 2
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_written_whole_is_not_left_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "large.bin").write_bytes(bytes(range(256)) * 12_000)
    sojourn.push(tmp_path / "data", tmp_path / "store")
    pull = f"{sys.executable} -m sojourn pull {tmp_path / 'store'} {tmp_path / 'out'}"
    limited = ["bash", "-c", f"ulimit -f 1000; exec {pull}"]  # in KiB
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "large.bin").exists()
