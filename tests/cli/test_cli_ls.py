import json
import time
from pathlib import Path

import pytest

import sojourn
from sojourn.cli import root
from sojourn.cli._errors import run_guarded
from sojourn.testing.web import Trouble, running_web_server

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    (folder / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (folder / "in" / "two\nlines.txt").write_text("words")
    (folder / "link").symlink_to("a.csv")
    return folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Path:
    sojourn.push(folder, str(tmp_path / "store"), message="a message")
    return tmp_path / "store"


def _ls(*arguments: str | Path) -> int:
    return run_guarded(root, ["ls", *map(str, arguments)])


def test_members_are_listed_from_the_manifest_alone(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in (store / "shards").iterdir():
        shard.unlink()
    assert _ls(store) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["size", "rows", TIMES, "columns", "name"]
    assert lines[1].split() == ["12", "B", "2", TIMES, "2", "a.csv"]
    assert lines[2].strip() == "in/"
    assert lines[3].split() == ["5", "B", r"in/two\nlines.txt"]
    assert lines[4].strip() == "link -> a.csv"
    assert lines[5].startswith("2 files, 17 B; ")
    assert lines[5].endswith(": a message")


def test_the_document_says_what_is_kept_as_columns(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{row},{row / 7:.3f}\n" for row in range(5_000))
    (folder / "even.csv").write_text("x,y\n" + rows)
    (folder / "odd.csv").write_text("x,y\n" + rows + '"1","2"\n')
    sojourn.push(folder, str(tmp_path / "store"))
    assert _ls(tmp_path / "store", "--json") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    assert {m["path"]: m["as_columns"] for m in members} == {
        "a.csv": False,
        "even.csv": True,
        "odd.csv": False,
        "in": None,
        "in/two\nlines.txt": False,
        "link": None,
    }


def test_the_document_holds_every_member(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ls(store, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "sojourn.ls/1"
    assert (document["files"], document["bytes"], document["message"]) == (2, 17, "a message")
    table, folder, text, link = document["members"]
    assert (table["rows"], table["columns"], table["bytes"]) == (2, 2, 12)
    assert (folder["kind"], folder["bytes"]) == ("folder", None)
    assert (text["path"], text["rows"]) == ("in/two\nlines.txt", None)
    assert (link["kind"], link["target"]) == ("link", "a.csv")


def test_a_glob_chooses(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ls(store, "*.csv", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [member["path"] for member in document["members"]] == ["a.csv"]


def test_a_glob_that_names_nothing_ends_with_2_and_near_names(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ls(store, "b.csv") == 2
    assert "Near names: a.csv" in capsys.readouterr().err


def test_an_earlier_revision_is_listed(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sojourn.open(str(store)).revision
    (folder / "a.csv").unlink()
    (folder / "link").unlink()
    sojourn.push(folder, str(store))
    assert _ls(store, "--revision", first, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["members"]) == 4
    assert _ls(store, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["members"]) == 2


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "s3://bucket/x"])
def test_a_store_that_is_not_there_is_not_waited_for_for_long(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    began = time.monotonic()
    assert _ls(address) == 5
    # Two seconds of patience, and what three attempts take.
    assert time.monotonic() - began < 8
    assert "it cannot be reached" in capsys.readouterr().err.splitlines()[-1]


def test_a_store_that_is_busy_is_said_to_be_waited_for(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_web_server(store) as server:
        for quiet in ((), ("-q",)):
            # Each attempt is three requests; by the fourth more than a second has gone by.
            server.troubles = [Trouble(status=503, times=9)]
            assert _ls(server.url, *quiet) == 0
            said = capsys.readouterr().err
            expected = (
                "Could not read {}/sojourn.json: it is busy. Trying again for a few seconds.\n"
            )
            assert said == ("" if quiet else expected.format(server.url))
