"""What the verbs say of a data set that was not pushed with Sojourn."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from sojourn.cli import root
from sojourn.cli._errors import run_guarded

FILES = {"train/A.csv": b"x,y\n1,2\n", "note.txt": b"note"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with loose files, a zip of them, and one that leads outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("zip", "bad"):
        (tmp_path / name).mkdir()
    with zipfile.ZipFile(tmp_path / "zip" / "set.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
            (tmp_path / "loose" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "loose" / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "bad" / "set.zip", "w") as archive:
        archive.writestr("../outside", b"x")
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("store", ["loose", "zip", "zip/set.zip"])
def test_ls_pull_and_push_work_and_the_revision_is_null(
    place: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(root, ["ls", store, "--json"]) == 0
    listed = _json(capsys)
    assert (listed["revision"], listed["parent"], listed["created"]) == (None, None, None)
    assert [member["path"] for member in listed["members"]] == ["note.txt", "train", "train/A.csv"]
    digest = listed["members"][0]["digest"]
    assert digest == (None if store == "loose" else f"crc32:{zlib.crc32(b'note'):08x}")
    assert run_guarded(root, ["pull", store, "out", "--json"]) == 0
    pulled = _json(capsys)
    assert (pulled["revision"], pulled["files"]) == (None, 2)
    assert (place / "out" / "train" / "A.csv").read_bytes() == FILES["train/A.csv"]
    assert run_guarded(root, ["push", f"file://{place}/{store}", "packed", "--json"]) == 0
    assert _json(capsys)["files"] == 2


def test_texts_say_that_there_is_no_revision(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(root, ["ls", "zip"]) == 0
    said = capsys.readouterr().out
    assert said.endswith(f"{place}/zip, not pushed with Sojourn, so without revisions\n")
    assert run_guarded(root, ["pull", "zip", "out"]) == 0
    assert "not pushed with Sojourn" in capsys.readouterr().out
    assert run_guarded(root, ["verify", "zip", "out"]) == 0
    assert capsys.readouterr().out == f"out: 2 files match {place}/zip (12 B read).\n"
    (place / "out" / "note.txt").write_bytes(b"nope")
    assert run_guarded(root, ["verify", "zip", "out"]) == 6
    assert "1 thing does not match what is there in out." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["verify", "zip"], 2, "sojourn push"),
        (["verify", "loose", "loose"], 2, "gives no digests"),
        (["ls", "loose", "--revision", "abcd"], 2, "Leave out --revision"),
        (["pull", "zip", "out", "--revision", "abcd"], 2, "Leave out --revision"),
        (["pull", "bad", "out"], 6, "is no path inside of a folder"),
        (["ls", "absent"], 5, "There is no data set in"),
    ],
)
def test_refusals_are_clear_and_leave_nothing(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    assert run_guarded(root, arguments) == status
    assert said in capsys.readouterr().err
    assert not (place / "out").exists()
    assert not (place / "outside").exists()
