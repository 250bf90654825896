"""Which torch and which system are refused, as functions of their names alone."""

from __future__ import annotations

import pytest

from sojourn.errors import TraceError, UsageError
from sojourn.tracing.versions import (
    TESTED_RANGE,
    TESTED_TORCH,
    check_system,
    check_version,
    is_tested,
)


@pytest.mark.parametrize(
    "version", ["2.12.1", "2.13.0", "2.13.0+cpu", "2.14.1+cu130", "2.15.0", "2.15", "2.14.0.post2"]
)
def test_a_tested_minor_is_taken_whatever_its_patch_and_build(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize(
    "version", ["2.11.0", "2.16.0", "2.1.3", "2.130.0", "3.13.0", "2.15.0a0+git1", "2.15.0rc1", "?"]
)
def test_any_other_version_is_refused_with_the_tested_ones_and_the_way_round(version: str) -> None:
    with pytest.raises(UsageError) as refusal:
        check_version(version)
    text = str(refusal.value)
    assert version in text
    assert all(tested in text for tested in (*TESTED_TORCH, TESTED_RANGE, "--any-torch"))


def test_the_range_names_the_tested_minors() -> None:
    assert TESTED_RANGE.startswith(f"torch>={TESTED_TORCH[0]},")
    following = int(TESTED_TORCH[-1].partition(".")[2]) + 1
    assert TESTED_RANGE.endswith(f"<2.{following}")
    assert not is_tested(f"2.{following}.0")


def test_linux_is_the_only_system() -> None:
    check_system("linux")


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("darwin", ("macOS", "Linux container", "Colab CPU")),
        ("win32", ("Windows", "WSL 2", "Colab CPU")),
        ("freebsd14", ("freebsd14", "Linux container")),
    ],
)
def test_elsewhere_it_is_said_where_to_go(system: str, words: tuple[str, ...]) -> None:
    with pytest.raises(TraceError) as refusal:
        check_system(system)
    assert all(word in str(refusal.value) for word in words)
