"""The shipped tables: what stands in them, and that each figure says where it is from."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta

import pytest

from sojourn.catalog import (
    Accelerator,
    RuntimeType,
    Source,
    Subscription,
    get_accelerator,
    get_runtime_type,
    get_subscription,
    load_catalog,
)

MIB = 1 << 20
CATALOG = load_catalog()
ROWS: list[Accelerator | RuntimeType | Subscription] = [
    *CATALOG.accelerators.values(),
    *CATALOG.runtime_types.values(),
    *CATALOG.subscriptions.values(),
]
# What a row is called and what it refers to is no figure; `count` is part of the row's name.
NO_FIGURES = {"id", "name", "provider", "accelerator", "count", "uses", "notes", "sources"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{type(row).__name__}-{row.id}")
def test_each_shipped_figure_has_a_source_and_a_date(
    row: Accelerator | RuntimeType | Subscription,
) -> None:
    figures = {
        field.name
        for field in fields(row)
        if field.name not in NO_FIGURES and getattr(row, field.name) not in (None, "", ())
    }
    if isinstance(row, RuntimeType) and row.availability:
        figures.add("availability")

    assert figures <= set(row.sources)
    for source in row.sources.values():
        assert source.source
        assert source.as_of is not None
        assert date(2020, 1, 1) <= date.fromisoformat((source.as_of + "-01-01")[:10])


def test_colab_and_kaggle_are_there_with_what_is_retired() -> None:
    assert set(CATALOG.runtime_types) == {
        "colab/cpu",
        "colab/cpu-highram",
        "colab/t4",
        "colab/t4-highram",
        "colab/l4",
        "colab/a100-40gb",
        "colab/a100-80gb",
        "colab/h100",
        "colab/g4",
        "colab/v100",
        "colab/tpu-v2-8",
        "colab/tpu-v5e-1",
        "colab/tpu-v6e-1",
        "kaggle/cpu",
        "kaggle/p100",
        "kaggle/t4x2",
        "kaggle/l4x4",
        "kaggle/tpu-v3-8",
        "kaggle/tpu-v5e-8",
    }
    retired = {row.id for row in CATALOG.runtime_types.values() if row.retired}
    assert retired == {"colab/v100", "colab/tpu-v2-8", "kaggle/p100", "kaggle/tpu-v3-8"}


@pytest.mark.parametrize(
    ("accelerator", "memory_bytes"),
    [
        ("t4", 14913 * MIB),
        ("l4", 22693 * MIB),
        ("a100-40gb", 40507 * MIB),
        ("a100-80gb", round(79.3 * 1024 * MIB)),
        ("v100", 16160 * MIB),
    ],
)
def test_device_memory_is_what_torch_sees(accelerator: str, memory_bytes: int) -> None:
    assert get_accelerator(CATALOG, accelerator).memory_bytes == memory_bytes


@pytest.mark.parametrize("accelerator", ["h100", "g4", "p100"])
def test_memory_that_torch_did_not_tell_says_so(accelerator: str) -> None:
    assert "nvidia-smi" in get_accelerator(CATALOG, accelerator).notes


@pytest.mark.parametrize(
    ("runtime_type", "rate"),
    [
        ("colab/cpu", 0.08),
        ("colab/t4", 1.07),
        ("colab/l4", 1.71),
        ("colab/a100-40gb", 5.40),
        ("colab/a100-80gb", 7.52),
        ("colab/g4", 8.90),
        ("colab/h100", None),
        ("colab/tpu-v6e-1", None),
        ("colab/tpu-v2-8", None),
        ("kaggle/t4x2", 0),
    ],
)
def test_rate_is_the_newest_measured_one(runtime_type: str, rate: float | None) -> None:
    assert get_runtime_type(CATALOG, runtime_type).rate_units_per_hour == rate


def test_figures_that_disagree_are_kept_in_the_notes() -> None:
    notes = get_runtime_type(CATALOG, "colab/a100-40gb").notes

    for other in ("12.0", "8.5", "11.77", "13.08", "13.8", "10.6"):
        assert other in notes


def test_peaks_that_nobody_verified_are_unknown_and_noted() -> None:
    g4 = get_accelerator(CATALOG, "g4")

    assert g4.memory_bandwidth_bytes_per_s is None
    assert g4.fp32_flops_per_s is None
    assert "1597" in g4.notes


def test_only_gpus_are_driven_through_cuda() -> None:
    tpus = {
        accelerator.id for accelerator in CATALOG.accelerators.values() if not accelerator.is_cuda
    }

    assert tpus == {"tpu-v2", "tpu-v3", "tpu-v5e", "tpu-v6e"}


@pytest.mark.parametrize(
    ("runtime_type", "session_s", "weekly_s"),
    [("kaggle/t4x2", 12 * 3600, 30 * 3600), ("kaggle/tpu-v5e-8", 9 * 3600, 20 * 3600)],
)
def test_kaggle_limits_stand_with_the_runtime_type(
    runtime_type: str, session_s: float, weekly_s: float
) -> None:
    row = get_runtime_type(CATALOG, runtime_type)

    assert row.session_limit_s == session_s
    assert row.weekly_quota_s == weekly_s
    assert CATALOG.session_limit_s(row, get_subscription(CATALOG, "pro")) == session_s


@pytest.mark.parametrize(
    ("subscription", "session_s"),
    [(None, 12 * 3600), ("free", 12 * 3600), ("payg", 24 * 3600), ("pro+", 24 * 3600)],
)
def test_colab_session_limit_goes_with_the_subscription(
    subscription: str | None, session_s: float
) -> None:
    chosen = get_subscription(CATALOG, subscription) if subscription else None

    assert CATALOG.session_limit_s(get_runtime_type(CATALOG, "colab/t4"), chosen) == session_s


@pytest.mark.parametrize(
    ("as_of", "older"),
    [
        ("2026-05-28", False),
        ("2026-05-27", True),
        ("2026-06", False),
        ("2026-05", True),
        ("2026", True),
        (None, False),
    ],
)
def test_age_counts_from_the_first_day_that_a_date_may_mean(
    as_of: str | None,
    older: bool,  # noqa: FBT001 - an expected value
) -> None:
    source = Source(source="somewhere", as_of=as_of)

    assert source.is_older_than(timedelta(days=180), today=date(2026, 11, 24)) is older
