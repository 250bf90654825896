"""A part of a large table that is kept as columns: seconds, memory and bytes fetched for it.

    python bench/reading.py [--megabytes 300] [--columns 20] [--repeats 3]

Writes bench/results/reading.json. Each step runs in a process of its own, from opening the data set
on; its figures are the least seconds of some repeats, and how far the process grew. pandas does the
same to the file beside it, which is in memory already. The store is a folder on the same disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import sojourn
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.repository import load_manifest
from sojourn.stores.url import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.stores.base import Store

SEED = 20260101
MEGABYTE = 10**6
BLOCK_ROWS = 50_000
NAME = "walk.csv"
TAIL_BYTES = 100


def make_table(path: Path, megabytes: int, columns: int) -> None:
    """Write random walks with four digits behind the point, a text column of times before them."""
    rng = np.random.default_rng(SEED)
    state, row = rng.uniform(0, 900, columns - 1), 0
    with path.open("w") as file:
        file.write(",".join(["time", *(f"Q{column}" for column in range(columns - 1))]) + "\n")
        while file.tell() < megabytes * MEGABYTE:
            walk = state + rng.normal(0, 0.1, (BLOCK_ROWS, columns - 1)).cumsum(axis=0)
            state = walk[-1]
            for values in walk.tolist():
                file.write(f"T-{row}," + ",".join(f"{value:.4f}" for value in values) + "\n")
                row += 1


class CountingStore:
    """A store that counts the bytes that are read of it, and how often."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.requests = 0
        self.read_bytes = 0

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        self.requests += 1
        data = self._store.get_range(key, offset=offset, size_bytes=size_bytes)
        self.read_bytes += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _read_tail(dataset: Dataset) -> int:
    with dataset.open(NAME) as file:
        file.seek(-TAIL_BYTES, os.SEEK_END)
        return len(file.read(TAIL_BYTES))


def _read_tail_of_file(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(-TAIL_BYTES, os.SEEK_END)
        return len(file.read(TAIL_BYTES))


STEPS: dict[str, tuple[Callable[[Dataset], object], Callable[[Path], object]]] = {
    "last_100_bytes": (_read_tail, _read_tail_of_file),
    "two_columns": (
        lambda dataset: dataset.read(NAME, usecols=["Q3", "Q11"]),
        lambda path: pd.read_csv(path, usecols=["Q3", "Q11"]),
    ),
    "first_1000_rows": (
        lambda dataset: dataset.read(NAME, nrows=1_000),
        lambda path: pd.read_csv(path, nrows=1_000),
    ),
    # Of these pandas is asked, as of all that is not known to come out alike.
    "two_columns_as_text": (
        lambda dataset: dataset.read(NAME, usecols=["time", "Q3"], dtype={"Q3": "float32"}),
        lambda path: pd.read_csv(path, usecols=["time", "Q3"], dtype={"Q3": "float32"}),
    ),
    "first_1000_rows_as_text": (
        lambda dataset: dataset.read(NAME, nrows=1_000, index_col="time"),
        lambda path: pd.read_csv(path, nrows=1_000, index_col="time"),
    ),
    "all_columns": (lambda dataset: dataset.read(NAME), pd.read_csv),
}


def _peak_bytes() -> int:
    """Return the most memory that this process had; getrusage's figure begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def run_step(step: str, scratch: Path) -> dict[str, Any]:
    """Take one step in this process, both ways; the larger one for memory last."""
    ours, theirs = STEPS[step]
    counting = CountingStore(open_store(scratch / "store"))
    dataset = Dataset(load_manifest(counting), counting)
    before_bytes = _peak_bytes()
    began_s = time.perf_counter()
    ours(dataset)
    seconds = time.perf_counter() - began_s
    grown_bytes = _peak_bytes() - before_bytes
    del dataset
    began_s = time.perf_counter()
    theirs(scratch / "data" / NAME)
    return {
        "seconds": seconds,
        "grown_bytes": grown_bytes,
        "requests": counting.requests,
        "fetched_bytes": counting.read_bytes,
        "pandas_seconds": time.perf_counter() - began_s,
    }


def measure(step: str, scratch: Path, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--step", step, "--scratch", str(scratch)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(repeats)
    ]
    best: dict[str, Any] = min(runs, key=lambda run: run["seconds"])
    best["pandas_seconds"] = round(min(run["pandas_seconds"] for run in runs), 4)
    best["seconds"] = round(best["seconds"], 4)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reading parts of a large table.")
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    results = Path(__file__).parent / "results"
    parser.add_argument("--out", type=Path, default=results / "reading.json")
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.scratch)))
        return
    scratch = Path(tempfile.mkdtemp(prefix="reading-"))
    try:
        (scratch / "data").mkdir()
        make_table(scratch / "data" / NAME, options.megabytes, options.columns)
        sojourn.push(scratch / "data", scratch / "store")
        steps = {step: measure(step, scratch, options.repeats) for step in STEPS}
    finally:
        shutil.rmtree(scratch)
    result = {
        "schema": "sojourn.bench.reading/1",
        "text_bytes": options.megabytes * MEGABYTE,
        "columns": options.columns,
        "steps": steps,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "pandas": pd.__version__,
        "sojourn": sojourn.__version__,
    }
    text = json.dumps(result, indent=1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
