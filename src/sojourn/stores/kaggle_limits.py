"""How much Kaggle takes: rows of `kaggle_limits.toml`, each with its sources and dates."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KaggleLimits:
    """What is checked before anything is sent, in bytes; None: no limit is known.

    Attributes:
        file_bytes: Of one file.
        dataset_bytes: Of one data set.
        account_bytes: Of all private data sets of an account.
    """

    file_bytes: int | None
    dataset_bytes: int | None
    account_bytes: int | None


def load_limits() -> KaggleLimits:
    """Return the limits that are checked."""
    table = files("sojourn.stores").joinpath("kaggle_limits.toml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(table)
    return KaggleLimits(
        file_bytes=rows["file"].get("refuse_above_bytes"),
        dataset_bytes=rows["dataset"].get("refuse_above_bytes"),
        account_bytes=rows["private_data_of_an_account"].get("refuse_above_bytes"),
    )
