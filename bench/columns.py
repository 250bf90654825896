"""Tables as columns: what parsing, formatting and reading take, beside pandas on the same bytes.

    python bench/columns.py [--rows 10080] [--columns 27] [--repeats 15]

Writes bench/results/columns.json. Each figure is the least processor time of some repeats, in
megabytes (10^6) of CSV per second and one core, so that what else the machine does counts little.
The ratios, to pandas and to a copy of memory, are what can be compared between machines.
The sample is seeded: a text column T-10079 ... T-0 and decimals with four digits, each file a
window a few rows after the one before.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from sojourn.columns import (
    Parsed,
    SegmentWriter,
    format_rows,
    join_row_texts,
    load_segment,
    parse,
    row_texts,
    to_pandas,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20260101
SHIFT_ROWS = 7
WINDOWS = 40
MEGABYTE = 10**6


def make_windows(rows: int, columns: int) -> list[bytes]:
    rng = np.random.default_rng(SEED)
    values = rng.uniform(0, 900, columns) + rng.normal(0, 1, (rows + WINDOWS * SHIFT_ROWS, columns))
    lines = [",".join(f"{value:.4f}" for value in row) for row in values.tolist()]
    header = ",".join(["timestamp", *(f"Q{column}" for column in range(columns))])
    return [
        "\n".join(
            [header, *(f"T-{rows - 1 - at},{lines[start + at]}" for at in range(rows)), ""]
        ).encode()
        for start in range(0, WINDOWS * SHIFT_ROWS, SHIFT_ROWS)
    ]


def least_seconds(action: Callable[[], object], repeats: int) -> float:
    action()
    samples = []
    for _ in range(repeats):
        began_s = time.process_time()
        action()
        samples.append(time.process_time() - began_s)
    return max(min(samples), 1e-9)


def taken(data: bytes) -> Parsed:
    parsed = parse(data, delimiter=",")
    assert parsed is not None
    return parsed


def measure(data: bytes, repeats: int) -> dict[str, float]:
    parsed = taken(data)
    layout, columns = parsed.layout, parsed.columns
    frame = to_pandas(layout, columns)
    pd.testing.assert_frame_equal(frame, pd.read_csv(io.BytesIO(data)), check_exact=True)
    texts = row_texts(layout, columns)
    actions: dict[str, Callable[[], object]] = {
        "memcpy": lambda: bytearray(data),
        "parse and verify": lambda: parse(data, delimiter=","),
        "format": lambda: format_rows(layout, columns, header=True, final_newline=True),
        "join row texts": lambda: join_row_texts(layout, texts, header=True, final_newline=True),
        "to_pandas": lambda: to_pandas(layout, columns),
        "pandas.read_csv": lambda: pd.read_csv(io.BytesIO(data)),
        "DataFrame.to_csv": lambda: frame.to_csv(index=False, float_format="%.4f"),
    }
    few = {"DataFrame.to_csv": 3}
    return {name: least_seconds(act, few.get(name, repeats)) for name, act in actions.items()}


def measure_segment(windows: list[bytes]) -> dict[str, float]:
    tables = [taken(data) for data in windows]
    writer = SegmentWriter(tables[0].layout)
    began_s = time.process_time()
    placements = [writer.add(table) for table in tables]
    add_s = time.process_time() - began_s
    data = writer.dump()
    segment = load_segment(data, tables[0].layout)
    for window, placement in zip(windows, placements, strict=True):
        assert placement is not None
        columns = segment.columns(placement)
        assert format_rows(tables[0].layout, columns, header=True, final_newline=True) == window
    return {
        "windows": len(windows),
        "csv_bytes": sum(map(len, windows)),
        "segment_bytes": len(data),
        "add_s_per_window": round(add_s / len(windows), 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_080)
    parser.add_argument("--columns", type=int, default=27)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    windows = make_windows(options.rows, options.columns)
    seconds = measure(windows[0], options.repeats)
    rates = {name: len(windows[0]) / MEGABYTE / least_s for name, least_s in seconds.items()}
    segment = measure_segment(windows)
    document = {
        "benchmark": "columns",
        "python": platform.python_version(),
        "pandas": pd.__version__,
        "pyarrow": pa.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "table": {
            "rows": options.rows,
            "columns": options.columns + 1,
            "csv_bytes": len(windows[0]),
        },
        "figures": {
            name: {
                "least_s": round(seconds[name], 6),
                "mb_per_s": round(rate),
                "of_read_csv": round(rate / rates["pandas.read_csv"], 2),
                "of_memcpy": round(rate / rates["memcpy"], 4),
            }
            for name, rate in rates.items()
        },
        "segment": segment,
    }
    path = Path(__file__).parent / "results" / "columns.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for name, rate in rates.items():
        times = rate / rates["pandas.read_csv"]
        print(f"{name:<18}{seconds[name] * 1000:8.2f} ms {rate:9.0f} MB/s {times:8.2f} x read_csv")
    smaller = segment["csv_bytes"] / segment["segment_bytes"]
    print(f"{WINDOWS} windows in a segment {smaller:.0f} times smaller, before compression.")


if __name__ == "__main__":
    main()
