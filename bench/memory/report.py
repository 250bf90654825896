"""The results as JSON and as a page of Markdown tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from results import SOJOURN, TITLES, TOOLS, Result, band
from rows import MIB
from summary import RIGHT, Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAMILIES = ("all", "cnn", "transformer")
_SUMMARY_HEAD = (
    *("tool", "errors", "median", "p90", "worst under", "worst over", "under by > 3 %"),
    *("verdicts", "false OOM", "missed OOM"),
)
_LEGEND = (
    "Errors are of the reserved memory without the CUDA context, below zero where a tool promises "
    "too little; p90 is of absolute errors. Verdicts are of all rows: *false OOM* would have "
    "fitted, *missed OOM* ended in CUDA out of memory."
)


def document(results: Sequence[Result], *, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return all figures: bytes, and errors as fractions."""
    return {
        "benchmark": "memory accuracy",
        "versions": dict(versions),
        "summary": {
            family: {tool: asdict(summary) for tool, summary in summaries(results, family).items()}
            | {"band": asdict(band(_of(results, family)))}
            for family in FAMILIES
        },
        "rows": [_row_document(result) for result in results],
    }


def _row_document(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "id": row.id,
        "card_bytes": row.card_bytes,
        "measured_bytes": row.measured_bytes,
        "out_of_memory": row.out_of_memory,
        SOJOURN: {key: value for key, value in asdict(result.forecast).items() if key != "seconds"},
        "above_high": result.is_above_high,
        "answers": {tool: asdict(answer) for tool, answer in result.answers.items()},
        "scores": {tool: asdict(score) for tool, score in result.scores.items()},
    }


def summaries(results: Sequence[Result], family: str) -> dict[str, Summary]:
    part = _of(results, family)
    return {tool: summarize([each.scores[tool] for each in part]) for tool in TOOLS}


def _of(results: Sequence[Result], family: str) -> list[Result]:
    return [each for each in results if family in {"all", each.row.family}]


def page(results: Sequence[Result], *, versions: Mapping[str, str]) -> str:
    """Return the tables: the summaries, then every row, the worst first."""
    parts = [
        "# Peak memory: forecast against measured",
        "Made by `python bench/memory/accuracy.py`; where the rows come from stands in "
        "[README.md](../README.md). " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
        _LEGEND,
        "![predicted against measured](accuracy.svg)",
    ]
    for family in FAMILIES:
        part = _of(results, family)
        if part:
            title = {"all": "All rows", "cnn": "Images", "transformer": "Texts"}[family]
            parts += [f"## {title}", _summary_table(results, family), _band_line(part)]
    parts += ["## Runs that fitted, by Sojourn's error", _fitted_table(results)]
    parts += ["## Runs that ended in CUDA out of memory", _failed_table(results)]
    parts += _remarks(results)
    return "\n\n".join(parts) + "\n"


def _summary_table(results: Sequence[Result], family: str) -> str:
    return _table(
        _SUMMARY_HEAD,
        [
            (
                *(TITLES[tool], str(each.scored)),
                *(_percent(size, sign="") for size in (each.median, each.p90)),
                *(_percent(error) for error in (each.worst_under, each.worst_over)),
                *(str(each.under_by_3_percent), f"{each.verdicts} of {each.rows}"),
                *(str(each.false_out_of_memory), str(each.missed_out_of_memory)),
            )
            for tool, each in summaries(results, family).items()
        ],
    )


def _band_line(results: Sequence[Result]) -> str:
    figures = band(results)
    return (
        f"Sojourn's band, of {figures.rows} runs that fitted: {figures.above_high} above `high`, "
        f"{figures.below_low} below `low`, median width {_percent(figures.median_width, sign='')} "
        "of `expected`."
    )


def _fitted_table(results: Sequence[Result]) -> str:
    fitted = [each for each in results if each.row.measured_bytes is not None]
    fitted.sort(key=lambda each: -abs(each.scores[SOJOURN].error or 0))
    head = ("run", "card", "measured MiB", "expected", "low to high", "error", "verdict")
    others = [tool for tool in TOOLS if tool != SOJOURN]
    return _table(
        (*head, *(TITLES[tool] for tool in others)),
        [
            (
                *(_name(each), each.row.gpu, _mib(each.row.measured_bytes)),
                *(*_peak(each), _percent(each.scores[SOJOURN].error), _verdict(each)),
                *(_percent(each.scores[tool].error) for tool in others),
            )
            for each in fitted
        ],
    )


def _failed_table(results: Sequence[Result]) -> str:
    failed = [each for each in results if each.row.out_of_memory]
    return _table(
        ("run", "card", "usable MiB", "expected", "low to high", *(TITLES[t] for t in TOOLS)),
        [
            (
                *(_name(each), each.row.gpu, _mib(each.forecast.usable_bytes)),
                *(*_peak(each), _verdict(each)),
                *(each.scores[tool].verdict or "-" for tool in TOOLS if tool != SOJOURN),
            )
            for each in failed
        ],
    )


def _remarks(results: Sequence[Result]) -> list[str]:
    uncertain = [each.row.id for each in results if not each.row.is_sequence_certain]
    found = [
        f"- {each.row.id}: no forecast: {each.forecast.problem}"
        for each in results
        if each.forecast.problem
    ]
    found += [
        f"- {each.row.id}: {TITLES[tool]} gives no number: {answer.problem}"
        for each in results
        for tool, answer in each.answers.items()
        if answer.problem and answer.problem != "not run"
    ]
    if uncertain:
        reason = "a batch so small may hold no text of full length"
        found.append(f"- The length is not certain, {reason}: {', '.join(uncertain)}")
    return ["## Remarks", "\n".join(found)] if found else []


def _name(result: Result) -> str:
    row = result.row
    return f"{row.model.rsplit('/', maxsplit=1)[-1]} {row.optimizer} {row.batch}"


def _verdict(result: Result) -> str:
    wrong = result.scores[SOJOURN].verdict != RIGHT
    said = result.forecast.verdict.replace("_", " ") + (
        ", above high" if result.is_above_high else ""
    )
    return f"**{said}**" if wrong or result.is_above_high else said


def _peak(result: Result) -> tuple[str, str]:
    peak = result.forecast.peak
    if peak is None:
        return "-", "-"
    return _mib(peak.expected_bytes), f"{_mib(peak.low_bytes)} to {_mib(peak.high_bytes)}"


def _mib(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / MIB:,.0f}"


def _percent(share: float | None, *, sign: str = "+") -> str:
    return "-" if share is None else f"{share * 100:{sign}.1f} %"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def dump(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
