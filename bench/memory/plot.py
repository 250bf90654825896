"""Predicted against measured, with Sojourn's band; xMem's points faint behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from results import Result

_GIB = 2**30
_COLOURS = {"cnn": "#1f6fb4", "transformer": "#c8541b"}
_LABELS = {"cnn": "images", "transformer": "texts"}
_FAINT = "#9a9a9a"


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the scatter plot of the runs that fitted: all, and below it their errors."""
    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same figures give the same file
    figure = Figure(figsize=(7, 8.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[2.4, 1], sharex=True)
    fitted = [
        each
        for each in results
        if each.row.measured_bytes is not None and each.forecast.expected_bytes is not None
    ]
    _draw_sizes(upper, fitted)
    _draw_errors(lower, fitted)
    figure.savefig(path, metadata={"Date": None})


def _draw_sizes(axes: Axes, results: Sequence[Result]) -> None:
    ends = [1.0, 16.0]
    axes.plot(ends, ends, color="black", linewidth=0.7, zorder=0)
    axes.scatter(*_xmem(results), marker="x", s=22, color=_FAINT, label="xMem", zorder=1)
    for family, colour in _COLOURS.items():
        part = [each for each in results if each.row.family == family]
        expected = [each.forecast.expected_bytes / _GIB for each in part]
        below = [
            each.forecast.expected_bytes / _GIB - each.forecast.low_bytes / _GIB for each in part
        ]
        above = [
            each.forecast.high_bytes / _GIB - each.forecast.expected_bytes / _GIB for each in part
        ]
        axes.errorbar(
            [each.row.measured_bytes / _GIB for each in part],
            expected,
            yerr=[below, above],
            fmt="o",
            markersize=4,
            linewidth=1,
            color=colour,
            label=f"Sojourn, {_LABELS[family]}: expected, low to high",
        )
    axes.set(xscale="log", yscale="log", ylabel="predicted, GiB")
    ticks = [1, 2, 4, 8, 16]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_title("Peak device memory of measured training runs")
    axes.legend(frameon=False)


def _draw_errors(axes: Axes, results: Sequence[Result]) -> None:
    axes.axhline(0, color="black", linewidth=0.7, zorder=0)
    measured = [each.row.measured_bytes / _GIB for each in results]
    known = [(m, e.scores["xmem"].error) for m, e in zip(measured, results, strict=True)]
    faint = [(m, error * 100) for m, error in known if error is not None]
    axes.scatter(*zip(*faint, strict=True), marker="x", s=22, color=_FAINT)
    for family, colour in _COLOURS.items():
        part = [each for each in results if each.row.family == family]
        axes.scatter(
            [each.row.measured_bytes / _GIB for each in part],
            [(each.scores["sojourn"].error or 0) * 100 for each in part],
            s=16,
            color=colour,
        )
    axes.set(xlabel="measured, GiB", ylabel="error, %")


def _xmem(results: Sequence[Result]) -> tuple[list[float], list[float]]:
    known = [
        (each.row.measured_bytes / _GIB, said.predicted_bytes / _GIB)
        for each in results
        if (said := each.row.published["xmem"]) is not None and said.predicted_bytes is not None
    ]
    return [x for x, _ in known], [y for _, y in known]
