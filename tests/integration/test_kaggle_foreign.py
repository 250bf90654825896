"""Data sets on Kaggle that others made: read, pulled and packed anew, from the server for tests."""

import io
import zipfile
from pathlib import Path

import pytest

import sojourn
from sojourn.errors import StoreError
from sojourn.testing.kaggle_server import KaggleServer

FILES = {
    "train/TRAIN_A.csv": b"x,y\n" + b"1,2\n" * 40_000,
    "test/C/1.csv": b"x,y\n3,4\n",
    "누수.txt": "자료".encode(),
}


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["loose", "zip"])
def test_two_lines_read_a_table(kaggle: KaggleServer, kind: str, tmp_path: Path) -> None:
    objects = FILES if kind == "loose" else {"kwater.zip": _zip()}
    kaggle.datasets.add("irondragon", "kwater-data", objects, private=False)
    ds = sojourn.open("kaggle://irondragon/kwater-data")
    assert ds.read("train/TRAIN_A.csv").shape == (40_000, 2)
    assert ds.files() == ["test/C/1.csv", "train/TRAIN_A.csv", "누수.txt"]
    report = sojourn.pull("kaggle://irondragon/kwater-data", tmp_path / "out")
    assert report.files_fetched == 3
    for name, data in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    again = sojourn.pull("kaggle://irondragon/kwater-data", tmp_path / "out")
    assert again.files_fetched == 0
    sojourn.push("kaggle://irondragon/kwater-data", tmp_path / "store")
    assert sojourn.open(tmp_path / "store").read_bytes("누수.txt") == FILES["누수.txt"]


@pytest.mark.usefixtures("kaggle")
def test_one_that_is_not_there_is_told() -> None:
    with pytest.raises(StoreError, match="kaggle://nobody/nothing"):
        sojourn.open("kaggle://nobody/nothing")
