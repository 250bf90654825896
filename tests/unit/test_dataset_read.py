import io
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import sojourn
from sojourn.dataset.contents import AHEAD
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.formats import Library, package
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.errors import (
    IntegrityError,
    MissingPackageError,
    NoSuchFileError,
    StoreError,
    UsageError,
)
from sojourn.progress import NoProgress
from sojourn.stores.base import Store
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore, unavailable

SIZES = Sizes(
    min_shard_bytes=20_000, mean_shard_bytes=40_000, max_shard_bytes=80_000, frame_bytes=8_000
)
CSV = b't,x,name\n1,0.1,a\n2,1e-320,\n3,123456789.12345678,"c,\nc"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "test" / "C").mkdir(parents=True)
    (folder / "table.csv").write_bytes(CSV)
    (folder / "table.tsv").write_bytes(b"t\tx\n1\t0.5\n")
    (folder / "lines.jsonl").write_bytes(b'{"a": 1}\n{"a": 2}\n')
    pd.DataFrame({"a": [1, 2, 3]}).to_parquet(folder / "table.parquet")
    (folder / "notes.txt").write_text("words")
    (folder / "nothing.csv").write_bytes(b"")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 200)
    for number in range(60):
        rows = "".join(f"{row},{number / 7 + row}\n" for row in range(80))
        (folder / "test" / "C" / f"{number:02}.csv").write_text("t,x\n" + rows)
    (folder / "link").symlink_to("table.csv")
    return folder


@pytest.fixture
def memory(folder: Path) -> ObjectStore:
    return _pushed(folder)


def _pushed(folder: Path) -> ObjectStore:
    store = open_memory()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=SIZES)
    return store


def _open(store: Store) -> Dataset:
    return Dataset(load_manifest(store), store)


@pytest.fixture
def dataset(memory: ObjectStore) -> Dataset:
    return _open(memory)


def test_opening_reads_the_manifest_and_nothing_else(memory: ObjectStore) -> None:
    store = FaultyStore(memory)
    opened = _open(store)
    assert len(opened.files()) == 68
    assert opened.members("table.csv")[0].rows == 3
    assert store.calls == [("get", "sojourn.json")]


def test_every_file_is_read_as_it_was(dataset: Dataset, folder: Path) -> None:
    for name in dataset.files():
        assert dataset.read_bytes(name) == (folder / name).read_bytes(), name


def test_globs_name_files(dataset: Dataset) -> None:
    assert dataset.files("*.csv") == ["nothing.csv", "table.csv"]
    assert dataset.files("l*") == ["large.bin", "lines.jsonl", "link"]
    assert dataset.files("test/C/0*.csv") == [f"test/C/0{digit}.csv" for digit in range(10)]
    assert dataset.files("no/*") == []


@pytest.mark.filterwarnings("ignore:The 'float_precision' argument is deprecated")
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"usecols": ["x"]},
        {"index_col": "t", "nrows": 2},
        {"dtype": str},
        {"engine": "python"},
        {"sep": ";"},
        {"header": None, "skiprows": 1},
    ],
)
def test_a_csv_is_what_pandas_reads(
    dataset: Dataset, folder: Path, arguments: dict[str, Any]
) -> None:
    expected_arguments = arguments | (
        {} if "engine" in arguments else {"float_precision": "round_trip"}
    )
    expected = pd.read_csv(folder / "table.csv", **expected_arguments)
    pd.testing.assert_frame_equal(
        dataset.read("table.csv", **arguments), expected, check_exact=True
    )


def test_other_kinds_of_tables_are_read(dataset: Dataset) -> None:
    assert dataset.read("table.tsv").to_dict("list") == {"t": [1], "x": [0.5]}
    assert dataset.read("lines.jsonl")["a"].tolist() == [1, 2]
    assert dataset.read("table.parquet")["a"].tolist() == [1, 2, 3]
    assert dataset.read("table.parquet", columns=[]).shape[1] == 0


