"""Does the step time hold? The roofline on measured training steps, each model left out of the fit.

    python bench/time/accuracy.py [--reuse] [--out FOLDER]

Each row is rebuilt as a plain script and traced by Sojourn (kept in .cache/traces; an hour on two
cores the first time, `--reuse` traces nothing); its kernels are forecast on its accelerator. Writes
accuracy.json, accuracy.md and accuracy.svg to bench/time/results/. `fit.py --write` puts the fitted
parameters into the library.

Ends with status 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from fit import fitted
from installs import environment
from plot import draw
from report import document, dump, page
from results import rank, summarize
from rows import HERE

MEDIAN_LIMIT, P90_LIMIT, INSIDE_LIMIT, RANKING_LIMIT = 0.12, 0.30, 0.90, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reuse", action="store_true", help="take the traces that are there")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if not options.reuse:
        # In a process of its own, with the packages that the rows' models need in front.
        subprocess.run([sys.executable, HERE / "traces.py"], env=environment(), check=True)
    found = fitted()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "accuracy.json").write_text(dump(document(found)), encoding="utf-8")
    (options.out / "accuracy.md").write_text(page(found), encoding="utf-8")
    draw(found.results, options.out / "accuracy.svg")
    whole, near = summarize(found.results), rank(found.results, any_batch=False)
    inside = whole.inside / whole.rows
    print(
        f"{whole.rows} rows: median {whole.median:.1%}, p90 {whole.p90:.1%}, in the band "
        f"{inside:.1%}, order right {near.share:.1%} of {near.pairs} pairs"
    )
    limits = {
        f"median error at most {MEDIAN_LIMIT:.0%}": whole.median <= MEDIAN_LIMIT,
        f"p90 at most {P90_LIMIT:.0%}": whole.p90 <= P90_LIMIT,
        f"in the band at least {INSIDE_LIMIT:.0%}": inside >= INSIDE_LIMIT,
        f"order right for at least {RANKING_LIMIT:.0%}": near.share >= RANKING_LIMIT,
    }
    missed = [limit for limit, is_met in limits.items() if not is_met]
    for limit in missed:
        print(f"missed: {limit}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
