"""Make the data set of a pipe-leak contest: two months of training data and many test windows.

    data/train/TRAIN_A.csv, TRAIN_B.csv     30 days each, a row a minute
    data/test/C/TEST_C_0000.csv ...         one week each, T-10079 ... T-0, every window a few
    data/test/D/TEST_D_0000.csv ...         minutes later than the one before

The four letters are four networks (hydraulics.py). The same seed gives the same bytes; the small
set is the beginning of the full one. The folder appears under its name only when it is whole, and
a record beside it (data.json) says how it was made, so that a second call has nothing to do.

    python make_data.py                  some 150 windows, 0.2 GB
    python make_data.py --size full      5,658 windows, 6.7 GB
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hydraulics import MINUTES_PER_DAY, SITES, Readings, simulate
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW_ROWS = 7 * MINUTES_PER_DAY
SHIFT_MINUTES = (5, 17)  # from one window to the next
FIRST_MINUTE = datetime(2024, 5, 1)
TRAIN, TEST = ("A", "B"), ("C", "D")
GENERATOR = ("hydraulics.py", "make_data.py")
WINDOWS_PER_SITE = {"small": 75, "full": 2829}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides every byte of the data set."""

    days: int
    windows_per_site: int
    seed: int

    def check(self) -> None:
        """Raise ValueError if the windows could run past the days' end."""
        longest = WINDOW_ROWS + (self.windows_per_site - 1) * SHIFT_MINUTES[1]
        usual = WINDOW_ROWS + (self.windows_per_site - 1) * sum(SHIFT_MINUTES) / 2
        if min(longest, usual * 1.02) > self.days * MINUTES_PER_DAY:
            raise ValueError(
                f"{self.windows_per_site} windows of a week do not fit into {self.days} days. "
                "Ask for fewer windows or more days."
            )


def write_data(folder: Path, recipe: Recipe) -> None:
    """Write the data set into a folder that does not exist yet."""
    total = len(TRAIN) + len(TEST) * recipe.windows_per_site
    with tqdm(total=total, unit="file", disable=None) as bar:
        for number, letter in enumerate((*TRAIN, *TEST)):
            bar.set_description(f"{letter} ({SITES[letter].network})")
            # Each site has a stream of its own: what one draws does not move the others.
            hydraulic, shifts = np.random.default_rng([recipe.seed, number]).spawn(2)
            readings = simulate(SITES[letter], days=recipe.days, rng=hydraulic)
            files = (
                _training_file(letter, readings)
                if letter in TRAIN
                else _windows(letter, readings, recipe.windows_per_site, shifts)
            )
            for name, content in files:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                bar.update()


def _training_file(letter: str, readings: Readings) -> Iterator[tuple[str, bytes]]:
    minutes = range(len(readings.values))
    stamps = [f"{FIRST_MINUTE + timedelta(minutes=minute)},".encode() for minute in minutes]
    yield f"train/TRAIN_{letter}.csv", _csv(readings, stamps, _rows(readings))


def _windows(
    letter: str, readings: Readings, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    stamps = [f"T-{minutes_ago},".encode() for minutes_ago in range(WINDOW_ROWS - 1, -1, -1)]
    rows = _rows(readings)
    first = 0
    for number in range(count):
        content = _csv(readings, stamps, rows[first : first + WINDOW_ROWS])
        yield f"test/{letter}/TEST_{letter}_{number:04d}.csv", content
        first += int(rng.integers(SHIFT_MINUTES[0], SHIFT_MINUTES[1] + 1))


def _rows(readings: Readings) -> list[bytes]:
    """Return each row without its timestamp: the same text goes into many windows."""
    form = ",".join(["%.4f"] * len(readings.columns)) + ",%d\n"
    return [
        (form % (*row, leaks)).encode()
        for row, leaks in zip(readings.values.tolist(), readings.anomaly.tolist(), strict=True)
    ]


def _csv(readings: Readings, stamps: list[bytes], rows: list[bytes]) -> bytes:
    header = ",".join(["timestamp", *readings.columns, "anomaly"]) + "\n"
    return header.encode() + b"".join(chain.from_iterable(zip(stamps, rows, strict=True)))


def make(folder: Path, recipe: Recipe) -> bool:
    """Make the data set, unless it is there already.

    Returns:
        Whether there was anything to make.

    Raises:
        FileExistsError: the folder exists and was not made here; it is left as it is.
        ValueError: the windows do not fit into the days.
    """
    recipe.check()
    record = folder.with_name(f"{folder.name}.json")
    partial = folder.with_name(f"{folder.name}.partial")
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists() and not record.exists():
        raise FileExistsError(
            f"{folder} exists and was not made by this script. Give another --out."
        )
    if folder.exists() and record.read_text() == _describe(folder, recipe):
        return False
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write_data(partial, recipe)
    # The record comes first: whatever happens next, the folder is known to be ours.
    draft = record.with_suffix(".json.partial")
    draft.write_text(_describe(partial, recipe))
    draft.replace(record)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return True


def _describe(folder: Path, recipe: Recipe) -> str:
    """Say how a folder was made: another recipe, or a change of this code, makes another set."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in GENERATOR)
    record = {
        **asdict(recipe),
        "generator": hashlib.sha256(code).hexdigest(),
        "files": len(sizes),
        "size_bytes": sum(sizes),
    }
    return json.dumps(record, indent=1) + "\n"


def main() -> None:
    """Read the command line and make the data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(WINDOWS_PER_SITE), default="small")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30, help="of simulated time (default: 30)")
    parser.add_argument("--windows", type=int, help="per test network, instead of --size's number")
    options = parser.parse_args()
    windows = WINDOWS_PER_SITE[options.size] if options.windows is None else options.windows
    recipe = Recipe(days=options.days, windows_per_site=windows, seed=options.seed)
    try:
        made = make(options.out, recipe)
    except (OSError, ValueError) as error:
        sys.exit(f"make_data: {error}")
    print(f"{options.out}: {'made' if made else 'already there'}, {2 * windows} test windows")


if __name__ == "__main__":
    main()