@pytest.fixture
def wide(tmp_path: Path) -> tuple[Path, ObjectStore]:
    """A Parquet file of 20 columns in 4 groups of rows, over some 20 frames."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"c{at}": rng.random(4_000) for at in range(20)})
    frame["row"] = range(4_000)
    path = tmp_path / "wide" / "wide.parquet"
    path.parent.mkdir()
    frame.to_parquet(path, row_group_size=1_000)
    store = open_memory()
    sizes = Sizes(frame_bytes=32_000)
    push_folder(
        path.parent, store, message="", now=datetime.now(UTC), progress=NoProgress(), sizes=sizes
    )
    return path, store


@pytest.mark.parametrize(
    "arguments", [{"columns": ["c7"]}, {"filters": [("row", ">=", 3_000)]}, {"columns": []}]
)
def test_of_a_parquet_file_only_what_is_asked_for_is_fetched(
    wide: tuple[Path, ObjectStore], arguments: dict[str, Any]
) -> None:
    path, memory = wide
    for library in ("pandas", "arrow"):
        whole, part = FaultyStore(memory), FaultyStore(memory)
        _open(whole).read("wide.parquet")
        table = _open(part).read("wide.parquet", library, **arguments)
        expected = pd.read_parquet(path, **arguments)
        found = table if library == "pandas" else table.to_pandas()
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        assert len(part.calls) < len(whole.calls) * 0.6
    frame = _open(memory).read("wide.parquet", "polars", columns=["c7"])
    assert frame.shape == (4_000, 1)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]}),
        pd.DataFrame({"a": [1, 2, 3]}, index=["x", "y", "z"]),
        pd.DataFrame({"a": [1, 2, 3]}, index=pd.Index([1, 3, 5], name="key")),
        pd.DataFrame({"a": []}),
        pd.DataFrame({f"c{at}": range(200_000) for at in range(9)}),
    ],
    ids=["plain", "index", "named index", "empty", "large"],
)
def test_the_rows_and_columns_of_parquet_are_in_the_manifest(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    frame.to_parquet(tmp_path / "a.parquet", compression=None)
    pyarrow.parquet.write_table(pa.table({"a": [[1], [2, 3]]}), tmp_path / "b.PQ")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing of the kind PAR1")
    store = open_memory()
    push_folder(tmp_path, store, message="", now=datetime.now(UTC), progress=NoProgress())
    first, second, broken = load_manifest(store).files
    assert (first.rows, first.columns) == pd.read_parquet(tmp_path / "a.parquet").shape
    assert (second.rows, second.columns) == (2, 1)
    assert (broken.rows, broken.columns) == (None, None)


def test_damage_is_noticed_in_a_parquet_file_that_is_read_in_part(
    wide: tuple[Path, ObjectStore],
) -> None:
    _, memory = wide
    (shard,) = load_manifest(memory).shards
    data = bytearray(memory.get(shard.key))
    for at in range(0, len(data) - 100_000, 500):
        data[at] ^= 1
    memory.put(shard.key, bytes(data))
    with pytest.raises(IntegrityError):
        _open(memory).read("wide.parquet", columns=["c7"])


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "lines.jsonl", "table.parquet"])
def test_tables_come_as_polars_and_arrow_too(dataset: Dataset, name: str) -> None:
    as_pandas = dataset.read(name)
    as_polars = dataset.read(name, as_="polars")
    as_arrow = dataset.read(name, as_="arrow") if name != "table.csv" else None
    assert isinstance(as_polars, pl.DataFrame)
    assert as_polars.shape == as_pandas.shape
    if as_arrow is not None:
        assert isinstance(as_arrow, pa.Table)
        assert as_arrow.shape == as_pandas.shape


def test_arguments_go_to_the_library_that_reads(dataset: Dataset) -> None:
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    assert dataset.read("table.csv", as_="arrow", parse_options=options).shape == (3, 3)
    assert dataset.read("table.csv", as_="polars", n_rows=1).shape == (1, 3)


def test_a_name_that_is_not_there_tells_near_ones(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"test/C/01\.csv"):
        dataset.read("test/C/001.csv")
    for no_file in ("rest", "../table.csv"):
        with pytest.raises(UsageError, match="There is no file"):
            dataset.read_bytes(no_file)


def test_a_link_is_read_as_the_file_that_it_leads_to(folder: Path) -> None:
    (folder / "test" / "first.csv").symlink_to("C/00.csv")
    (folder / "test" / "again.csv").symlink_to("here/../first.csv")
    (folder / "test" / "here").symlink_to("C")
    dataset = _open(_pushed(folder))
    names = ["test/again.csv", "test/first.csv"]
    assert dataset.files("test/*.csv") == names
    for name in names:
        assert dataset.read_bytes(name) == (folder / "test" / "C" / "00.csv").read_bytes()
        assert dataset.read(name).equals(pd.read_csv(folder / "test" / "C" / "00.csv"))
    assert [name for name, _ in dataset.read_many("test/**/*.csv")] == [
        *(f"test/C/{number:02}.csv" for number in range(60)),
        *names,
    ]
    assert repr(dataset).startswith(f"<Dataset memory:// {dataset.revision}: 67 files, ")


@pytest.mark.parametrize("target", ["test/C", "nothing/there", "astray.csv", "."])
def test_a_link_to_no_file_is_told(folder: Path, target: str) -> None:
    (folder / "astray.csv").symlink_to(target)
    dataset = _open(_pushed(folder))
    assert dataset.files("astray.csv") == []
    with pytest.raises(UsageError, match=f"'astray.csv' .* is a link to '{target}', .* no file"):
        dataset.read("astray.csv")


def test_what_is_no_table_says_how_to_have_it(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"read_bytes\(name\)"):
        dataset.read("notes.txt")
    with pytest.raises(UsageError, match="'pandas', 'polars' or 'arrow'"):
        dataset.read("table.csv", as_="numpy")  # type: ignore[arg-type]


KOREAN = "t,p\n1,높음\n"
# Without it Arrow takes what is not UTF-8 as bytes.
TEXT = pyarrow.csv.ConvertOptions(column_types={"p": pa.string()})


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({}, '`read(name, encoding="cp949")`'),
        ({"as_": "polars"}, '`read(name, as_="polars", encoding="cp949")`'),
        (
            {"as_": "arrow", "convert_options": TEXT},
            '`read(name, as_="arrow", read_options=pyarrow.csv.ReadOptions(encoding="cp949"))`',
        ),
    ],
)
def test_a_table_in_another_encoding_is_named_with_the_remedy(
    folder: Path, arguments: dict[str, Any], remedy: str
) -> None:
    (folder / "test" / "korean.csv").write_bytes(KOREAN.encode("cp949"))
    dataset = _open(_pushed(folder))
    with pytest.raises(UsageError, match=r"'test/korean\.csv' cannot be read") as caught:
        list(dataset.read_many("test/*.csv", **arguments))
    assert remedy in caught.value.remedy
    named: dict[str, Any] = {"encoding": "cp949"}
    if arguments.get("as_") == "arrow":
        named = {"read_options": pyarrow.csv.ReadOptions(encoding="cp949")}
    assert str(dataset.read("test/korean.csv", **arguments, **named)["p"][0]) == "높음"


def test_a_table_in_utf_16_is_told_from_one_in_cp949(folder: Path) -> None:
    (folder / "wide.csv").write_text(KOREAN, encoding="utf-16")
    dataset = _open(_pushed(folder))
    with pytest.raises(UsageError, match=r'encoding="utf-16"'):
        dataset.read("wide.csv")
    assert dataset.read("wide.csv", encoding="utf-16")["p"].tolist() == ["높음"]


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.csv", b""),
        ("broken.csv", b"a,b\n1,2\n1,2,3,4\n"),
        ("broken.parquet", b"PAR1 and nothing of the kind"),
        ("broken.parquet", b""),
        ("broken.jsonl", b'{"a": 1}\n{"a": '),
    ],
)
def test_what_a_library_cannot_read_is_named(
    folder: Path, library: Library, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    dataset = _open(_pushed(folder))
    with pytest.raises(UsageError, match=rf"'{re.escape(name)}' cannot be read: \S") as caught:
        list(dataset.read_many(name, as_=library))
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_a_table_whose_delimiter_cannot_be_found_is_named(folder: Path) -> None:
    (folder / "x.csv").write_bytes(b"\nab\nc\n")
    dataset = _open(_pushed(folder))
    with pytest.raises(UsageError, match=r"'x\.csv' cannot be read: Could not determine"):
        dataset.read("x.csv", sep=None, engine="python")


def test_json_lines_that_are_not_utf_8_say_so(folder: Path) -> None:
    (folder / "korean.jsonl").write_bytes('{"a": "높음"}\n'.encode("cp949"))
    dataset = _open(_pushed(folder))
    with pytest.raises(UsageError, match='encoding="cp949"'):
        dataset.read("korean.jsonl")
    assert dataset.read("korean.jsonl", encoding="cp949")["a"].tolist() == ["높음"]
    with pytest.raises(UsageError, match="convert it"):
        dataset.read("korean.jsonl", as_="polars")


def test_arguments_that_do_not_fit_a_file_name_it(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"'test/C/00\.csv' cannot be read: .*nowhere"):
        next(dataset.read_many("test/C/*.csv", usecols=["nowhere"]))


def test_an_argument_that_no_reader_takes_is_bad_usage(dataset: Dataset) -> None:
    with pytest.raises(
        UsageError, match=r"'table\.csv' cannot be read so: .*'columns'.*`usecols=`"
    ):
        dataset.read("table.csv", columns=["t"])
    with pytest.raises(UsageError, match="the reader that arrow has for tsv"):
        dataset.read("table.tsv", as_="arrow", sep="\t")


def test_a_folder_is_no_file_and_says_how_to_list_it(dataset: Dataset) -> None:
    for name in ("test", "test/C", "test/"):
        with pytest.raises(NoSuchFileError, match="is a folder, and no file") as refused:
            dataset.read(name)
        assert f"files('{name.rstrip('/')}/**')" in refused.value.remedy


def test_what_is_no_table_is_pointed_to_load(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"'notes\.txt' is no table .*`load\(name\)`"):
        dataset.read("notes.txt")


def test_a_name_is_found_however_its_letters_are_composed(folder: Path) -> None:
    pushed = unicodedata.normalize("NFD", "가나.csv")
    (folder / pushed).write_bytes(CSV)
    dataset = _open(_pushed(folder))
    assert pushed in dataset.files()
    assert dataset.files("가?.csv") == [pushed]
    assert dataset.read_bytes("가나.csv") == dataset.read_bytes(pushed) == CSV
    assert dataset.open("가나.csv").read() == CSV
    assert dataset.read("가나.csv").shape == (3, 3)
    (folder / "가나.csv").write_bytes(b"a\n1\n")
    both = _open(_pushed(folder))
    assert both.read_bytes("가나.csv") == b"a\n1\n"
    assert both.read_bytes(pushed) == CSV


def test_a_library_that_is_missing_says_how_to_get_it() -> None:
    with pytest.raises(MissingPackageError, match=r"pip install 'sojourn\[pandas\]'"):
        package("no_such_library", install="'sojourn[pandas]'")


def test_many_come_in_order(dataset: Dataset, folder: Path) -> None:
    names = []
    for name, table in dataset.read_many("test/C/*.csv"):
        names.append(name)
        assert table.equals(pd.read_csv(folder / name))
    assert names == [f"test/C/{number:02}.csv" for number in range(60)]


def test_reading_many_fetches_each_frame_once_and_not_all_at_once(memory: ObjectStore) -> None:
    store = FaultyStore(memory)
    many = _open(store).read_many("test/C/*.csv")
    next(many)
    fetched_at_first = sum(verb == "get_range" for verb, _ in store.calls)
    list(many)
    fetched = sum(verb == "get_range" for verb, _ in store.calls)
    assert fetched_at_first <= AHEAD + 1 < fetched
    assert fetched <= sum(len(shard.frames) for shard in load_manifest(memory).shards)


def test_reading_many_can_be_left_half_way(dataset: Dataset) -> None:
    for name, _ in dataset.read_many("test/C/*.csv"):
        if name == "test/C/05.csv":
            break
    assert len(list(dataset.read_many("test/C/0*.csv"))) == 10


def test_many_of_nothing_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        next(dataset.read_many("*.parq"))


def test_many_may_be_named_one_by_one_and_by_several_globs(folder: Path) -> None:
    (folder / "odd [1].csv").write_text("a\n1\n")
    dataset = _open(_pushed(folder))
    names = ["odd [1].csv", "test/C/0[12].csv", "table.csv", "test/C/02.csv"]
    assert [name for name, _ in dataset.read_many(names)] == [
        "odd [1].csv",
        "table.csv",
        "test/C/01.csv",
        "test/C/02.csv",
    ]
    assert list(dataset.read_many([])) == []
    with pytest.raises(UsageError, match=r"'\*\.parq' names nothing"):
        next(dataset.read_many(["table.csv", "*.parq"]))


def test_one_of_many_that_cannot_be_read_is_named_with_a_way_on_without_it(folder: Path) -> None:
    (folder / "test" / "C" / "05.csv").write_bytes(b'a,b\n1,"2\n')
    ds = _open(_pushed(folder))
    tables = ds.read_many("test/C/*.csv")
    for number in range(5):
        assert next(tables)[0] == f"test/C/{number:02}.csv"
    with pytest.raises(UsageError, match=r"'test/C/05\.csv' cannot be read") as caught:
        next(tables)
    (way_on,) = re.findall(r"`(ds\.read_many\(.*\))`", caught.value.remedy)
    assert len(list(eval(way_on, {"ds": ds}))) == 59
    names = ["test/C/04.csv", "test/C/05.csv"]
    with pytest.raises(UsageError) as caught:
        list(ds.read_many(names))
    (way_on,) = re.findall(r"`(ds\.read_many\(.*\))`", caught.value.remedy)
    assert [name for name, _ in eval(way_on, {"ds": ds, "names": names})] == ["test/C/04.csv"]


def test_one_of_many_that_is_damaged_is_named(memory: ObjectStore) -> None:
    damaged = _open(FaultyStore(memory, Fault(verb="get_range", flip_bit_at=200)))
    with pytest.raises(IntegrityError, match=r"'test/C/00\.csv' cannot be read: \S") as caught:
        list(damaged.read_many("test/C/*.csv"))
    assert "if name != 'test/C/00.csv'" in caught.value.remedy


def test_damage_is_noticed_however_a_file_is_read(memory: ObjectStore) -> None:
    damaged = _open(FaultyStore(memory, Fault(verb="get_range", flip_bit_at=200)))
    with pytest.raises(IntegrityError):
        damaged.read("table.csv")
    with pytest.raises(IntegrityError):
        list(damaged.read_many("test/C/*.csv"))
    with pytest.raises(IntegrityError):
        damaged.read_bytes("large.bin")


def test_after_an_error_the_next_read_asks_again(memory: ObjectStore) -> None:
    opened = _open(FaultyStore(memory, Fault(verb="get_range", times=1, error=unavailable())))
    with pytest.raises(StoreError):
        opened.read_bytes("table.csv")
    assert opened.read_bytes("table.csv") == CSV


def test_a_part_can_be_extracted(dataset: Dataset, tmp_path: Path) -> None:
    report = dataset.extract(tmp_path / "out", include=["*.csv", "notes.txt"])
    assert report.files == 3
    assert (tmp_path / "out" / "table.csv").read_bytes() == CSV
    assert dataset.extract(tmp_path / "one", include="notes.txt").files == 1


def test_it_shows_what_it_is(dataset: Dataset) -> None:
    assert repr(dataset).startswith(f"<Dataset memory:// {dataset.revision}: 67 files, ")


def test_an_open_data_set_keeps_its_revision(memory: ObjectStore, folder: Path) -> None:
    opened = _open(memory)
    (folder / "table.csv").write_bytes(b"other\n")
    now = datetime(2026, 1, 3, tzinfo=UTC)
    push_folder(folder, memory, message="", now=now, progress=NoProgress(), sizes=SIZES)
    assert opened.read_bytes("table.csv") == CSV
    assert _open(memory).read_bytes("table.csv") == b"other\n"
    assert len(pd.read_csv(io.BytesIO(opened.read_bytes("table.csv")))) == 3


def test_extract_refuses_a_home_folder_of_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    sojourn.push(folder, tmp_path / "store")
    with pytest.raises(sojourn.SojournError, match="nobody-of-that-name"):
        sojourn.open(tmp_path / "store").extract("~nobody-of-that-name/x")
