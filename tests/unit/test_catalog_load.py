"""The user's own catalog.toml: what it may say, and what is said when it does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.catalog import Source, default_overlay_path, get_runtime_type, load_catalog
from sojourn.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

CONTRACT_EXAMPLE = """
[accelerators.rtx3060]
name = "GeForce RTX 3060"
memory_bytes = 12622168064
memory_bandwidth_bytes_per_s = 360e9
fp32_flops_per_s = 12.7e12
tf32_flops_per_s = 25.4e12
fp16_flops_per_s = 50.8e12
bf16_flops_per_s = 50.8e12
compute_capability = "8.6"

[runtime_types."local/rtx3060"]
accelerator = "rtx3060"
count = 1
host_memory_bytes = 34359738368
disk_bytes = 500e9
vcpus = 8
session_limit_s = 86400
rate_units_per_hour = 0.0
subscriptions = ["free", "payg", "pro", "pro+"]
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return tmp_path / "catalog.toml"


def refused(overlay: Path, text: str) -> CatalogError:
    overlay.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(overlay)
    assert caught.value.exit_code == 3
    assert str(overlay) in caught.value.message
    assert caught.value.remedy
    return caught.value


def test_new_rows_join_the_shipped_ones(overlay: Path) -> None:
    overlay.write_text(CONTRACT_EXAMPLE, encoding="utf-8")

    catalog = load_catalog(overlay)

    row = get_runtime_type(catalog, "local/rtx3060")
    assert (row.name, row.provider) == ("local/rtx3060", "local")
    assert row.disk_bytes == 500_000_000_000
    assert isinstance(row.disk_bytes, int)
    accelerator = catalog.accelerator_of(row)
    assert accelerator is not None
    assert accelerator.memory_bytes == 12_622_168_064
    assert accelerator.is_cuda
    assert "colab/t4" in catalog.runtime_types


def test_given_key_replaces_the_shipped_figure_and_leaves_the_others(overlay: Path) -> None:
    overlay.write_text(
        '[runtime_types."colab/a100-40gb"]\nrate_units_per_hour = 8.5\n', encoding="utf-8"
    )

    shipped = get_runtime_type(load_catalog(), "colab/a100-40gb")
    row = get_runtime_type(load_catalog(overlay), "colab/a100-40gb")

    assert row.rate_units_per_hour == 8.5
    assert row.sources["rate_units_per_hour"] == Source(source="your catalog.toml")
    assert row.sources["rate_units_per_hour"].is_yours
    assert row.host_memory_bytes == shipped.host_memory_bytes
    assert row.sources["host_memory_bytes"] == shipped.sources["host_memory_bytes"]


def test_overlay_may_give_sources_of_its_own(overlay: Path) -> None:
    overlay.write_text(
        '[runtime_types."colab/t4"]\nrate_units_per_hour = 1.2\n'
        'sources.rate_units_per_hour = { source = "my panel", as_of = "2026-11-02" }\n',
        encoding="utf-8",
    )

    row = get_runtime_type(load_catalog(overlay), "colab/t4")

    assert row.sources["rate_units_per_hour"] == Source(source="my panel", as_of="2026-11-02")
    assert row.sources["rate_units_per_hour"].is_yours
    assert not row.sources["host_memory_bytes"].is_yours


@pytest.mark.parametrize("source", ["", 'sources.session_limit_s = { source = "my panel" }\n'])
def test_session_limit_of_ones_own_goes_before_the_subscription(overlay: Path, source: str) -> None:
    overlay.write_text(
        f'[runtime_types."colab/t4"]\nsession_limit_s = 7200\n{source}', encoding="utf-8"
    )

    catalog = load_catalog(overlay)

    row = get_runtime_type(catalog, "colab/t4")
    assert catalog.session_limit_s(row, catalog.subscriptions["pro"]) == 7200


def test_overlay_that_is_not_there_or_empty_changes_nothing(overlay: Path) -> None:
    without = load_catalog(overlay)
    overlay.write_text("", encoding="utf-8")

    assert without == load_catalog() == load_catalog(overlay)


def test_integer_of_many_digits_is_kept_exactly(overlay: Path) -> None:
    overlay.write_text("[accelerators.t4]\nmemory_bytes = 9007199254740993\n", encoding="utf-8")

    assert load_catalog(overlay).accelerators["t4"].memory_bytes == 9007199254740993


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("memory_bytes = -1", "a number above 0"),
        ("memory_bytes = 0", "a number above 0"),
        ("memory_bytes = true", "a number above 0"),
        ('memory_bytes = "16 GB"', "a number above 0"),
        ("memory_bytes = 1.5", "a whole number"),
        ("fp32_flops_per_s = inf", "a number above 0"),
        ("fp32_flops_per_s = 5e-324", "a number from 1e-09 to 1e+24"),
        ("memory_bandwidth_bytes_per_s = 1.7e308", "a number from 1e-09 to 1e+24"),
        ("fp32_flops_per_s = nan", "a number above 0"),
        ("fp32_flops_per_s = 1" + "0" * 400, "a number above 0"),
        ("compute_capability = 8.6", 'such as "8.6"'),
        ('compute_capability = "Ampere"', 'such as "8.6"'),
        ("name = 3", "text in quotes"),
        ("name = [1]", "text in quotes"),
    ],
)
def test_unfit_value_is_refused_with_row_key_value_and_what_fits(
    overlay: Path, line: str, expected: str
) -> None:
    error = refused(overlay, f"[accelerators.t4]\n{line}\n")

    assert "[accelerators.t4]" in error.message
    assert line.partition(" ")[0] in error.message
    assert expected in error.remedy


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rate_units_per_hour = -0.1", "a number of 0 or more"),
        ("session_limit_s = 0", "a number above 0"),
        ("vcpus = 0", "a number above 0"),
        ('subscriptions = "pro"', "a list of texts"),
        ("subscriptions = [1]", "a list of texts"),
        ("retired = true", "a date in quotes"),
        ('retired = "2026-13"', "a date in quotes"),
        ('retired = "2026-02-30"', "a date in quotes"),
        ('retired = "20260227"', "a date in quotes"),
        ("retired = 2026-09-10", "a date in quotes"),
    ],
)
def test_unfit_value_of_a_runtime_type_is_refused(overlay: Path, line: str, expected: str) -> None:
    error = refused(overlay, f'[runtime_types."colab/t4"]\n{line}\n')

    assert '[runtime_types."colab/t4"]' in error.message
    assert expected in error.remedy


