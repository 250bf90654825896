"""Terms: what the user asks of a plan beyond the script, and the means there are for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sojourn.errors import UsageError
from sojourn.units import format_duration

if TYPE_CHECKING:
    from sojourn.catalog.models import Subscription


class Preference(StrEnum):
    """What ranks first among the options that carry the job."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which terms a job is planned; None where nothing was said.

    Attributes:
        epochs: Instead of what the script's own loop says.
        wallet_units: Compute units that there are to spend.
        wallet_as_of: The day on which they were counted, "" where they were named for this plan.
        deadline_s: Seconds within which the job shall end, from its start.
        prefer: What ranks first.
        subscription: Whose prices and session limits hold.
        data_bytes: What has to be brought to the runtime before the job can start.
    """

    epochs: int | None = None
    wallet_units: float | None = None
    wallet_as_of: str = ""
    deadline_s: float | None = None
    prefer: Preference = Preference.CHEAPEST
    subscription: Subscription | None = None
    data_bytes: int | None = None


NO_TERMS = Terms()


def check_terms(terms: Terms) -> Terms:
    """Return the terms if a job can be planned under them.

    Raises:
        UsageError: epochs, a wallet or a deadline of zero or below, or sizes below zero.
    """
    if terms.epochs is not None and terms.epochs < 1:
        raise UsageError(
            f"{terms.epochs} epochs train nothing.",
            remedy="Write --epochs N (epochs=N) with N of 1 or more, or leave it out.",
        )
    if terms.wallet_units is not None and not terms.wallet_as_of:
        _check_wallet(terms.wallet_units)
    if terms.deadline_s is not None and not 0 < terms.deadline_s < math.inf:
        raise UsageError(
            f"A deadline of {terms.deadline_s:g} s is over before the job starts.",
            remedy="Write a time above zero, such as --deadline 6h (deadline_s=21600).",
        )
    if terms.data_bytes is not None and terms.data_bytes < 0:
        raise UsageError(
            f"Data of {terms.data_bytes} bytes cannot be brought anywhere.",
            remedy="Write a size, such as --data-bytes 2GB.",
        )
    return terms


def _check_wallet(units: float) -> None:
    if not 0 < units < math.inf:
        raise UsageError(
            f"A wallet of {units:g} compute units pays for nothing.",
            remedy="Write --wallet UNITS (wallet=UNITS) with a number above 0; without it, what "
            "costs units is planned as if there were enough.",
        )


def deadline_words(terms: Terms) -> str:
    """Say the deadline for eyes."""
    return "" if terms.deadline_s is None else format_duration(terms.deadline_s)
