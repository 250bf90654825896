"""Rows with their forecasts, and what they say together."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from cards import card_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rows import Row

# Batches that are further apart are other jobs: the smaller may be bound by the host.
_ALIKE_BATCHES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds of a step: measured, forecast by a fit to all rows, and by one without its model.

    `low_s` and `high_s` are the band around the latter.
    """

    row: Row
    measured_s: float
    fitted_s: float
    left_out_s: float
    low_s: float
    high_s: float

    @property
    def error(self) -> float:
        return self.left_out_s / self.measured_s - 1

    @property
    def is_inside(self) -> bool:
        return self.low_s <= self.measured_s <= self.high_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Absolute errors as fractions of what was measured."""

    rows: int
    median: float
    p90: float
    worst_under: float
    worst_over: float
    bias: float
    inside: int
    fitted_median: float
    fitted_p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Pairs of accelerators on one model, and how many are in the right order."""

    pairs: int
    right: int
    wrong: tuple[tuple[str, str], ...]

    @property
    def share(self) -> float:
        return self.right / self.pairs if self.pairs else 0.0


def summarize(results: Sequence[Result]) -> Summary:
    errors = [each.error for each in results]
    sizes = sorted(abs(error) for error in errors)
    fitted = sorted(abs(each.fitted_s / each.measured_s - 1) for each in results)
    return Summary(
        rows=len(results),
        median=statistics.median(sizes),
        p90=percentile(sizes, 0.9),
        worst_under=min(errors),
        worst_over=max(errors),
        bias=statistics.median(errors),
        inside=sum(each.is_inside for each in results),
        fitted_median=statistics.median(fitted),
        fitted_p90=percentile(fitted, 0.9),
    )


def by(results: Sequence[Result], key: Callable[[Row], str]) -> dict[str, Summary]:
    """Return a summary for each group of rows, by what `key` says of them."""
    names = sorted({key(each.row) for each in results})
    return {name: summarize([each for each in results if key(each.row) == name]) for name in names}


def rank(results: Sequence[Result], *, any_batch: bool) -> Ranking:
    """Compare the seconds of one sample on any two accelerators that ran the same model.

    The same precision (single or half), layout, input and task; batches at most four times apart,
    unless `any_batch`.
    """
    wrong, pairs = [], 0
    for a, b in combinations(results, 2):
        if not _is_comparable(a.row, b.row, any_batch=any_batch):
            continue
        pairs += 1
        measured = a.measured_s / a.row.batch < b.measured_s / b.row.batch
        if measured != (a.left_out_s / a.row.batch < b.left_out_s / b.row.batch):
            wrong.append((a.row.id, b.row.id))
    return Ranking(pairs=pairs, right=pairs - len(wrong), wrong=tuple(wrong))


def _is_comparable(a: Row, b: Row, *, any_batch: bool) -> bool:
    is_near = max(a.batch, b.batch) <= _ALIKE_BATCHES * min(a.batch, b.batch)
    return (
        (a.group, a.input, a.task, a.is_channels_last, _width(a))
        == (b.group, b.input, b.task, b.is_channels_last, _width(b))
        and _figures(a) != _figures(b)
        and (is_near or any_batch)
    )


def _width(row: Row) -> str:
    return "single" if row.precision in {"fp32", "tf32"} else "half"


def _figures(row: Row) -> tuple[object, ...]:
    card = card_of(row.gpu)
    return card.memory_bandwidth_bytes_per_s, card.fp16_flops_per_s, card.compute_capability


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value at `share` of the way through, linear between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
