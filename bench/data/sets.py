"""The three data sets, made anew from a seed, each once, below bench/.cache.

    python bench/data/sets.py [--quick]

`windows` is the sample job's set, whose files repeat each other; `walks` are random walks, which
repeat nothing but their form; `images` are bytes that do not compress, of the sizes of JPEGs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Name: TypeAlias = Literal["windows", "walks", "images"]
NAMES: tuple[Name, ...] = ("windows", "walks", "images")
REPO = Path(__file__).parents[2]
CACHE = REPO / "bench" / ".cache" / "data"
SEED = 20260101

_MAKE_WINDOWS = REPO / "examples" / "leak_detection" / "make_data.py"

_WALK_COLUMNS = ("flow_l_per_s", "pressure_bar", "level_m", "temperature_c", "turbidity_ntu")
_WALK_STEPS = (0.25, 0.008, 0.004, 0.03, 0.01)
_WALK_STARTS = (120.0, 4.2, 3.1, 14.0, 1.2)
_WALK_FORM = "%s,%.3f,%.4f,%.4f,%.3f,%.4f,%d\n"
_WALK_FIRST_SECOND = np.datetime64("2024-05-01T00:00:00")
_SMALL_ROWS, _LARGE_ROWS, _ROWS_AT_ONCE = 3_340, 5_178_000, 100_000

_IMAGE_MEAN_BYTES = 100_000
_IMAGE_SIGMA = 0.5  # of the logarithm of the size
_IMAGES_PER_CLASS = 200
_JPEG_BEGIN, _JPEG_END = b"\xff\xd8\xff\xe0", b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set on disk.

    Attributes:
        name: Which.
        folder: All of it; somebody may change a file for a while and put it back.
        tables: A glob of its tables; empty if it has none.
        changing: The file that is changed when one is.
    """

    name: Name
    folder: Path
    tables: str
    changing: str

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def make(name: Name, *, quick: bool) -> DataSet:
    """Return a data set, made if it is not there; it gets its name when it is whole."""
    folder = CACHE / f"{name}-{'quick' if quick else 'full'}"
    if not folder.exists():
        print(f"making {folder}", flush=True)
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        _MAKERS[name](unfinished, quick=quick)
        unfinished.rename(folder)
    tables = "" if name == "images" else "**/*.csv"
    files = [path for path in folder.rglob("*") if path.is_file()]
    middle = sorted(path.relative_to(folder).as_posix() for path in files)[len(files) // 2]
    return DataSet(name=name, folder=folder, tables=tables, changing=middle)


def _make_windows(folder: Path, *, quick: bool) -> None:
    size = "small" if quick else "full"
    command = [sys.executable, str(_MAKE_WINDOWS), "--size", size, "--out", str(folder)]
    subprocess.run(command, check=True, cwd=_MAKE_WINDOWS.parent)
    folder.with_name(f"{folder.name}.json").unlink(missing_ok=True)  # its record of how it was made


def _make_walks(folder: Path, *, quick: bool) -> None:
    small, large_rows = (280, _LARGE_ROWS // 20) if quick else (5_600, _LARGE_ROWS)
    rng = np.random.default_rng([SEED, 1])
    for number in range(small):
        _write_walk(folder / f"stations/{number % 40:02d}/walk_{number:04d}.csv", _SMALL_ROWS, rng)
    for number in range(2):
        _write_walk(folder / f"archive/walk_{number}.csv", large_rows, rng)


def _write_walk(path: Path, rows: int, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.array(_WALK_STARTS) * rng.uniform(0.7, 1.3, len(_WALK_STARTS))
    second = _WALK_FIRST_SECOND + int(rng.integers(0, 10**7))
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(("time", *_WALK_COLUMNS, "state")) + "\n")
        for first in range(0, rows, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, rows - first)
            steps = rng.normal(size=(count, len(_WALK_STEPS))) * _WALK_STEPS
            walk = values + np.cumsum(steps, axis=0)
            values = walk[-1]
            stamps = np.datetime_as_string(second + np.arange(first, first + count)).tolist()
            states = (rng.random(count) < 0.02).tolist()
            lines = zip(stamps, *walk.T.tolist(), states, strict=True)
            file.write("".join([_WALK_FORM % line for line in lines]))


def _make_images(folder: Path, *, quick: bool) -> None:
    count = 1_000 if quick else 20_000
    rng = np.random.default_rng([SEED, 2])
    middle = np.log(_IMAGE_MEAN_BYTES) - _IMAGE_SIGMA**2 / 2
    sizes = rng.lognormal(middle, _IMAGE_SIGMA, count).astype(int)
    for number, size_bytes in enumerate(sizes.tolist()):
        path = folder / f"class_{number // _IMAGES_PER_CLASS:03d}" / f"img_{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JPEG_BEGIN + rng.bytes(size_bytes) + _JPEG_END)


_MAKERS: dict[Name, Callable[..., None]] = {
    "windows": _make_windows,
    "walks": _make_walks,
    "images": _make_images,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small ones: 0.4 GB in all")
    for each in NAMES:
        print(make(each, quick=parser.parse_args().quick).folder)
