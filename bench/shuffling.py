"""Small files in random order, file by file and with `FrameShuffle`: fetches and seconds.

    python bench/shuffling.py [--files 5000] [--kilobytes 100] [--out bench/results/shuffling.json]

The files do not compress, as pictures do not. The store is a folder on the same disk, so seconds
are those of reading and decoding frames; a link comes on top, and there bytes count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sojourn
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.torch_data import FrameShuffle
from sojourn.stores.url import open_store
from sojourn.testing.faults import FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sojourn.dataset.torch_data import TorchMembers

SEED = 20260101
CLASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    frames: int
    fetches: int
    seconds: float


def make_sample(folder: Path, files: int, kilobytes: int) -> None:
    rng = random.Random(SEED)
    for number in range(files):
        path = folder / f"class{number % CLASSES}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(kilobytes * 1000))


def measure(address: Path, order_of: Callable[[TorchMembers], Iterable[int]]) -> Figures:
    store = FaultyStore(open_store(address))
    data = Dataset(load_manifest(store), store).as_torch(decode=False)
    order = list(order_of(data))
    began_s = time.perf_counter()
    for index in order:
        data[index]
    return Figures(
        frames=len({frame for index in order for frame in data.frames(index)}),
        fetches=sum(verb == "get_range" for verb, _ in store.calls),
        seconds=round(time.perf_counter() - began_s, 2),
    )


def file_by_file(data: TorchMembers) -> list[int]:
    order = list(range(len(data)))
    random.Random(SEED).shuffle(order)
    return order


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reading in random order.")
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--kilobytes", type=int, default=100)
    results = Path(__file__).parent / "results"
    parser.add_argument("--out", type=Path, default=results / "shuffling.json")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="shuffling-"))
    try:
        make_sample(scratch / "sample", options.files, options.kilobytes)
        sojourn.push(scratch / "sample", scratch / "store")
        in_frames = measure(scratch / "store", lambda data: FrameShuffle(data, seed=SEED))
        by_file = measure(scratch / "store", file_by_file)
    finally:
        shutil.rmtree(scratch)
    result = {
        "schema": "sojourn.bench.shuffling/1",
        "files": options.files,
        "file_bytes": options.kilobytes * 1000,
        "file_by_file": asdict(by_file),
        "frame_shuffle": asdict(in_frames),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "sojourn": sojourn.__version__,
    }
    text = json.dumps(result, indent=1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
