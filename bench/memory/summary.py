"""How near a tool came, over many rows: errors where a run fitted, verdicts on all.

An error is (predicted - measured) / measured, so below zero the tool promised too little memory. A
row that ended in CUDA out of memory has no error: what it would have needed is not known.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rows import Row

RIGHT, FALSE_OUT_OF_MEMORY, MISSED_OUT_OF_MEMORY = "right", "false OOM", "missed OOM"
SERIOUS_UNDERESTIMATE = -0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One tool on one row. None: the tool gave no number, or no verdict."""

    error: float | None
    verdict: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of a tool's scores. Errors are fractions; None where not one row has any.

    `worst_under` is the lowest error, `worst_over` the highest; `p90` is of absolute errors.
    """

    rows: int
    scored: int
    median: float | None
    p90: float | None
    worst_under: float | None
    worst_over: float | None
    under_by_3_percent: int
    verdicts: int
    false_out_of_memory: int
    missed_out_of_memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where the measured peaks lie in sojourn's low to high, over the runs that fitted."""

    rows: int
    above_high: int
    below_low: int
    median_width: float | None


def score(row: Row, *, predicted_bytes: int | None, does_not_fit: bool | None) -> Score:
    measured = row.measured_bytes
    error = None
    if predicted_bytes is not None and measured is not None:
        error = predicted_bytes / measured - 1
    return Score(
        error=error,
        verdict=None if does_not_fit is None else _verdict(row, does_not_fit=does_not_fit),
    )


def _verdict(row: Row, *, does_not_fit: bool) -> str:
    if does_not_fit == row.out_of_memory:
        return RIGHT
    return FALSE_OUT_OF_MEMORY if does_not_fit else MISSED_OUT_OF_MEMORY


def summarize(scores: Sequence[Score]) -> Summary:
    errors = [each.error for each in scores if each.error is not None]
    sizes = sorted(abs(error) for error in errors)
    verdicts = [each.verdict for each in scores if each.verdict is not None]
    return Summary(
        rows=len(scores),
        scored=len(errors),
        median=statistics.median(sizes) if sizes else None,
        p90=percentile(sizes, 0.9) if sizes else None,
        worst_under=min(errors, default=None),
        worst_over=max(errors, default=None),
        under_by_3_percent=sum(error < SERIOUS_UNDERESTIMATE for error in errors),
        verdicts=len(verdicts),
        false_out_of_memory=verdicts.count(FALSE_OUT_OF_MEMORY),
        missed_out_of_memory=verdicts.count(MISSED_OUT_OF_MEMORY),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value at `share` of the way through, linear between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
