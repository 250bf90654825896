"""A folder to a store and back, side by side with one zip: seconds and bytes.

    python bench/roundtrip.py [--megabytes 200] [--out bench/results/roundtrip.json]

The sample is made anew, seeded: CSVs of sliding windows over one recording, as contests of time
series hand them out, and files that do not compress. The store is a folder on the same disk, so
what is measured is packing, writing, reading and unpacking; a link comes on top of that and counts
bytes. Ratios are zip ÷ sojourn: above 1, sojourn needs less.
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
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import sojourn

WINDOW_ROWS = 10_080
COLUMNS = 27
SHIFT_ROWS = 7
MEGABYTE = 10**6
NOISE_SHARE = 0.25
SEED = 20260101


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    there_s: float
    back_s: float
    stored_bytes: int


def make_sample(folder: Path, megabytes: int) -> None:
    """Write about so many megabytes; the same bytes each time."""
    rng = random.Random(SEED)
    noise_bytes = int(megabytes * MEGABYTE * NOISE_SHARE)
    (folder / "images").mkdir(parents=True)
    for number in range(8):
        (folder / "images" / f"{number}.jpg").write_bytes(rng.randbytes(noise_bytes // 8))
    (folder / "test").mkdir()
    values = [50.0] * COLUMNS
    rows: list[str] = []
    header = "timestamp," + ",".join(f"Q{column}" for column in range(COLUMNS)) + "\n"
    left_bytes = megabytes * MEGABYTE - noise_bytes
    number = 0
    while left_bytes > 0:
        while len(rows) < WINDOW_ROWS + number * SHIFT_ROWS:
            values = [value + rng.uniform(-0.1, 0.1) for value in values]
            rows.append(",".join(f"{value:.4f}" for value in values))
        window = rows[number * SHIFT_ROWS :][:WINDOW_ROWS]
        text = header + "".join(
            f"T-{WINDOW_ROWS - 1 - at},{row}\n" for at, row in enumerate(window)
        )
        (folder / "test" / f"TEST_{number:04}.csv").write_text(text)
        left_bytes -= len(text)
        number += 1


def measure_sojourn(sample: Path, scratch: Path) -> Figures:
    began_s = time.perf_counter()
    report = sojourn.push(sample, str(scratch / "store"))
    there_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    sojourn.pull(str(scratch / "store"), scratch / "pulled")
    back_s = time.perf_counter() - began_s
    check_same(sample, scratch / "pulled")
    return Figures(there_s=there_s, back_s=back_s, stored_bytes=report.sent_bytes)


def measure_zip(sample: Path, scratch: Path) -> Figures:
    archive = scratch / "sample.zip"
    began_s = time.perf_counter()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(sample.rglob("*")):
            packed.write(path, path.relative_to(sample))
    there_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(scratch / "unzipped")
    back_s = time.perf_counter() - began_s
    check_same(sample, scratch / "unzipped")
    return Figures(there_s=there_s, back_s=back_s, stored_bytes=archive.stat().st_size)


def check_same(one: Path, other: Path) -> None:
    for path in one.rglob("*"):
        if path.is_file() and path.read_bytes() != (other / path.relative_to(one)).read_bytes():
            raise SystemExit(f"{path} did not come back as it was")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure push and pull against one zip.")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "roundtrip.json"
    )
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="roundtrip-"))
    try:
        sample = scratch / "sample"
        make_sample(sample, options.megabytes)
        sample_bytes = sum(path.stat().st_size for path in sample.rglob("*") if path.is_file())
        ours, theirs = measure_sojourn(sample, scratch), measure_zip(sample, scratch)
    finally:
        shutil.rmtree(scratch)
    result = {
        "schema": "sojourn.bench.roundtrip/1",
        "sample_bytes": sample_bytes,
        "sojourn": {"version": sojourn.__version__} | asdict(ours),
        "zip": asdict(theirs),
        "ratios_zip_to_sojourn": {
            "there_s": round(theirs.there_s / ours.there_s, 2),
            "back_s": round(theirs.back_s / ours.back_s, 2),
            "stored_bytes": round(theirs.stored_bytes / ours.stored_bytes, 2),
        },
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
    }
    text = json.dumps(result, indent=1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
