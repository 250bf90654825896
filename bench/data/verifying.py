"""Whether what arrived is what was sent."""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PRECISION = 1e-9  # between pandas' ways to read a float


def check_same_tree(sent: Path, arrived: Path, *, contents: bool) -> None:
    """Raise AssertionError unless both folders hold files of the same names and sizes, or bytes."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        look = _digest if contents else _size
        there, here = (dict(pool.map(look, *_files(folder))) for folder in (sent, arrived))
    different = sorted(set(there.items()) ^ set(here.items()))
    assert not different, f"{len(different)} files differ, the first is {different[0][0]}"


def check_same_file(sent: Path, arrived: Path) -> None:
    """Raise AssertionError unless both hold the same bytes."""
    assert _digest(sent, "") == _digest(arrived, ""), f"{arrived} is not {sent}"


def check_same_tables(expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise AssertionError unless tables, cells and the sample's sums are the same."""
    for key in ("tables", "cells"):
        assert expected[key] == found[key], f"{key}: {expected[key]} and {found[key]}"
    for name, total in expected["sums"].items():
        other = found["sums"][name]
        assert math.isclose(total, other, rel_tol=_PRECISION), f"{name}: {total} and {other}"


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return paths, [path.relative_to(folder).as_posix() for path in paths]


def _size(path: Path, name: str) -> tuple[str, str]:
    return name, str(path.stat().st_size)


def _digest(path: Path, name: str) -> tuple[str, str]:
    with path.open("rb") as file:
        return name, hashlib.file_digest(file, "sha256").hexdigest()
