"""What a plan takes from this machine: sizes of data, terms, the target, the subscription."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

import pytest

import sojourn
from sojourn.errors import CatalogError, TraceError, UsageError
from sojourn.planner import PlanRequest, plan_job, size_below
from sojourn.progress import NoProgress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_the_size_of_data_is_that_of_all_files_below_without_following_links(
    tmp_path: Path,
) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.bin").write_bytes(b"12345")
    (tmp_path / "data" / "y.bin").write_bytes(b"123")
    (tmp_path / "data" / "round").symlink_to(tmp_path / "data")
    found = size_below([tmp_path / "data"])
    assert found is not None
    assert 8 <= found < 8 + 10_000  # and the link's own folder entry
    assert size_below([tmp_path / "data" / "y.bin"]) == 3
    assert size_below([tmp_path / "data" / "round"]) == found
    assert size_below([tmp_path / "missing"]) == 0
    assert size_below([]) == 0


def test_too_many_files_are_not_counted(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"1")
    assert size_below([tmp_path], most_files=2) is None


@pytest.mark.parametrize(
    ("request_", "needle"),
    [
        (PlanRequest(target="a.py", wallet=0.0), "wallet"),
        (PlanRequest(target="a.py", epochs=0), "epochs"),
        (PlanRequest(target="a.py", deadline_s=-1.0), "deadline"),
        (PlanRequest(target="a.py", prefer="prettiest"), "prettiest"),
        (PlanRequest(), "no script"),
        (PlanRequest(target="missing.json"), "missing.json"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(request_: PlanRequest, needle: str) -> None:
    with pytest.raises(UsageError, match=needle):
        plan_job(request_, NoProgress())


def test_the_terms_are_arguments_in_python_as_well(tmp_path: Path) -> None:
    target = tmp_path / "a.py"
    target.write_text("x = 1")
    with pytest.raises(UsageError, match="wallet"):
        sojourn.plan(target, wallet=-1.0)
    with pytest.raises(UsageError, match="0 epochs"):
        sojourn.plan(target, epochs=0)
    with pytest.raises(UsageError, match="deadline"):
        sojourn.plan(target, deadline_s=0.0)
    with pytest.raises(UsageError, match="dearest"):
        sojourn.plan(target, prefer="dearest")


def test_traces_that_are_none_and_runtimes_that_are_none_have_their_own_errors(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(TraceError):
        sojourn.plan(tmp_path / "t.json")
    with pytest.raises(CatalogError):
        sojourn.plan(tmp_path / "t.json", on=["colab/t5"])
    with pytest.raises(CatalogError, match="colab/t5"):
        sojourn.plan(tmp_path / "t.json", on="colab/t5")


def test_what_a_plan_takes_is_what_a_request_has() -> None:
    fields = {field.name: field for field in dataclasses.fields(PlanRequest)}
    taken = dict(inspect.signature(sojourn.plan).parameters)
    del taken["progress"]
    assert taken.keys() == fields.keys()
    for name in taken.keys() - {"arguments", "paths"}:
        assert taken[name].default == fields[name].default, name
        assert f"        {name}: " in (sojourn.plan.__doc__ or "")
