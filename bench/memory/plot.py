"""Predicted against measured, with Sojourn's band; xMem's points faint behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from results import compared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from results import Compared, Result

_GIB = 2**30
_COLOURS = {"cnn": "#1f6fb4", "transformer": "#c8541b"}
_LABELS = {"cnn": "images", "transformer": "texts"}
_FAINT = "#9a9a9a"
_ENDS_GIB = [1.0, 17.0]
_TICKS_GIB = [1, 2, 4, 8, 16]


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the scatter plot of the runs that fitted, and below it their errors."""
    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same figures give the same file
    figure = Figure(figsize=(7, 8.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[2.4, 1], sharex=True)
    upper.plot(_ENDS_GIB, _ENDS_GIB, color="black", linewidth=0.7, zorder=0)
    lower.axhline(0, color="black", linewidth=0.7, zorder=0)
    found = compared(results)
    _draw_xmem(upper, lower, found)
    for family in _COLOURS:
        _draw_family(upper, lower, [each for each in found if each.result.row.family == family])
    _label(upper, lower)
    figure.savefig(path, metadata={"Date": None})


def _draw_family(upper: Axes, lower: Axes, points: Sequence[Compared]) -> None:
    if not points:
        return
    family = points[0].result.row.family
    measured = [each.measured_bytes / _GIB for each in points]
    peaks = [each.peak for each in points]
    upper.errorbar(
        measured,
        [peak.expected_bytes / _GIB for peak in peaks],
        yerr=[
            [(peak.expected_bytes - peak.low_bytes) / _GIB for peak in peaks],
            [(peak.high_bytes - peak.expected_bytes) / _GIB for peak in peaks],
        ],
        fmt="o",
        markersize=4,
        linewidth=1,
        color=_COLOURS[family],
        label=f"Sojourn, {_LABELS[family]}: expected, low to high",
    )
    errors = [(each.peak.expected_bytes / each.measured_bytes - 1) * 100 for each in points]
    lower.scatter(measured, errors, s=16, color=_COLOURS[family])


def _draw_xmem(upper: Axes, lower: Axes, points: Sequence[Compared]) -> None:
    known = [
        (each.measured_bytes / _GIB, said.predicted_bytes / _GIB)
        for each in points
        if (said := each.result.row.published["xmem"]) and said.predicted_bytes is not None
    ]
    measured = [x for x, _ in known]
    upper.scatter(measured, [y for _, y in known], marker="x", s=22, color=_FAINT, label="xMem")
    errors = [(y / x - 1) * 100 for x, y in known]
    lower.scatter(measured, errors, marker="x", s=22, color=_FAINT)


def _label(upper: Axes, lower: Axes) -> None:
    upper.set(xscale="log", yscale="log", ylabel="predicted, GiB")
    ticks = [str(tick) for tick in _TICKS_GIB]
    upper.set_xticks(_TICKS_GIB, ticks)
    upper.set_yticks(_TICKS_GIB, ticks)
    upper.minorticks_off()
    upper.set_title("Peak device memory of measured training runs")
    upper.legend(frameon=False)
    lower.set(xlabel="measured, GiB", ylabel="error, %")
    lower.minorticks_off()
