"""Does the memory forecast hold? `sojourn plan` on measured training runs, beside other tools.

    python bench/memory/accuracy.py [--rows FILE.csv] [--only SUBSTRING] [--reuse] [--out FOLDER]

Each row is rebuilt as a plain script, planned on its card as a user would, and compared with what
was measured there. Writes accuracy.json, accuracy.md and accuracy.svg to bench/memory/results/, and
each plan's own document to bench/memory/.cache/plans/. The packages that the rows and the other
tools need are installed into .cache the first time. Eight minutes on two cores.

Ends with status 1 if a row could not be forecast or a limit is missed; with `--only` no limit is
looked at.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from baselines import ask_baselines
from installs import HERE, folder_of, package_of
from plans import Forecast, plan, read_plan, write_catalog
from plot import draw
from report import document, dump, page, summaries
from results import SOJOURN, Result, band, combine
from rows import MIB, Row, read_rows
from scripts import training_script

if TYPE_CHECKING:
    from collections.abc import Sequence

MEDIAN_LIMIT, P90_LIMIT, WORST_LIMIT, ABOVE_HIGH_LIMIT = 0.015, 0.05, 0.09, 2


def main() -> int:
    options = _options()
    rows = read_rows(options.rows, only=options.only)
    if not rows:
        sys.exit(f"no row of {options.rows} has {options.only!r} in its id")
    for row in rows:
        training_script(row)  # a model that is not written down stops here, not half-way
    for sequence in {row.sequence for row in rows}:
        folder_of(package_of(sequence))  # not by two threads at once
    began_s = time.perf_counter()
    forecasts = [read_plan(row) for row in rows] if options.reuse else _plan_all(rows, options)
    planned_s = time.perf_counter() - began_s
    answers = ask_baselines(rows, processes=options.processes)
    results = [
        combine(row, forecast, answers[row.id])
        for row, forecast in zip(rows, forecasts, strict=True)
    ]
    _write(results, options.out)
    if not options.reuse:
        print(f"{len(rows)} plans in {planned_s:.0f} s")
    failed = _print_summary(results)
    return 1 if failed and not options.only else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=HERE / "rows.csv", help="a CSV like rows.csv")
    parser.add_argument("--only", default="", help="rows whose id contains this; limits are off")
    parser.add_argument("--reuse", action="store_true", help="take the last plans, trace nothing")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _plan_all(rows: Sequence[Row], options: argparse.Namespace) -> list[Forecast]:
    with TemporaryDirectory() as folder:
        config_home, scratch = Path(folder, "config"), Path(folder, "scripts")
        scratch.mkdir()
        write_catalog(rows, config_home)

        def one(row: Row) -> Forecast:
            forecast = plan(row, config_home=config_home, scratch=scratch)
            _print_row(row, forecast)
            return forecast

        with ThreadPoolExecutor(options.processes) as pool:
            return list(pool.map(one, rows))


def _print_row(row: Row, forecast: Forecast) -> None:
    measured, peak = row.measured_bytes, forecast.peak
    real = "OOM" if measured is None else f"{measured / MIB:.0f}"
    said, error = forecast.problem or "", ""
    if peak is not None:
        sizes = (peak.expected_bytes, peak.low_bytes, peak.high_bytes)
        said = "expected {:.0f} [{:.0f} {:.0f}]".format(*(size / MIB for size in sizes))
        if measured is not None:
            error = f"{(peak.expected_bytes / measured - 1) * 100:+.2f} %"
    print(f"{row.id[:48]:<48} {real:>6} {error:>9} {forecast.verdict:<12} {said}", flush=True)


def _write(results: Sequence[Result], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    versions = _versions()
    figures = dump(document(results, versions=versions))
    (out / "accuracy.json").write_text(figures, encoding="utf-8")
    (out / "accuracy.md").write_text(page(results, versions=versions), encoding="utf-8")
    draw(results, out / "accuracy.svg")


def _versions() -> dict[str, str]:
    pins = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted(HERE.glob("requirements/*.txt"))
    )
    shown = ("torchvision", "transformers", "torch-kitsune", "alloc")
    found = dict(re.findall(r"^([\w-]+)==(\S+)$", pins, re.MULTILINE))
    return {
        "Python": platform.python_version(),
        "torch": version("torch"),
        **{name: found[name] for name in shown},
        "accelerate": version("accelerate"),
    }


def _print_summary(results: Sequence[Result]) -> bool:
    """Print each tool's figures; return whether a limit is missed."""
    for tool, each in summaries(results, "all").items():
        if each.median is None:
            print(f"{tool:<14} no errors; {each.verdicts} verdicts")
            continue
        print(
            f"{tool:<14} median {each.median:6.1%}  p90 {each.p90:6.1%}  worst "
            f"{each.worst_under:+.1%} {each.worst_over:+.1%}  false OOM "
            f"{each.false_out_of_memory}  missed OOM {each.missed_out_of_memory}  "
            f"({each.scored} errors, {each.verdicts} verdicts of {each.rows})"
        )
    width = band(results)
    if width.median_width is not None:
        print(
            f"band: {width.above_high} above high, {width.below_low} below low of {width.rows}, "
            f"median width {width.median_width:.1%}"
        )
    missed = _missed_limits(results)
    for line in missed:
        print(f"missed: {line}")
    return bool(missed)


def _missed_limits(results: Sequence[Result]) -> list[str]:
    ours = summaries(results, "all")[SOJOURN]
    wrong = ours.false_out_of_memory + ours.missed_out_of_memory + ours.rows - ours.verdicts
    limits = {
        f"median error at most {MEDIAN_LIMIT:.1%}": (ours.median or 0) <= MEDIAN_LIMIT,
        f"p90 at most {P90_LIMIT:.1%}": (ours.p90 or 0) <= P90_LIMIT,
        f"worst within {WORST_LIMIT:.1%}": max(-(ours.worst_under or 0), ours.worst_over or 0)
        <= WORST_LIMIT,
        "every verdict right": wrong == 0,
        f"at most {ABOVE_HIGH_LIMIT} above high": band(results).above_high <= ABOVE_HIGH_LIMIT,
    }
    return [limit for limit, is_met in limits.items() if not is_met]


if __name__ == "__main__":
    sys.exit(main())
