"""Every tool's answer on every row, put together: what the reports are written from."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines import BASELINE_TOOLS, Answer
from plans import DOES_NOT_FIT, NO_ANSWER, Forecast, Peak
from rows import PUBLISHED_TOOLS
from summary import Band, Score, score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rows import Row

SOJOURN = "sojourn"
TOOLS = (SOJOURN, *PUBLISHED_TOOLS, *BASELINE_TOOLS)
TITLES = {
    SOJOURN: "Sojourn",
    "xmem": "xMem",
    "dnnmem": "DNNMem",
    "schedtune": "SchedTune",
    "llmem": "LLMem",
    "torch-kitsune": "torch-kitsune",
    "alloc": "alloc ghost",
    "accelerate": "arithmetic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    row: Row
    forecast: Forecast
    answers: Mapping[str, Answer]
    scores: Mapping[str, Score]

    @property
    def is_above_high(self) -> bool:
        found = compared([self])
        return bool(found) and found[0].measured_bytes > found[0].peak.high_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run that fitted and was forecast."""

    result: Result
    measured_bytes: int
    peak: Peak


def compared(results: Sequence[Result]) -> list[Compared]:
    return [
        Compared(result=each, measured_bytes=each.row.measured_bytes, peak=each.forecast.peak)
        for each in results
        if each.row.measured_bytes is not None and each.forecast.peak is not None
    ]


def combine(row: Row, forecast: Forecast, baselines: Mapping[str, Answer]) -> Result:
    """Score every tool on one row."""
    has_answer = forecast.verdict != NO_ANSWER
    scores = {
        SOJOURN: score(
            row,
            predicted_bytes=forecast.peak.expected_bytes if forecast.peak else None,
            does_not_fit=forecast.verdict == DOES_NOT_FIT if has_answer else None,
        )
    }
    answers: dict[str, Answer] = {}
    for tool, said in row.published.items():
        predicted = said.predicted_bytes if said else None
        answers[tool] = Answer(predicted_bytes=predicted, problem=None if said else "not run")
        scores[tool] = score(
            row, predicted_bytes=predicted, does_not_fit=said.out_of_memory if said else None
        )
    for tool, answer in baselines.items():
        predicted = answer.predicted_bytes
        answers[tool] = answer
        scores[tool] = score(
            row,
            predicted_bytes=predicted,
            does_not_fit=None if predicted is None else predicted > row.card_bytes,
        )
    return Result(row=row, forecast=forecast, answers=answers, scores=scores)


def band(results: Sequence[Result]) -> Band:
    """Return how the band did on the runs that fitted and were forecast."""
    inside = compared(results)
    widths = [
        (each.peak.high_bytes - each.peak.low_bytes) / each.peak.expected_bytes for each in inside
    ]
    return Band(
        rows=len(inside),
        above_high=sum(each.measured_bytes > each.peak.high_bytes for each in inside),
        below_low=sum(each.measured_bytes < each.peak.low_bytes for each in inside),
        median_width=statistics.median(widths) if widths else None,
    )
