"""What the benchmark says, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from results import by, rank, summarize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fit import Fitted
    from results import Result, Summary

_HEAD = "| {name} | rows | median error | p90 | worst under | worst over | bias | in the band |"
_RULE = "| --- |" + " ---: |" * 7
_ROWS_HEAD = (
    "| row | model | accelerator | precision | batch | layout | measured, ms | forecast, ms | low "
    "| high | error |"
)
_LEGEND = (
    "Made by `python bench/time/accuracy.py`. Each row is forecast by parameters fitted without "
    "any row of its model (nor its twins in other layouts, precisions and batch sizes)."
)
_ORDER = (
    "Order of accelerators: right for {right} of {pairs} pairs ({share:.1%}) measured on the same "
    "model, in the same layout and width, with batches at most four times apart, by the time of "
    "one sample; for {every_right} of {every_pairs} ({every_share:.1%}) whatever their batches. "
    "Wrong: {wrong}."
)


def document(found: Fitted) -> dict[str, Any]:
    """Return everything as what JSON can hold."""
    return {
        "benchmark": "step time, each model left out of the fit",
        "summary": _rounded(asdict(summarize(found.results))),
        "ranking": asdict(rank(found.results, any_batch=False)),
        "ranking_at_any_batch": asdict(rank(found.results, any_batch=True)),
        "parameters": {name: float(f"{v:.3g}") for name, v in found.parameters.items()},
        "bands": {name: [round(v, 3) for v in ends] for name, ends in found.bands.items()},
        "rows": [_row(each) for each in found.results],
        "not_scored": found.left_out,
    }


def dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def page(found: Fitted) -> str:
    """Return the same as a page to read."""
    whole = summarize(found.results)
    near, every = rank(found.results, any_batch=False), rank(found.results, any_batch=True)
    order = _ORDER.format(
        right=near.right,
        pairs=near.pairs,
        share=near.share,
        every_right=every.right,
        every_pairs=every.pairs,
        every_share=every.share,
        wrong=_pairs(near.wrong),
    )
    lines = [
        "# Step time against measured steps",
        "",
        _LEGEND,
        "",
        *_table("all rows", {"all": whole}),
        "",
        f"Fitted to all rows, the median is {whole.fitted_median:.1%}, p90 {whole.fitted_p90:.1%}.",
        "",
        order,
        "",
        *_table("accelerator", by(found.results, lambda row: row.family)),
        "",
        *_table("source", by(found.results, lambda row: row.source.partition("@")[0])),
        "",
        *_table("precision", by(found.results, lambda row: row.precision)),
        "",
        *_table("comparability", by(found.results, lambda row: row.comparability)),
        "",
        "![forecast against measured](accuracy.svg)",
        "",
        f"## Not scored: {len(found.left_out)} rows",
        "",
        *_reasons(found.left_out),
        "",
        "## All rows, worst first",
        "",
        _ROWS_HEAD,
        "|" + " --- |" * 6 + " ---: |" * 5,
        *(_line(each) for each in sorted(found.results, key=lambda each: -abs(each.error))),
    ]
    return "\n".join(lines) + "\n"


def _table(name: str, summaries: Mapping[str, Summary]) -> list[str]:
    lines = [_HEAD.format(name=name), _RULE]
    for label, each in summaries.items():
        lines.append(
            f"| {label} | {each.rows} | {each.median:.1%} | {each.p90:.1%} "
            f"| {each.worst_under:+.0%} | {each.worst_over:+.0%} | {each.bias:+.1%} "
            f"| {each.inside / each.rows:.0%} |"
        )
    return lines


def _pairs(wrong: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"rows {a} and {b}" for a, b in wrong) or "none"


def _reasons(left_out: Mapping[str, str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for row_id, reason in left_out.items():
        reasons.setdefault(reason, []).append(row_id)
    return [f"- {len(ids)}: {reason} (rows {', '.join(ids)})" for reason, ids in reasons.items()]


def _line(each: Result) -> str:
    row = each.row
    times = (each.measured_s, each.left_out_s, each.low_s, each.high_s)
    shown = " | ".join(f"{seconds * 1000:.1f}" for seconds in times)
    return (
        f"| {row.id} | {row.model} | {row.gpu} | {row.precision} | {row.batch} "
        f"| {row.memory_format} | {shown} | {each.error:+.1%} |"
    )


def _row(each: Result) -> dict[str, Any]:
    row = each.row
    figures = {
        name: round(getattr(each, name), 6)
        for name in ("measured_s", "fitted_s", "left_out_s", "low_s", "high_s", "error")
    }
    return {"id": row.id, "model": row.model, "gpu": row.gpu, "precision": row.precision} | figures


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}
