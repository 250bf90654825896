"""Every tool's answer on every row, put together: what the reports are written from."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines import BASELINE_TOOLS, Answer
from plans import DOES_NOT_FIT, NO_ANSWER, Forecast
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
        measured, high = self.row.measured_bytes, self.forecast.high_bytes
        return measured is not None and high is not None and measured > high

    @property
    def is_below_low(self) -> bool:
        measured, low = self.row.measured_bytes, self.forecast.low_bytes
        return measured is not None and low is not None and measured < low


def combine(row: Row, forecast: Forecast, baselines: Mapping[str, Answer]) -> Result:
    """Score every tool on one row."""
    published = {
        tool: Answer(predicted_bytes=said.predicted_bytes) if said else Answer(problem="not run")
        for tool, said in row.published.items()
    }
    scores = {
        SOJOURN: score(
            row,
            predicted_bytes=forecast.expected_bytes,
            does_not_fit=None
            if forecast.verdict == NO_ANSWER
            else forecast.verdict == DOES_NOT_FIT,
        )
    }
    for tool, said in row.published.items():
        scores[tool] = score(
            row,
            predicted_bytes=said and said.predicted_bytes,
            does_not_fit=said and said.out_of_memory,
        )
    for tool, answer in baselines.items():
        predicted = answer.predicted_bytes
        scores[tool] = score(
            row,
            predicted_bytes=predicted,
            does_not_fit=None if predicted is None else predicted > row.card_bytes,
        )
    return Result(row=row, forecast=forecast, answers=published | dict(baselines), scores=scores)


def band(results: Sequence[Result]) -> Band:
    """Return how the band did on the runs that fitted and were forecast."""
    inside = [
        result
        for result in results
        if result.row.measured_bytes is not None and result.forecast.high_bytes is not None
    ]
    widths = [
        (result.forecast.high_bytes - result.forecast.low_bytes) / result.forecast.expected_bytes
        for result in inside
    ]
    return Band(
        rows=len(inside),
        above_high=sum(result.is_above_high for result in inside),
        below_low=sum(result.is_below_low for result in inside),
        median_width=statistics.median(widths) if widths else None,
    )
