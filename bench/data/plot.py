"""Seconds from nothing to all files on disk and to all tables in memory, in stacked bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from contenders import Run
    from matplotlib.axes import Axes

_FETCH, _UNPACK, _PARSE, _OURS = "#8a8a8a", "#b9b9b9", "#dcdcdc", "#c8541b"
# The bars from the top down: a label, and the steps that follow one another in it.
_FILES = (
    ("one zip: curl, unzip", ("kaggle: curl", "kaggle: unzip")),
    ("kagglehub", ("kagglehub",)),
    ("aria2c -x16, unzip", ("aria2c: fetch", "kaggle: unzip")),
    ("rclone, loose files", ("rclone",)),
    ("sojourn pull", ("sojourn: pull",)),
)
_TABLES = (
    ("one zip, pandas", ("kaggle: curl", "kaggle: unzip", "kaggle: pandas")),
    ("sojourn read_many", ("sojourn: tables",)),
)


def draw(runs: Sequence[Run], path: Path) -> None:
    """Write the plot: a row for each set."""
    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same figures give the same file
    figure = Figure(figsize=(9, 2.6 * len(runs)), layout="constrained")
    grid = figure.subplots(len(runs), 2, squeeze=False, width_ratios=[1.3, 1])
    for run, (left, right) in zip(runs, grid, strict=True):
        _bars(left, run, _FILES)
        left.set_title(f"{run.data.name}: all files on disk, s", fontsize=10, loc="left")
        if run.data.tables:
            _bars(right, run, _TABLES)
            right.set_title("all tables in memory, s", fontsize=10, loc="left")
        else:
            right.set_axis_off()
    figure.savefig(path, metadata={"Date": None})


def _bars(axes: Axes, run: Run, bars: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    there = [(label, names) for label, names in bars if names[0] in run.steps]
    for place, (_, names) in enumerate(there):
        begin_s = 0.0
        for name, colour in zip(names, (_FETCH, _UNPACK, _PARSE), strict=False):
            step = run.steps[name]
            shade = _OURS if name.startswith("sojourn") else colour
            axes.barh(place, step.seconds, left=begin_s, color=shade)
            begin_s += step.seconds
        more = "" if run.steps[names[-1]].finished else " and not finished"
        axes.text(begin_s, place, f" {begin_s:.1f}{more}", va="center", fontsize=8)
    axes.set_yticks(range(len(there)), [label for label, _ in there], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
