import os
from pathlib import Path

import pytest

from sojourn.dataset.listing import STAGING_PREFIX, list_folder
from sojourn.errors import UsageError


def test_a_folder_comes_right_before_what_is_in_it(tmp_path: Path) -> None:
    for path in ("b/2", "b/10", "b.txt", "a/x/y", "b-c/z"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    found = [entry.path for entry in list_folder(tmp_path)]
    assert found == ["a", "a/x", "a/x/y", "b", "b/10", "b/2", "b-c", "b-c/z", "b.txt"]


@pytest.mark.parametrize("made", [[], ["empty/deep"]])
def test_a_folder_without_files_is_refused(tmp_path: Path, made: list[str]) -> None:
    for path in made:
        (tmp_path / path).mkdir(parents=True)
    with pytest.raises(UsageError, match="holds no file"):
        list_folder(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        list_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        list_folder(tmp_path / "nothing")


def test_links_are_kept_as_links_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    found = {entry.path: entry.target for entry in list_folder(tmp_path) if entry.kind == "link"}
    assert found == {"to-folder": "folder", "loop": "loop", "dangling": "nothing"}


@pytest.mark.parametrize("target", ["../elsewhere", "/etc/passwd", "folder/../../elsewhere"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(UsageError, match="outside of"):
        list_folder(tmp_path)


def test_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe, socket or device"):
        list_folder(tmp_path)


def test_a_name_that_is_not_in_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("x")
    with pytest.raises(UsageError, match="not in UTF-8"):
        list_folder(tmp_path)


def test_what_a_killed_pull_left_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / f"{STAGING_PREFIX}abc").mkdir()
    (tmp_path / f"{STAGING_PREFIX}abc" / "part").write_text("x")
    assert [entry.path for entry in list_folder(tmp_path)] == ["file"]
