from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sojourn.cli import root
from sojourn.cli._errors import run_guarded
from sojourn.errors import CatalogError
from sojourn.health import (
    Check,
    examine_catalog,
    examine_disk,
    examine_extra,
    examine_folder,
    examine_memory,
    examine_packages,
    examine_pandas,
    examine_python,
    examine_s3_credentials,
    examine_store,
    examine_torch,
    find_failure,
    packages_of,
)
from sojourn.tracing.versions import TESTED_RANGE
from sojourn.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "wJalrXUtnFEMI-not-to-be-seen"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of this test's own; returns where the catalog.toml belongs."""
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    return tmp_path / "CONFIG" / "sojourn" / "catalog.toml"


@pytest.mark.usefixtures("config")
def test_json_has_name_verdict_detail_and_remedy_of_each_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(root, ["doctor", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "sojourn.doctor/1"
    for check in document["checks"]:
        assert set(check) >= {"name", "ok", "detail", "remedy"}
        assert bool(check["remedy"]) is not check["ok"]
    names = {check["name"] for check in document["checks"]}
    assert names >= {f"packages [{extra}]" for extra in ("media", "fsspec", "kaggle", "hf", "ray")}
    assert names >= {"python", "torch", "pandas", "catalog", "free disk", "S3 credentials"}


@pytest.mark.usefixtures("config")
def test_doctor_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["doctor", str(tmp_path / "store")]) == 0

    assert "ok" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_broken_catalog_fails_with_its_remedy_on_a_line_of_its_own(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("[accelerators.t4]\nmemory = 16\n")

    assert run_guarded(root, ["doctor"]) == 3

    lines = capsys.readouterr().out.splitlines()
    (failing,) = (number for number, line in enumerate(lines) if line.startswith("FAIL"))
    assert "catalog" in lines[failing]
    assert "`memory`" in lines[failing]
    assert "memory_bytes" in lines[failing + 1]


@pytest.mark.usefixtures("config")
def test_store_of_an_unknown_kind_fails_with_the_status_of_stores(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(root, ["doctor", "ftp://somewhere/data"]) == 5

    out = capsys.readouterr().out
    assert "ftp://" in out
    assert "s3://BUCKET/PREFIX" in out


@pytest.mark.usefixtures("config")
def test_credentials_are_never_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-" + SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    for args in (["doctor"], ["doctor", "--json"], ["doctor", "-v"]):
        assert run_guarded(root, args) == 0
        captured = capsys.readouterr()
        assert "AWS_SECRET_ACCESS_KEY" in captured.out
        assert SECRET not in captured.out + captured.err


@pytest.mark.usefixtures("config")
def test_it_says_where_credentials_were_found_and_how_to_get_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "HF_HOME", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", SECRET)

    assert run_guarded(root, ["doctor"]) == 0
    out = capsys.readouterr().out
    assert "sojourn login kaggle" in out
    assert "found in HF_TOKEN" in out

    token = tmp_path / ".kaggle" / "access_token"
    token.parent.mkdir()
    token.write_text(SECRET)
    token.chmod(0o600)
    assert run_guarded(root, ["doctor"]) == 0
    assert f"found in {token}" in capsys.readouterr().out
    token.chmod(0o640)
    assert run_guarded(root, ["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"chmod 600 {token}" in out
    assert SECRET not in out


def test_python_must_be_recent() -> None:
    assert examine_python((3, 11, 0)).ok
    old = examine_python((3, 10, 14))
    assert (old.ok, old.exit_code, old.detail) == (False, 2, "3.10.14")
    assert "3.11" in old.remedy


def test_optional_packages_are_present_or_missing_with_the_pip_line_of_their_extra() -> None:
    versions = {"av": "15.0", "pypdf": None, "soundfile": None}

    check = examine_extra("media", versions, needed_by="pictures", installed=versions.get)
    assert (check.ok, check.required) == (False, False)
    assert check.detail == "not installed: pypdf, soundfile; for pictures"
    assert check.remedy == 'pip install "sojourn[media]"'

    there = examine_extra("media", ["av"], needed_by="pictures", installed=versions.get)
    assert (there.ok, there.detail, there.remedy) == (True, "av 15.0", "")


def test_packages_are_those_that_the_metadata_names_for_each_extra() -> None:
    assert {"av", "pillow", "pypdf", "python-calamine", "soundfile"} == set(packages_of("media"))
    assert packages_of("hf") == ("huggingface-hub",)
    assert "kagglesdk" in packages_of("kaggle")
    required = packages_of(None)
    assert {"click", "pyarrow", "obstore"} <= set(required)
    assert not {"av", "torch", "sojourn"} & set(required)


def test_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    versions = {"click": "8.1", "obstore": None, "pyarrow": None}

    check = examine_packages(versions, installed=versions.get)

    assert not check.ok
    assert check.detail == "not installed: obstore, pyarrow"
    assert check.remedy == "pip install obstore pyarrow"
    assert check.exit_code == 2


def test_present_packages_are_listed_with_their_versions() -> None:
    check = examine_packages(["click"], installed=lambda _name: "8.1")

    assert check.ok
    assert check.detail == "click 8.1"


@pytest.mark.parametrize(
    ("version", "ok"),
    [("2.13.0", True), ("2.15.1+cpu", True), ("2.1.3", False), ("2.130.0", False), (None, False)],
)
def test_torch_is_of_the_series_that_plans_know(
    version: str | None,
    ok: bool,  # noqa: FBT001 - an expected value
) -> None:
    check = examine_torch(version)

    assert check.ok is ok
    assert not check.required
    assert ok or "pip install" in check.remedy


def test_tested_torch_is_what_the_package_asks_for() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"

    assert f'torch = ["{TESTED_RANGE}"]' in pyproject.read_text(encoding="utf-8")


def test_pandas_is_optional() -> None:
    assert examine_pandas("2.2").ok
    missing = examine_pandas(None)
    assert (missing.ok, missing.required) == (False, False)
    assert "sojourn[pandas]" in missing.remedy


def test_catalog_of_ones_own_is_named(tmp_path: Path) -> None:
    overlay = tmp_path / "catalog.toml"
    overlay.write_text("")

    assert str(overlay) in examine_catalog(overlay).detail


def test_folder_that_can_be_made_is_well(tmp_path: Path) -> None:
    assert examine_folder("cache folder", tmp_path / "a" / "b").ok
    assert list(tmp_path.iterdir()) == []


def test_file_where_a_folder_belongs_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    check = examine_folder("cache folder", tmp_path / "a" / "b")

    assert (check.ok, check.exit_code) == (False, 2)
    assert str(tmp_path / "a") in check.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    check = examine_folder("cache folder", tmp_path / "a")
    tmp_path.chmod(0o700)

    assert not check.ok


def test_little_disk_and_memory_are_notes_with_remedies() -> None:
    assert examine_disk(10 * GIB).ok
    assert examine_memory(16 * GIB).ok
    for check in (examine_disk(GIB), examine_memory(GIB)):
        assert (check.ok, check.required) == (False, False)
        assert "1.0 GiB available" in check.detail
        assert check.remedy


@pytest.mark.parametrize(
    ("environment", "ok", "detail", "remedy"),
    [
        ({}, False, "no variables set", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "x"}, False, "set: AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY."),
        ({"AWS_PROFILE": "me"}, False, "no variables set", "AWS_PROFILE is not read"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "x"}, False, "set: AWS_SEC", "AWS_ACC"),
        (
            {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "x"},
            True,
            "set: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION",
            "",
        ),
    ],
)
def test_s3_credentials_are_told_by_the_names_of_their_variables(
    environment: Mapping[str, str],
    ok: bool,  # noqa: FBT001 - an expected value
    detail: str,
    remedy: str,
) -> None:
    check = examine_s3_credentials(environment)

    assert check.ok is ok
    assert detail in check.detail
    assert remedy in check.remedy


def test_store_that_holds_something_answers(tmp_path: Path) -> None:
    assert "holds nothing yet" in examine_store(str(tmp_path)).detail
    (tmp_path / "object").write_text("x")

    check = examine_store(str(tmp_path))

    assert check.ok
    assert check.detail == f"{tmp_path} answers"


def test_exit_status_is_that_of_the_first_required_failure() -> None:
    well = Check(name="a", ok=True, detail="", exit_code=2)
    optional = Check(name="b", ok=False, detail="")
    catalog = Check(name="c", ok=False, detail="", exit_code=3)
    store = Check(name="d", ok=False, detail="", exit_code=5)

    assert find_failure([]) is None
    assert find_failure([well, optional]) is None
    failure = find_failure([well, optional, catalog, store])
    assert isinstance(failure, CatalogError)
    assert failure.exit_code == 3