@pytest.mark.parametrize(
    ("text", "named", "remedy"),
    [
        ("[accelerators.t4]\nmemory = 1\n", "`memory`", "memory_bytes"),
        ("[accelerators.t4]\nzzz = 1\n", "`zzz`", "Known are:"),
        ("[accelerators.t4]\nid = 't5'\n", "`id`", "Known are:"),
        ("[accelerator.t4]\nname = 'T4'\n", "[accelerator]", "accelerators"),
        ("accelerators = 3\n", "`accelerators`", "[accelerators.ID]"),
        ("accelerators.t4 = 3\n", "[accelerators.t4]", "[accelerators.t4]"),
        ("[runtime_types.mine]\nvcpus = 2\n", '"mine"', "local/rtx3060"),
        ("[runtime_types.'my/a/b']\nvcpus = 2\n", '"my/a/b"', "local/rtx3060"),
        ("[runtime_types.'my/t4']\naccelerator = 't40'\n", '"t40"', "Did you mean t4"),
        ("[runtime_types.'my/t4']\nsubscriptions = ['prp']\n", '"prp"', "pro"),
        ("[subscriptions.team]\nusd_per_month = 30\n", "`provider`", "provider ="),
        ("[accelerators.t4]\nsources = 3\n", "`sources`", "sources.KEY"),
        ("[accelerators.t4]\nsources.memory_bytes.source = 'x'\n", "memory_bytes", "take its"),
        ("[accelerators.t4]\nname='x'\nsources.name = 'x'\n", "`name`", "sources.KEY"),
        ("[accelerators.t4]\nname='x'\nsources.name.from = 'x'\n", "`name`", "sources.KEY"),
        (
            "[accelerators.t4]\nname='x'\nsources.name = {source = 'x', as_of = 'May'}\n",
            "as_of",
            "a date in quotes",
        ),
        ("[accelerators.t4\n", "line 1", "Mend that line"),
        ("a = " + "[" * 5000, "not TOML", "Mend that line"),
    ],
)
def test_what_no_catalog_holds_is_refused_with_its_place_and_remedy(
    overlay: Path, text: str, named: str, remedy: str
) -> None:
    error = refused(overlay, text)

    assert named in error.message
    assert remedy in error.remedy


def test_file_that_is_not_text_is_refused(overlay: Path) -> None:
    overlay.write_bytes(b"\xff\xfe")

    with pytest.raises(CatalogError, match="not UTF-8"):
        load_catalog(overlay)


def test_folder_in_place_of_the_file_is_refused(overlay: Path) -> None:
    overlay.mkdir()

    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(overlay)


def test_overlay_is_looked_for_in_the_config_folder_of_sojourn() -> None:
    path = default_overlay_path()

    assert path.name == "catalog.toml"
    assert path.parent.name == "sojourn"


@settings(deadline=None, max_examples=50)
@given(rate=st.just(0.0) | st.floats(min_value=1e-9, max_value=1e6), vcpus=st.integers(1, 10**6))
def test_figures_round_trip_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, rate: float, vcpus: int
) -> None:
    path = tmp_path_factory.mktemp("overlay") / "catalog.toml"
    path.write_text(
        f'[runtime_types."colab/t4"]\nrate_units_per_hour = {rate!r}\nvcpus = {vcpus}\n',
        encoding="utf-8",
    )

    row = get_runtime_type(load_catalog(path), "colab/t4")

    assert (row.rate_units_per_hour, row.vcpus) == (rate, vcpus)


def test_a_pipe_in_place_of_the_overlay_is_refused_and_not_waited_for(overlay: Path) -> None:
    os.mkfifo(overlay)
    with pytest.raises(CatalogError, match="cannot be read: It is not a file"):
        load_catalog(overlay)


def test_an_overlay_may_be_a_link_with_windows_line_ends(overlay: Path) -> None:
    real = overlay.with_name("real.toml")
    real.write_bytes(CONTRACT_EXAMPLE.replace("\n", "\r\n").encode())
    overlay.symlink_to(real)
    assert get_runtime_type(load_catalog(overlay), "local/rtx3060").vcpus == 8
