import json
import os
from pathlib import Path

import pytest

from sojourn.cli import root
from sojourn.cli._errors import run_guarded
from sojourn.dataset.shards import Sizes
from sojourn.units import MIB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("x,y\n1,2\n")
    return folder


def _push(*arguments: str | Path) -> int:
    return run_guarded(root, ["push", *map(str, arguments)])


def test_a_push_says_what_was_sent(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _push(folder, tmp_path / "store", "-m", "first", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "sojourn.push/1"
    assert document["shards"] == {"sent": 1, "reused": 0}
    assert (document["files"], document["bytes"], document["members"]) == (1, 8, 1)
    assert document["sent_bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file()
    )
    manifest = json.loads((tmp_path / "store" / "sojourn.json").read_text())
    assert manifest["message"] == "first"
    assert manifest["revision"] == document["revision"]


def test_a_second_push_says_that_nothing_was_sent(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _push(folder, tmp_path / "store", "-q")
    assert _push(folder, tmp_path / "store") == 0
    assert "holds this already: 1 file, 8 B; nothing sent" in capsys.readouterr().out
    _push(folder, tmp_path / "store", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["unchanged"], document["sent_bytes"]) == (True, 0)


def test_a_dry_run_makes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _push(folder, tmp_path / "store", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("Would send ")
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_made_is_refused_before_anything_is_packed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert _push(folder, tmp_path / "file" / "store", "--dry-run") == 5
    told = capsys.readouterr().err
    assert told.startswith(f"sojourn: {tmp_path / 'file'} is a file, so there can be no store")
    assert _push(folder, tmp_path / "file" / "store") == 5
    assert capsys.readouterr().err == told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_this_user_may_not_write_nothing_is_packed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert _push(folder, tmp_path / "locked" / "store") == 5
    told = capsys.readouterr().err
    assert f"this user may not write to {tmp_path / 'locked'}." in told
    assert "push: stopped" not in told


def test_an_empty_folder_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert _push(tmp_path / "empty", tmp_path / "store", "--json") == 2
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert error["code"] == "usage"
    assert "holds no file" in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_an_unknown_scheme_ends_with_5_and_names_the_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _push(folder, "ftp://bucket/x") == 5
    assert "s3://BUCKET/PREFIX" in capsys.readouterr().err


def test_the_help_has_an_example_the_cost_and_the_exit_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _push("--help") == 0
    text = capsys.readouterr().out
    for part in ("Example:", "Costs", "Exit status:", "sojourn push data/"):
        assert part in text


def test_the_help_says_that_whole_shards_are_sent_and_how_large_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _push("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    sizes = Sizes()
    least, most = sizes.min_shard_bytes // MIB, sizes.max_shard_bytes // MIB
    assert "only shards whose content changed since the last push" in text
    assert f"{least} to {most} MiB of them before compression" in text


def test_what_exclude_names_is_not_sent_and_what_tools_left_is_noted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "b.tmp").write_text("x")
    assert _push(folder, tmp_path / "store", "--exclude", "*.tmp") == 0
    note = ".git (1 file) goes too; to leave that out: --exclude '**/.git'"
    assert note in capsys.readouterr().err
    excluded = ["--exclude", "*.tmp", "--exclude", "**/.git"]
    assert _push(folder, tmp_path / "store", *excluded, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["files"] == 1
    assert "goes too" not in captured.err
    assert _push(folder, tmp_path / "other", "--exclude", "*.none") == 2
    assert "'*.none' names nothing in" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
