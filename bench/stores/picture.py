"""Seconds to a store and back, in bars, a panel for each store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from sets import DataSet
    from steps import Row

_OURS, _THEIRS = "#c8541b", "#8a8a8a"


def draw(data: DataSet, rows: Sequence[Row], path: Path) -> None:
    """Write the plot."""
    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same figures give the same file
    stores = list(dict.fromkeys(row.store for row in rows))
    figure = Figure(figsize=(9, 2.6 * len(stores)), layout="constrained")
    panels = figure.subplots(len(stores), 1, squeeze=False)[:, 0]
    for store, axes in zip(stores, panels, strict=True):
        _bars(axes, [row for row in rows if row.store == store])
        axes.set_title(f"{store}, {data.name}: seconds", fontsize=10, loc="left")
    figure.savefig(path, metadata={"Date": None})


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        seconds = row.step.seconds
        axes.barh(place, seconds, color=_OURS if row.client == "sojourn" else _THEIRS)
        peak_mb = row.step.peak_bytes / 1e6
        axes.text(seconds, place, f" {seconds:.1f} s, {peak_mb:.0f} MB", va="center", fontsize=8)
    labels = [f"{row.client}: {row.what}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
