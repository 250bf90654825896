from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from sojourn.catalog import get_runtime_type, load_catalog
from sojourn.cli import root
from sojourn.cli._errors import run_guarded
from sojourn.render.runtimes import RuntimesView, runtimes_document, runtimes_text

if TYPE_CHECKING:
    from sojourn.catalog import Catalog

TODAY = date(2026, 11, 24)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of this test's own; returns where its catalog.toml belongs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "sojourn").mkdir()
    return tmp_path / "sojourn" / "catalog.toml"


def printed(capsys: pytest.CaptureFixture[str], *args: str, status: int = 0) -> str:
    assert run_guarded(root, ["runtimes", *args]) == status
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, dict[str, Any]]:
    result = json.loads(printed(capsys, "--json", *args))
    assert result["schema"] == "sojourn.runtimes/1"
    return {row["runtime"]: row for row in result["runtimes"]}


@pytest.mark.usefixtures("config")
def test_json_has_every_column_and_the_source_of_each_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = document(capsys)["colab/a100-40gb"]

    assert row["accelerator"] == "A100 40 GB"
    assert row["device_memory_bytes"] == 40507 << 20
    assert row["count"] == 1
    assert row["vcpus"] == 12
    assert row["rate_units_per_hour"] == 5.40
    assert row["session_limit_s"] == 86400
    assert row["weekly_quota_s"] is None
    assert row["subscriptions"] == ["payg", "pro", "pro+"]
    assert row["retired"] is None
    for key in ("host_memory_bytes", "disk_bytes", "uses", "availability", "constraints", "notes"):
        assert row[key]
    assert row["sources"]["rate_units_per_hour"]["as_of"] == "2026-03-10"
    assert row["sources"]["device_memory_bytes"]["as_of"] == "2025-11"


@pytest.mark.usefixtures("config")
def test_json_says_null_for_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    row = document(capsys)["colab/h100"]

    assert row["rate_units_per_hour"] is None
    assert row["host_memory_bytes"] is None


@pytest.mark.usefixtures("config")
def test_json_of_a_cpu_runtime_has_no_device(capsys: pytest.CaptureFixture[str]) -> None:
    row = document(capsys)["colab/cpu"]

    assert (row["accelerator"], row["device_memory_bytes"], row["count"]) == (None, None, 0)


@pytest.mark.usefixtures("config")
def test_retired_rows_come_with_all_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert "colab/v100" not in document(capsys)
    assert document(capsys, "--all")["colab/v100"]["retired"] == "2026-03-10"


@pytest.mark.usefixtures("config")
def test_subscription_narrows_the_rows_and_sets_the_session_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    free = document(capsys, "--subscription", "free")
    pro = document(capsys, "--subscription", "pro")

    assert "colab/l4" not in free
    assert "colab/l4" in pro
    assert free["colab/t4"]["session_limit_s"] == 12 * 3600
    assert pro["colab/t4"]["session_limit_s"] == 24 * 3600
    assert pro["colab/t4"]["sources"]["session_limit_s"]["as_of"] == "2026-07-30"


@pytest.mark.usefixtures("config")
def test_unknown_subscription_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["runtimes", "--subscription", "premium"]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "sojourn: There is no subscription 'premium'. Known are: free, payg, pro, pro+, kaggle.\n"
    )


def test_figure_of_ones_own_is_shown_as_yours(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('[runtime_types."colab/a100-40gb"]\nrate_units_per_hour = 8.5\n')

    assert "8.50 (yours)" in printed(capsys)
    source = document(capsys)["colab/a100-40gb"]["sources"]["rate_units_per_hour"]
    assert source == {"source": "your catalog.toml", "as_of": None}


def test_broken_catalog_is_one_paragraph_and_one_document(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('[runtime_types."colab/t4"]\nrate = 1.2\n')

    out = printed(capsys, "--json", status=3)

    error = json.loads(out)["error"]
    assert error["code"] == "catalog"
    assert "`rate`" in error["message"]
    assert "rate_units_per_hour" in error["remedy"]


@pytest.mark.usefixtures("config")
def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "-q") == ""


@pytest.mark.usefixtures("config")
def test_verbose_adds_notes_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    plain = printed(capsys)
    verbose = printed(capsys, "-v")

    assert "12.0 in the table and 8.5 observed" not in plain
    assert "12.0 in the table and 8.5 observed" in verbose
    assert "rate_units_per_hour: https://" in verbose


def view(catalog: Catalog, *ids: str) -> RuntimesView:
    return RuntimesView(
        catalog=catalog,
        rows=[get_runtime_type(catalog, runtime_type) for runtime_type in ids],
        subscription=None,
        today=TODAY,
        overlay=Path("catalog.toml"),
    )


def test_table_keeps_every_cell_where_the_window_is_narrow() -> None:
    written = io.StringIO()
    shown = view(load_catalog(), "colab/t4", "colab/h100", "kaggle/t4x2", "kaggle/p100")

    console = Console(file=written, width=40)
    console.print(runtimes_text(shown, detailed=False), soft_wrap=True)

    expected = """\
runtime      accelerator  device memory   host RAM        disk    vCPUs            units/h  session
colab/t4     T4               14.6 GiB*  12.7 GiB*  112.6 GiB*       2*  1.07 (2026-09-27)  12 h
colab/h100   H100             79.6 GiB*    unknown     unknown  unknown            unknown  24 h
kaggle/t4x2  2 x T4       2 x 14.6 GiB*  31.4 GiB*   18.6 GiB*       4*     0 (2026-10-01)  12 h, 30
kaggle/p100  P100             16.0 GiB*  31.4 GiB*   18.6 GiB*       4*     0 (2026-10-01)  12 h, 30

* older than 180 days; -v shows sources and dates.
Figures of your own go into catalog.toml and replace these.
"""
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert [line[:100].rstrip() for line in lines] == expected.splitlines()
    assert [line[92:] for line in lines[:5]] == [
        "session            who gets it",
        "12 h               free, payg, pro, pro+",
        "24 h               payg, pro, pro+",
        "12 h, 30 h a week  everyone",
        "12 h, 30 h a week  retired 2026-09",
    ]


def test_stale_figures_are_those_older_than_half_a_year() -> None:
    document = runtimes_document(view(load_catalog(), "colab/a100-40gb", "colab/g4"))

    stale = {row["runtime"]: row["stale"] for row in document["runtimes"]}
    assert "rate_units_per_hour" in stale["colab/a100-40gb"]
    assert "session_limit_s" not in stale["colab/a100-40gb"]
    assert "rate_units_per_hour" not in stale["colab/g4"]


def test_names_with_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    overlay = tmp_path / "catalog.toml"
    overlay.write_text("[runtime_types.'local/[red]card']\nsubscriptions = ['pro']\n")
    written = io.StringIO()

    shown = view(load_catalog(overlay), "local/[red]card")
    Console(file=written).print(runtimes_text(shown, detailed=True), soft_wrap=True)

    assert written.getvalue().count("local/[red]card") == 2
