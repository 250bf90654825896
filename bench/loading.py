"""Images per second that a DataLoader really gives, beside what tracing measured one batch to cost.

    python bench/loading.py

Three data sets: JPEG files decoded and resized with Pillow, a sample that burns a known time of the
processor, tensors in memory. Each is traced as a training script on a device that is not there, and
then read by a plain loop, with no worker, one and two. The forecast is batch size / seconds per
batch, times the workers, but no more than there are processors.

Writes bench/results/loading.json. What else the machine does lowers what is measured by the clock,
not what is forecast; so its load is written down, the best of several rounds is taken, and beside
it stands what the processors were busy for, of which that is not true: microseconds of all
processes together for an image, the workers' start and the way of batches between processes
included.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script

if TYPE_CHECKING:
    from sojourn.forecast.schedule import Loading

BATCH = 32
PICTURES = 192
WORKERS = (0, 1, 2)
ROUNDS = 3
DATA = """
import time
from pathlib import Path
import numpy as np
import torch
from PIL import Image

class Pictures(torch.utils.data.Dataset):
    def __init__(self):
        self.paths = sorted((Path(__file__).parent / "pictures").glob("*.jpg"))
    def __len__(self):
        return len(self.paths) * 4
    def __getitem__(self, i):
        with Image.open(self.paths[i % len(self.paths)]) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((224, 224)))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255, i % 10

class Burning(torch.utils.data.Dataset):
    def __len__(self):
        return 512
    def __getitem__(self, i):
        end = time.thread_time() + 0.004
        while time.thread_time() < end:
            pass
        return torch.zeros(3, 32, 32), i % 10

def in_memory():
    return torch.utils.data.TensorDataset(torch.randn(1536, 3, 32, 32), torch.arange(1536) % 10)

SETS = {"jpeg": Pictures, "burning": Burning, "memory": in_memory}
INPUTS = {"jpeg": 3 * 224 * 224, "burning": 3 * 32 * 32, "memory": 3 * 32 * 32}
"""
TRAIN = f"""
import sys
import torch
from data import INPUTS, SETS
loader = torch.utils.data.DataLoader(SETS[sys.argv[1]](), batch_size={BATCH}, shuffle=True)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(INPUTS[sys.argv[1]], 10)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x.cuda()), y.cuda()).backward()
        optimizer.step()
"""
READ = f"""
import os, sys, time
import torch
from data import SETS
workers = int(sys.argv[2])
torch.set_num_threads(1)
loader = torch.utils.data.DataLoader(
    SETS[sys.argv[1]](), batch_size={BATCH}, shuffle=True, num_workers=workers
)
# The batches that workers have ready when the first is given are not counted.
start, ahead = None, 1 + 2 * workers
before = os.times()
for number, batch in enumerate(loader):
    if number == ahead:
        start = time.perf_counter()
per_s = (number - ahead) * {BATCH} / (time.perf_counter() - start)
del loader
after = os.times()
busy_s = sum(b - a for a, b in zip(before[:4], after[:4]))
print(per_s, busy_s / ((number + 1) * {BATCH}) * 1e6)
"""


def make_pictures(folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        # Smooth, as photographs are: 500 x 375 pixels, some 40 kB.
        small = Image.fromarray(random.integers(0, 255, (47, 63, 3), dtype=np.uint8))
        large = small.resize((500, 375), Image.Resampling.BICUBIC)
        large.save(folder / f"{number}.jpg", quality=90)


def measured(folder: Path, name: str, workers: int) -> tuple[float, float]:
    """Return the images per second, and the microseconds that processors were busy for one."""
    read = [sys.executable, "read.py", name, str(workers)]
    said = subprocess.run(read, cwd=folder, check=True, stdout=subprocess.PIPE).stdout.split()
    return float(said[0]), float(said[1])


def traced(folder: Path, name: str) -> Loading:
    trace = trace_script(
        folder / "train.py",
        arguments=[name],
        compute_capability="8.0",
        timeout_s=120,
        fetches_more=True,
        progress=NoProgress(),
    )
    assert trace.loading is not None
    return trace.loading


def row(folder: Path, name: str) -> dict[str, object]:
    loading = traced(folder, name)
    by_workers = {}
    for workers in WORKERS:
        batches_per_s = replace(loading, workers=workers).batches_per_s(vcpus=os.cpu_count() or 1)
        expected_per_s = BATCH * (batches_per_s or 0.0)
        rounds = [measured(folder, name, workers) for _ in range(ROUNDS)]
        best_per_s = max(per_s for per_s, _ in rounds)
        by_workers[str(workers)] = {
            "forecast_per_s": round(expected_per_s, 1),
            "measured_per_s": round(best_per_s, 1),
            "measured_worst_per_s": round(min(per_s for per_s, _ in rounds), 1),
            "error": round(expected_per_s / best_per_s - 1, 3),
            "busy_us_per_image": round(min(busy_us for _, busy_us in rounds), 1),
            "busy_error": round(
                loading.seconds_per_batch / BATCH * 1e6 / min(busy_us for _, busy_us in rounds) - 1,
                3,
            ),
        }
        print(name, workers, by_workers[str(workers)], flush=True)
    return {
        "seconds_per_batch": round(loading.seconds_per_batch, 6),
        "forecast_us_per_image": round(loading.seconds_per_batch / BATCH * 1e6, 1),
        "workers": by_workers,
    }


def main() -> None:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_pictures(folder / "pictures")
        for file, text in (("data.py", DATA), ("train.py", TRAIN), ("read.py", READ)):
            (folder / file).write_text(text)
        rows = {name: row(folder, name) for name in ("jpeg", "burning", "memory")}
    report = {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
        "batch_size": BATCH,
        "sets": rows,
    }
    results = Path(__file__).parent / "results" / "loading.json"
    results.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
