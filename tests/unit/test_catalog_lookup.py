from __future__ import annotations

import pytest

from sojourn.catalog import (
    find_accelerator_of_device,
    get_accelerator,
    get_runtime_type,
    get_subscription,
    load_catalog,
    runtime_types_of,
)
from sojourn.errors import CatalogError, UsageError

CATALOG = load_catalog()


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("colab/a100", "colab/a100-40gb or colab/a100-80gb"),
        ("l4", "colab/l4?"),
        ("a100-40gb", "colab/a100-40gb?"),
        ("colab/t5", "colab/t4"),
        ("kagle/t4x2", "kaggle/t4x2"),
    ],
)
def test_unknown_runtime_type_names_the_near_ones(typed: str, near: str) -> None:
    with pytest.raises(CatalogError) as caught:
        get_runtime_type(CATALOG, typed)

    assert repr(typed) in caught.value.message
    assert near in caught.value.remedy
    assert caught.value.exit_code == 3


def test_runtime_type_near_to_none_points_to_the_list() -> None:
    with pytest.raises(CatalogError) as caught:
        get_runtime_type(CATALOG, "zzzzzz")

    assert caught.value.remedy == "`sojourn runtimes --all` lists them."


def test_unknown_accelerator_names_the_near_ones() -> None:
    with pytest.raises(CatalogError, match="a100-40gb"):
        get_accelerator(CATALOG, "a100")


def test_unknown_subscription_is_bad_usage_and_names_all() -> None:
    with pytest.raises(UsageError) as caught:
        get_subscription(CATALOG, "premium")

    assert caught.value.remedy == "Known are: free, payg, pro, pro+, kaggle."


@pytest.mark.parametrize(
    ("subscription", "got", "not_got"),
    [
        ("free", {"colab/t4", "kaggle/t4x2", "colab/cpu"}, {"colab/l4", "colab/tpu-v2-8"}),
        ("pro", {"colab/t4", "colab/a100-80gb", "kaggle/t4x2"}, {"colab/v100", "kaggle/l4x4"}),
        ("kaggle", {"kaggle/t4x2", "kaggle/cpu"}, {"colab/t4", "kaggle/p100"}),
    ],
)
def test_subscription_gets_what_it_is_lent_and_nothing_retired(
    subscription: str, got: set[str], not_got: set[str]
) -> None:
    ids = {row.id for row in runtime_types_of(CATALOG, subscription)}

    assert got <= ids
    assert not (not_got & ids)


def test_retired_runtime_types_are_found_when_asked_for() -> None:
    ids = {row.id for row in runtime_types_of(CATALOG, "pro", with_retired=True)}

    assert "colab/v100" in ids
    assert get_runtime_type(CATALOG, "colab/v100").retired


def test_no_subscription_means_all_that_is_lent() -> None:
    ids = {row.id for row in runtime_types_of(CATALOG, None)}

    assert "kaggle/l4x4" in ids
    assert "kaggle/p100" not in ids


def test_runtime_types_of_an_unknown_subscription_are_refused() -> None:
    with pytest.raises(UsageError):
        runtime_types_of(CATALOG, "premium")


@pytest.mark.parametrize(
    ("device", "memory_bytes", "expected"),
    [
        ("Tesla T4", 15_637_413_888, "t4"),
        ("NVIDIA L4", 23_795_335_168, "l4"),
        ("NVIDIA A100-SXM4-40GB", 42_474_668_032, "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", 85_093_908_480, "a100-80gb"),
        ("NVIDIA H100 80GB HBM3", 85_520_809_984, "h100"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 101_000_000_000, "g4"),
        ("Tesla V100-SXM2-16GB", 16_944_988_160, "v100"),
        ("Tesla P100-PCIE-16GB", 17_071_734_784, "p100"),
        # Of the same family, and another card.
        ("Tesla V100-SXM2-32GB", 34_089_730_048, None),
        ("NVIDIA L40S", 47_810_936_832, None),
        ("NVIDIA GeForce RTX 3060", 12_622_168_064, None),
        ("", 15_637_413_888, None),
    ],
)
def test_a_card_is_known_by_what_torch_calls_it(
    device: str, memory_bytes: int, expected: str | None
) -> None:
    found = find_accelerator_of_device(CATALOG, device, memory_bytes)
    assert (found and found.id) == expected
