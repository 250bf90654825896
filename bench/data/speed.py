"""Moving data sets, from nothing: Kaggle's way, other tools, and Sojourn, over one slow link.

    python bench/data/speed.py [--quick] [--only SET] [--out FOLDER]

Writes speed.json, speed.md and speed.svg to bench/data/results/; with --quick, which takes small
sets, quick.*. Ends with status 1 if a target is not met by the full sets. README.md beside this
says what is compared with what. The full sets need 30 GB of disk below bench/.cache.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path

from archive import make_zip
from contenders import Run, compare
from emptying import EMPTIED
from limits import measure_limits
from link import Link, check_installed, running_link
from measuring import HERE
from plot import draw
from report import document, dump, page
from sets import CACHE, NAMES, Name, make
from targets import judge

_NEEDED = ("curl", "unzip")
_ENOUGH_DISK_BYTES = {False: 30 * 10**9, True: 3 * 10**9}


def main() -> int:
    options = _options()
    # So that the server ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    check_installed()
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    if missing:
        sys.exit(f"This needs {' and '.join(missing)}: apt-get install -y {' '.join(missing)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    _check_room(quick=options.quick)
    names: tuple[Name, ...] = (options.only,) if options.only else NAMES
    with running_link(CACHE, CACHE / "nginx") as link:
        limits = measure_limits(link)
        runs = [_compare(name, link, quick=options.quick) for name in names]
    shutil.rmtree(EMPTIED, ignore_errors=True)
    verdicts = judge(runs, limits)
    options.out.mkdir(parents=True, exist_ok=True)
    place = options.out / ("quick" if options.quick else "speed")
    found = document(runs, limits, verdicts, quick=options.quick)
    place.with_suffix(".json").write_text(dump(found), encoding="utf-8")
    text = page(runs, limits, verdicts, quick=options.quick)
    place.with_suffix(".md").write_text(f"{text}\n![Seconds]({place.name}.svg)\n", encoding="utf-8")
    draw(runs, place.with_suffix(".svg"))
    print(text)
    return 0 if options.quick or all(each.is_met for each in verdicts) else 1


def _compare(name: Name, link: Link, *, quick: bool) -> Run:
    data = make(name, quick=quick)
    archive = make_zip(data)
    run = compare(data, archive, link)
    sizes = [path.stat().st_size for path in data.files]
    run.facts |= {"files": len(sizes), "raw_bytes": sum(sizes)}
    run.facts["zip_bytes"] = archive.stat().st_size
    return run


def _check_room(*, quick: bool) -> None:
    kept = sum(path.stat().st_size for path in CACHE.rglob("*") if path.is_file())
    free = shutil.disk_usage(CACHE).free
    enough = _ENOUGH_DISK_BYTES[quick]
    if free + kept < enough:
        sys.exit(f"{CACHE} has {free / 1e9:.0f} GB free; this needs {enough / 1e9:.0f}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sets, a few minutes")
    parser.add_argument("--only", choices=NAMES, help="one set")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where results go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
