import json
from pathlib import Path

import pytest

import sojourn
from sojourn.cli import root
from sojourn.cli._errors import run_guarded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("x,y\n1,2\n")
    (folder / "b.txt").write_text("words")
    return folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Path:
    sojourn.push(folder, str(tmp_path / "store"))
    return tmp_path / "store"


def _verify(*arguments: str | Path) -> int:
    return run_guarded(root, ["verify", *map(str, arguments)])


def test_a_whole_store_ends_with_0(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _verify(store, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["ok"], document["files"]) == ("sojourn.verify/1", True, 2)


def test_a_damaged_store_ends_with_6_and_names_the_object(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = next((store / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    assert _verify(store, "--json") == 6
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["ok"] is False
    assert document["problems"][0]["name"] == f"shards/{shard.name}"
    assert document["error"]["code"] == "integrity"
    assert "push the folder again" in captured.err


def test_what_verify_says_to_do_puts_it_right(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = next((store / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    assert _verify(store) == 6
    assert capsys.readouterr().out.count(shard.name) == 1
    # Its size is right, so another push alone changes nothing.
    assert sojourn.push(folder, str(store)).shards_sent == 0
    assert _verify(store, "-q") == 6
    shard.unlink()
    assert sojourn.push(folder, str(store)).shards_sent == 1
    assert _verify(store, "-q") == 0


def test_a_folder_is_checked_against_the_store(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _verify(store, folder) == 0
    assert "2 files match revision" in capsys.readouterr().out
    (folder / "b.txt").write_text("wOrds")
    assert _verify(store, folder) == 6
    captured = capsys.readouterr()
    assert "b.txt: its contents differ" in captured.out
    assert f"sojourn pull {store} {folder}" in captured.err


def test_one_file_matches(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.txt").unlink()
    sojourn.push(folder, str(tmp_path / "one"))
    assert _verify(tmp_path / "one") == 0
    assert "1 file matches revision" in capsys.readouterr().out


def test_a_folder_that_is_not_there_ends_with_2(store: Path, tmp_path: Path) -> None:
    assert _verify(store, tmp_path / "nothing") == 2
