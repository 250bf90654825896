"""Forecast against measured, by accelerator, each row's model left out of the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from results import Result

_COLOURS = {
    "RTX 3090": "#1f6fb4",
    "V100": "#c8541b",
    "A100": "#2e8b57",
    "H100": "#7d3c98",
    "T4": "#b8860b",
}
_OTHER = "#7a7a7a"
# Cards of one colour are told apart by their shape.
_MARKERS = {"A100-80GB": "^", "A100-?": "s"}
_NAMES = {"A100-?": "A100, size not stated"}
_ENDS_S = [0.004, 3.0]


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the scatter plot, and below it the errors by accelerator."""
    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same figures give the same file
    figure = Figure(figsize=(7.5, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[2, 1])
    upper.plot(_ENDS_S, _ENDS_S, color="black", linewidth=0.7, zorder=0)
    lower.axvline(0, color="black", linewidth=0.7, zorder=0)
    families = sorted({each.row.family for each in results}, reverse=True)
    for place, family in enumerate(families):
        points = [each for each in results if each.row.family == family]
        colour = next((c for name, c in _COLOURS.items() if family.startswith(name)), _OTHER)
        measured = [each.measured_s for each in points]
        expected = [each.left_out_s for each in points]
        below = [each.left_out_s - each.low_s for each in points]
        above = [each.high_s - each.left_out_s for each in points]
        upper.errorbar(
            measured,
            expected,
            yerr=[below, above],
            fmt=_MARKERS.get(family, "o"),
            markersize=3.5,
            linewidth=0.5,
            alpha=0.7,
            color=colour,
            label=f"{_NAMES.get(family, family)}, {len(points)} rows",
        )
        errors = [each.error * 100 for each in points]
        marker = _MARKERS.get(family, "o")
        lower.scatter(errors, [place] * len(points), s=14, color=colour, marker=marker, alpha=0.6)
    upper.set(xscale="log", yscale="log", xlabel="measured, s", ylabel="forecast (low to high), s")
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    upper.set_title("Seconds of a training step, each model left out of the fit")
    upper.legend(frameon=False, fontsize=8)
    lower.set_yticks(range(len(families)), [_NAMES.get(name, name) for name in families])
    lower.set(xlabel="error of the forecast, % of what was measured")
    figure.savefig(path, metadata={"Date": None})
