import io
import tomllib
import unicodedata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow.dataset
import pytest

import sojourn
from sojourn.dataset.filesystem import SojournFileSystem
from sojourn.errors import NoSuchFileError, ReadOnlyError, UsageError

ROOT = Path(__file__).parent.parent.parent
CSV = b"t,x\n1,0.5\n2,0.25\n"


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    # As the entry point does it, also where another checkout is installed.
    fsspec.register_implementation("sojourn", SojournFileSystem, clobber=True)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("fs") / "data"
    (folder / "train" / "deep").mkdir(parents=True)
    (folder / "hollow").mkdir()
    (folder / "train" / "A.csv").write_bytes(CSV)
    (folder / "train" / "B.csv").write_bytes(CSV)
    (folder / "train" / "deep" / "C.csv").write_bytes(CSV)
    (folder / "train" / "link.csv").symlink_to("A.csv")
    (folder / "train" / "folder").symlink_to("deep")
    (folder / "100% [odd].txt").write_text("하나\n둘\n", "utf-8")
    pd.DataFrame({"a": range(1000), "b": "x"}).to_parquet(folder / "t.parquet", row_group_size=100)
    store = folder.parent / "store"
    sojourn.push(folder, store)
    return str(store)


@pytest.fixture
def fs(address: str) -> Any:
    return fsspec.filesystem("sojourn", address=address)


def test_the_entry_point_names_the_file_system() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    entry_points = project["entry-points"]["fsspec.specs"]
    (name, value), *more = entry_points.items()
    assert (name, more) == ("sojourn", [])
    assert EntryPoint(name, value, "fsspec.specs").load() is SojournFileSystem


def test_names_are_found_however_their_letters_are_composed(tmp_path: Path) -> None:
    pushed = unicodedata.normalize("NFD", "자료")
    (tmp_path / "data" / pushed).mkdir(parents=True)
    (tmp_path / "data" / pushed / unicodedata.normalize("NFD", "가.csv")).write_bytes(CSV)
    sojourn.push(tmp_path / "data", tmp_path / "store")
    fs = fsspec.filesystem("sojourn", address=str(tmp_path / "store"))
    assert fs.ls("자료", detail=False) == fs.ls(pushed, detail=False)
    assert fs.ls("자료/가.csv", detail=False) == fs.ls(pushed, detail=False)
    assert fs.isdir("자료")
    assert fs.cat_file("자료/가.csv") == fs.cat_file("자료/가.csv", start=0) == CSV
    assert fs.open("자료/가.csv").read() == CSV


def test_a_name_that_is_not_there_tells_near_ones(fs: Any) -> None:
    with pytest.raises(NoSuchFileError, match=r"Near names: .*train/A\.csv"):
        fs.info("train/AA.csv")
    with pytest.raises(NoSuchFileError, match="See the names with `ls`"):
        fs.info("zzzzzzzz")


def test_pandas_reads_an_address(address: str) -> None:
    options = {"address": address}
    table = pd.read_csv("sojourn://train/A.csv", storage_options=options)
    assert table["x"].tolist() == [0.5, 0.25]
    parquet = pd.read_parquet("sojourn://t.parquet", storage_options=options, columns=["a"])
    assert parquet["a"].sum() == 499_500


def test_arrow_reads_a_folder(fs: Any) -> None:
    tables = pyarrow.dataset.dataset("train", filesystem=fs, format="csv")
    assert tables.count_rows() == 8
    one = pyarrow.dataset.dataset("t.parquet", filesystem=fs)
    assert one.to_table(filter=pyarrow.dataset.field("a") > 990).num_rows == 9


def test_folders_are_listed(fs: Any) -> None:
    assert fs.ls("", detail=False) == ["100% [odd].txt", "hollow", "t.parquet", "train"]
    assert fs.ls("hollow") == []
    found = {entry["name"]: (entry["type"], entry["size"]) for entry in fs.ls("sojourn://train/")}
    assert found == {
        "train/A.csv": ("file", len(CSV)),
        "train/B.csv": ("file", len(CSV)),
        "train/deep": ("directory", 0),
        "train/link.csv": ("file", len(CSV)),
    }
    assert [entry["name"] for entry in fs.ls("train/A.csv")] == ["train/A.csv"]


