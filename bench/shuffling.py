"""Small files in random order, file by file and with `FrameShuffle`: fetches and seconds.

The same with a DataLoader's workers, and how far the memory of each grows; and with workers in the
order of the names, in which each of them gets files of every frame.

    python bench/shuffling.py [--files 5000] [--kilobytes 100] [--out bench/results/shuffling.json]

The files do not compress, as pictures do not. The store is a folder on the same disk, so seconds
are those of reading and decoding frames; a link comes on top, and there bytes count.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sojourn
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.torch_data import FrameShuffle
from sojourn.stores.url import open_store
from sojourn.testing.faults import FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sojourn.dataset.torch_data import TorchMembers
    from sojourn.stores.base import Store

SEED = 20260101
CLASSES = 10
WORKERS = 4
BATCH_SIZE = 64
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    frames: int
    fetches: int
    seconds: float
    worker_grown_bytes: int | None = None


class CountingStore:
    """A store that counts how often it is read, in all processes together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fetches = FORK.Value("i")

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        with self.fetches:
            self.fetches.value += 1
        return self._store.get_range(key, offset=offset, size_bytes=size_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Growth:
    """Makes of each batch how far its worker's own memory has grown since the worker began."""

    def __init__(self) -> None:
        self._began_bytes = 0

    def begin(self, _worker: int) -> None:
        self._began_bytes = self._own_bytes()

    def __call__(self, _batch: object) -> int:
        return self._own_bytes() - self._began_bytes

    @staticmethod
    def _own_bytes() -> int:
        # What a worker writes to of what it shares with its parent becomes its own.
        pages = Path("/proc/self/smaps_rollup").read_text()
        return int(pages.split("Private_Dirty:")[1].split()[0]) * 1024


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


def measure_workers(
    address: str, order_of: Callable[[TorchMembers], Iterable[int] | None]
) -> Figures:
    from torch.utils.data import DataLoader

    store = CountingStore(open_store(address))
    data = Dataset(load_manifest(store), store).as_torch(decode=False)
    growth = Growth()
    loader: Any = DataLoader(
        data,
        batch_size=BATCH_SIZE,
        num_workers=WORKERS,
        sampler=order_of(data),
        collate_fn=growth,
        worker_init_fn=growth.begin,
        multiprocessing_context=FORK,
    )
    store.fetches.value = 0
    began_s = time.perf_counter()
    grown_bytes = max(loader)
    return Figures(
        frames=len({frame for index in range(len(data)) for frame in data.frames(index)}),
        fetches=store.fetches.value,
        seconds=round(time.perf_counter() - began_s, 2),
        worker_grown_bytes=grown_bytes,
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
        in_frames_by_workers = measure_workers(
            scratch / "store",
            lambda data: FrameShuffle(data, seed=SEED, batch_size=BATCH_SIZE, workers=WORKERS),
        )
        in_order_by_workers = measure_workers(scratch / "store", lambda _: None)
    finally:
        shutil.rmtree(scratch)
    result = {
        "schema": "sojourn.bench.shuffling/1",
        "files": options.files,
        "file_bytes": options.kilobytes * 1000,
        "file_by_file": asdict(by_file),
        "frame_shuffle": asdict(in_frames),
        "workers": WORKERS,
        "frame_shuffle_by_workers": asdict(in_frames_by_workers),
        "in_order_by_workers": asdict(in_order_by_workers),
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
