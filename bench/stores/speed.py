"""To a store and back: Sojourn beside the stores' own clients and rclone, over one slow link.

    python bench/stores/speed.py [--quick] [--only SET] [--out FOLDER]

Writes speed.json, speed.md and speed.svg to bench/stores/results/; with --quick, which takes a
small set, quick.*. README.md beside this says what is compared with what. The full set of the
sample job needs 40 GB of disk below bench/.cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "data"))

from emptying import EMPTIED  # noqa: E402 - found by the line above
from kaggle_store import compare_on_kaggle  # noqa: E402 - found by the line above
from picture import draw  # noqa: E402 - found by the line above
from s3 import compare_on_s3  # noqa: E402 - found by the line above
from sets import NAMES, make  # noqa: E402 - found by the line above
from summary import document, page  # noqa: E402 - found by the line above


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small set, a few minutes")
    parser.add_argument("--only", choices=NAMES, default="windows", help="another set")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where results go")
    options = parser.parse_args()
    data = make(options.only, quick=options.quick)
    try:
        rows = [*compare_on_kaggle(data), *compare_on_s3(data)]
    finally:
        shutil.rmtree(EMPTIED, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    place = options.out / ("quick" if options.quick else "speed")
    found = document(data, rows, quick=options.quick)
    place.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(data, rows, options=" --quick" if options.quick else "")
    place.with_suffix(".md").write_text(f"{text}\n![Seconds]({place.name}.svg)\n", encoding="utf-8")
    draw(data, rows, place.with_suffix(".svg"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