def test_names_are_found(fs: Any) -> None:
    csvs = ["train/A.csv", "train/B.csv", "train/deep/C.csv", "train/link.csv"]
    assert fs.find("train") == csvs
    assert fs.glob("train/*.csv") == [name for name in csvs if "deep" not in name]
    assert fs.glob("**/C.csv") == ["train/deep/C.csv"]
    assert fs.exists("train/A.csv")
    assert not fs.exists("train/Z.csv")
    assert (fs.isdir("train"), fs.isfile("train"), fs.isfile("t.parquet")) == (True, False, True)
    assert fs.info("train/link.csv")["digest"] == fs.info("train/A.csv")["digest"]


def test_a_file_is_read_in_every_way_of_fsspec(fs: Any, tmp_path: Path) -> None:
    assert fs.cat("train/A.csv") == CSV
    for start, end in ((2, 7), (None, 4), (-5, None), (-5, -1), (9, 3), (0, 10_000)):
        assert fs.cat_file("train/A.csv", start=start, end=end) == CSV[start:end]
    assert fs.head("train/A.csv", 3) == CSV[:3]
    assert fs.tail("train/A.csv", 3) == CSV[-3:]
    assert fs.read_block("train/A.csv", 1, 3, delimiter=b"\n") == CSV[4:10]
    with fs.open("100% [odd].txt", "r", encoding="utf-8") as file:
        assert isinstance(file, io.TextIOWrapper)
        assert list(file) == ["하나\n", "둘\n"]
    fs.get("train", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "deep" / "C.csv").read_bytes() == CSV


def test_what_is_not_there_is_told(fs: Any) -> None:
    for look in (fs.info, fs.ls, fs.open, fs.cat_file):
        with pytest.raises(NoSuchFileError, match=r"train/Z\.csv"):
            look("train/Z.csv")
    with pytest.raises(FileNotFoundError):
        pd.read_csv("sojourn://Z.csv", storage_options={"address": fs.dataset.url})
    with pytest.raises(IsADirectoryError, match="train"):
        fs.open("train")


def test_nothing_is_written(fs: Any, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for write in (
        lambda: fs.open("new", "wb"),
        lambda: fs.open("train/A.csv", "ab"),
        lambda: fs.pipe("new", b"x"),
        lambda: fs.put(str(tmp_path / "x"), "new"),
        lambda: fs.rm("train", recursive=True),
        lambda: fs.mv("train/A.csv", "train/Z.csv"),
        lambda: fs.cp("train/A.csv", "train/Z.csv"),
        lambda: fs.mkdir("new"),
        lambda: fs.makedirs("new/er"),
        lambda: fs.touch("new"),
        lambda: pd.DataFrame({"a": [1]}).to_csv(
            "sojourn://new.csv", storage_options={"address": fs.dataset.url}
        ),
    ):
        with pytest.raises(ReadOnlyError, match="read only") as caught:
            write()
        assert "push" in caught.value.remedy


def test_an_address_that_is_missing_is_asked_for() -> None:
    with pytest.raises(UsageError, match="storage_options"):
        fsspec.filesystem("sojourn")


def test_revisions_are_file_systems_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("first")
    first = sojourn.push(tmp_path / "data", tmp_path / "store").revision
    (tmp_path / "data" / "a.txt").write_text("second")
    sojourn.push(tmp_path / "data", tmp_path / "store")
    newest = fsspec.filesystem("sojourn", address=str(tmp_path / "store"))
    earlier = fsspec.filesystem("sojourn", address=str(tmp_path / "store"), revision=first)
    assert (earlier.cat("a.txt"), newest.cat("a.txt")) == (b"first", b"second")
    assert earlier.fsid != newest.fsid
