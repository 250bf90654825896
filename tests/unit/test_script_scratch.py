from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sojourn.script.scratch import COPIED_UP_TO_BYTES, make_scratch_copy

if TYPE_CHECKING:
    from pathlib import Path


def test_small_files_are_copied_and_large_ones_linked(tmp_path: Path) -> None:
    source = tmp_path / "project"
    (source / "data").mkdir(parents=True)
    (source / "train.py").write_text("x")
    (source / "train.py").chmod(0o755)
    (source / "data" / "big.csv").write_bytes(bytes(COPIED_UP_TO_BYTES + 1))
    (source / "data" / "just.csv").write_bytes(bytes(COPIED_UP_TO_BYTES))
    copy, notes = make_scratch_copy(source, tmp_path / "copy")
    assert (copy / "train.py").read_text() == "x"
    assert os.access(copy / "train.py", os.X_OK)
    assert (copy / "data" / "big.csv").readlink() == source / "data" / "big.csv"
    assert not (copy / "data" / "just.csv").is_symlink()
    assert notes == []


def test_what_is_no_part_of_the_job_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "project"
    for name in (".git", ".venv", "venv", "node_modules", "__pycache__", "kept"):
        (source / name).mkdir(parents=True)
        (source / name / "file").touch()
    copy, _ = make_scratch_copy(source, tmp_path / "copy")
    assert [path.name for path in copy.iterdir()] == ["kept"]


def test_the_copy_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    copy, _ = make_scratch_copy(tmp_path, tmp_path / "copy")
    assert [path.name for path in copy.iterdir()] == ["train.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_noted(tmp_path: Path) -> None:
    source = tmp_path / "project"
    source.mkdir()
    (source / "secret").touch(mode=0o000)
    _, notes = make_scratch_copy(source, tmp_path / "copy")
    assert notes == ["secret is left out: Permission denied"]


def test_a_pipe_and_a_link_to_nothing_are_noted(tmp_path: Path) -> None:
    source = tmp_path / "project"
    source.mkdir()
    os.mkfifo(source / "pipe")
    (source / "broken").symlink_to(tmp_path / "gone")
    copy, notes = make_scratch_copy(source, tmp_path / "copy")
    assert sorted(notes) == ["broken is left out: not a file", "pipe is left out: not a file"]
    assert list(copy.iterdir()) == []


def test_a_link_that_leads_in_a_circle_stays_a_link(tmp_path: Path) -> None:
    source = tmp_path / "project"
    source.mkdir()
    (source / "round").symlink_to(source)
    copy, _ = make_scratch_copy(source, tmp_path / "copy")
    assert (copy / "round").is_symlink()


def test_folders_of_very_many_files_are_linked_whole_and_noted(tmp_path: Path) -> None:
    source = tmp_path / "project"
    (source / "many").mkdir(parents=True)
    (source / "train.py").touch()
    for number in range(5):
        (source / "many" / f"{number}").mkdir()
        (source / "many" / f"{number}" / "file").write_text("x")
    copy, notes = make_scratch_copy(source, tmp_path / "copy", max_entries=4)
    assert (copy / "train.py").exists()
    assert not (copy / "many").is_symlink()
    linked = [path.name for path in (copy / "many").iterdir() if path.is_symlink()]
    assert linked
    assert (copy / "many" / linked[-1] / "file").read_text() == "x"
    assert len(notes) == 1
    assert "more than 4 files" in notes[0]
