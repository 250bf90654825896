from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sojourn.errors import CatalogError, TraceError, UsageError
from sojourn.runs.collect import collect_results, mark_files
from sojourn.runs.request import (
    DataWanted,
    check_request,
    check_runtime,
    data_folder,
    new_run_id,
    parse_data,
)

NOON = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)


def test_an_id_tells_time_and_script_and_sorts() -> None:
    run = new_run_id(Path("/x/My Base_line.ipynb"), now=NOON, randomness=random.Random(1))
    assert run.startswith("20261124-120005-my-base-line-")
    assert len(run.rpartition("-")[2]) == 4
    again = new_run_id(Path("/x/My Base_line.ipynb"), now=NOON, randomness=random.Random(2))
    assert again != run


@pytest.mark.parametrize(
    ("text", "store", "folder"),
    [
        ("s3://b/leaks=/content/data", "s3://b/leaks", "/content/data"),
        ("https://h/x?a=b=data", "https://h/x?a=b", "data"),
        ("plain=data", "plain", "data"),
    ],
)
def test_store_and_folder_are_told_apart(text: str, store: str, folder: str) -> None:
    assert parse_data([text]) == {store: folder}


@pytest.mark.parametrize("text", ["s3://b/leaks", "=data", "s3://b="])
def test_data_without_store_or_folder_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--data STORE=DIR"):
        parse_data([text])


def test_a_store_that_is_asked_for_twice_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_data(["a=x", "a=y"])


@pytest.mark.parametrize(
    ("folder", "where"),
    [
        ("data", "/work/data"),
        ("/content/data", "/work/data"),
        ("/content/drive/MyDrive/data", "/work/data"),
        ("/kaggle/input/leaks", "/work/input/leaks"),
        ("/somewhere/else", "/somewhere/else"),
    ],
)
def test_data_go_where_the_job_will_look_for_them(folder: str, where: str) -> None:
    assert data_folder(DataWanted(store="s", folder=folder), Path("/work")) == Path(where)


def test_only_local_runs_jobs() -> None:
    check_runtime("local")
    with pytest.raises(CatalogError, match=r"'colab/t4'.*--on local"):
        check_runtime("colab/t4")


def check(target: Path, **options: object) -> None:
    given = {"arguments": (), "data": {}, "deadline_s": None, "out": None} | options
    check_request(target, **given)  # type: ignore[arg-type]


def test_a_bad_request_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    good = tmp_path / "train.py"
    good.write_text("x = 1")
    (tmp_path / "bad.py").write_text("for")
    check(good)
    with pytest.raises(UsageError):
        check(tmp_path / "gone.py")
    with pytest.raises(TraceError):
        check(tmp_path / "bad.py")
    with pytest.raises(UsageError, match="leads out"):
        check(good, data={"s": "../x"})
    with pytest.raises(UsageError, match="deadline"):
        check(good, deadline_s=0.0)
    with pytest.raises(UsageError, match="deadline"):
        check(good, deadline_s=float("nan"))
    with pytest.raises(UsageError, match=r"train\.py"):
        check(good, out=good)


def test_only_what_is_new_or_changed_is_collected(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    (work / "data").mkdir(parents=True)
    for name in ("same", "rewritten", "replaced", "data/same"):
        (work / name).write_text("old")
    before = mark_files(work)
    (work / "rewritten").write_text("new content")
    (work / "fresh").write_text("old")
    (work / "fresh").replace(work / "replaced")
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / "model.pt").write_text("m")
    (work / "__pycache__").mkdir()
    (work / "__pycache__" / "x.pyc").touch()
    names = collect_results(work, before, out)
    assert [str(name) for name in names] == ["deep/er/model.pt", "replaced", "rewritten"]
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "deep/er/model.pt",
        "replaced",
        "rewritten",
    ]
    assert (out / "rewritten").read_text() == "new content"


def test_a_result_that_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    (out / "model.pt").mkdir(parents=True)
    (work / "model.pt").write_text("weights")
    with pytest.raises(OSError, match=r"model\.pt"):
        collect_results(work, {}, out)
    assert [path.name for path in out.iterdir()] == ["model.pt"]


def test_a_result_may_have_the_longest_name_that_there_is(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    for name in ("x" * 255, "ß" * 127):
        (work / name).write_text(name)
    assert len(collect_results(work, {}, out)) == 2
    assert {path.name for path in out.iterdir()} == {"x" * 255, "ß" * 127}
