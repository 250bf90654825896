import os
import tarfile
import zipfile
from pathlib import Path

import pytest

import sojourn
from sojourn.dataset.excluding import ExcludingSource
from sojourn.dataset.listing import list_folder
from sojourn.dataset.source import StoreSource
from sojourn.errors import UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import open_memory


class _Notes(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for path in (
        "a.csv",
        "train/b.csv",
        "train/__pycache__/b.pyc",
        "train/deep/__pycache__/c.pyc",
        ".git/HEAD",
        ".git/.DS_Store",
        "raw.tar",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def _paths(folder: Path, *globs: str) -> list[str]:
    return [entry.path for entry in list_folder(folder, globs)]


def test_what_globs_name_is_left_out_and_folders_with_all_in_them(folder: Path) -> None:
    assert _paths(folder, ".git", "**/__pycache__", "*.tar") == [
        "a.csv",
        "train",
        "train/b.csv",
        "train/deep",
    ]
    assert ".git/HEAD" in _paths(folder, "**/.DS_Store")
    assert _paths(folder, "train/**", ".git/", "raw.tar") == ["a.csv", "train"]


def test_nothing_is_left_out_unless_asked_for(folder: Path) -> None:
    assert {".git/HEAD", ".git/.DS_Store", "train/__pycache__/b.pyc"} <= set(_paths(folder))


def test_a_folder_that_is_left_out_is_not_looked_into(folder: Path) -> None:
    os.mkfifo(folder / ".git" / "pipe")  # would be refused
    (folder / ".git" / "out").symlink_to("/etc/passwd")
    os.mkfifo(folder / "socket")
    assert ".git" not in _paths(folder, ".git", "socket")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_folder_that_is_left_out_need_not_be_readable(folder: Path) -> None:
    (folder / ".git").chmod(0)
    try:
        assert ".git" not in _paths(folder, ".git")
    finally:
        (folder / ".git").chmod(0o700)


@pytest.mark.parametrize(
    ("globs", "told"),
    [
        (["*.parquet"], r"'\*\.parquet' names nothing in"),
        (["__pycache__"], r"at any depth it is '\*\*/__pycache__'"),
        (["data/train/*.csv"], r"begin inside of what is sent: write 'train/\*\.csv'"),
        (["train/B.csv"], r"Near names: train/b\.csv"),
        ([".git", ".git/HEAD"], "'.git/HEAD' names nothing in .* that is not left out anyway"),
        ([""], "'' names nothing"),
        (["[z-a]"], "is no glob"),
        (["**"], "holds no file but those that are left out"),
    ],
)
def test_globs_that_cannot_be_meant_are_refused_before_anything_is_sent(
    folder: Path, tmp_path: Path, globs: list[str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        sojourn.push(folder, tmp_path / "store", exclude=globs)
    assert not (tmp_path / "store").exists()


def test_a_push_without_some_files_is_that_of_a_folder_without_them(
    folder: Path, tmp_path: Path
) -> None:
    left_out = sojourn.push(folder, tmp_path / "one", exclude=[".git", "**/__pycache__"])
    for path in (".git/HEAD", ".git/.DS_Store", "train/__pycache__/b.pyc"):
        (folder / path).unlink()
    (folder / "train/deep/__pycache__/c.pyc").unlink()
    for path in (".git", "train/__pycache__", "train/deep/__pycache__"):
        (folder / path).rmdir()
    assert sojourn.push(folder, tmp_path / "other").revision == left_out.revision
    again = sojourn.push(folder, tmp_path / "one", exclude="*.tar")  # one glob by itself
    assert (again.unchanged, again.files) == (False, 2)


@pytest.mark.parametrize("kind", ["pushed", "zip", "folder"])
def test_what_is_left_out_of_a_store_is_not_sent_on(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "pushed":
        sojourn.push(folder, tmp_path / "first")
        source = (tmp_path / "first").as_uri()
    elif kind == "zip":
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        source = (tmp_path / "data.zip").as_uri()
    else:
        source = folder.as_uri()
    sojourn.push(source, tmp_path / "store", exclude=["**/__pycache__", ".git/*"])
    files = sojourn.open(tmp_path / "store").files()
    assert files == ["a.csv", "raw.tar", "train/b.csv"]
    with pytest.raises(UsageError, match="names nothing in"):
        sojourn.push(source, tmp_path / "other", exclude=["none"])
    with pytest.raises(UsageError, match="holds no file but those"):
        sojourn.push(source, tmp_path / "other", exclude=["**"])


def test_objects_are_left_out_with_the_folders_that_their_names_make() -> None:
    store = open_memory()
    for key in ("a.csv", "train/b.csv", "train/raw/c.bin", "train/raw/d/e.bin"):
        store.put(key, key.encode())
    left = ExcludingSource(StoreSource(store), ["**/raw"]).entries()
    assert [entry.path for entry in left] == ["a.csv", "train", "train/b.csv"]


def test_what_tools_put_there_is_named_with_what_leaves_it_out(
    folder: Path, tmp_path: Path
) -> None:
    progress = _Notes()
    sojourn.push(folder, tmp_path / "store", progress=progress)
    (note,) = progress.notes
    assert note == (
        ".git and __pycache__ (4 files) go too; to leave that out: "
        "--exclude '**/.git' --exclude '**/__pycache__'"
    )
    quiet = _Notes()
    sojourn.push(folder, tmp_path / "store", progress=quiet, exclude=["**/.git", "**/__pycache__"])
    assert quiet.notes == []
    (folder / "train" / ".DS_Store").write_text("x")
    alone = _Notes()
    sojourn.push(folder, tmp_path / "store", progress=alone, exclude=[".git", "**/__pycache__"])
    assert alone.notes == [
        ".DS_Store (1 file) goes too; to leave that out: --exclude '**/.DS_Store'"
    ]


def test_files_whose_names_only_look_like_it_are_not_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".gitignore").write_text("x")
    with tarfile.open(folder / "git.tar", "w"):
        pass
    progress = _Notes()
    sojourn.push(folder, tmp_path / "store", progress=progress)
    assert progress.notes == []
