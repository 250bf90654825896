"""Tables as columns: what parsing, formatting and reading take, beside pandas on the same bytes.

    python bench/columns.py [--rows 10080] [--columns 27] [--repeats 15]

Writes bench/results/columns.json. Each figure is the least processor time of some repeats, in
megabytes (10^6) of CSV per second and one core, so that what else the machine does counts little.
The ratios, to pandas and to a copy of memory, are what can be compared between machines.
The sample is seeded: a text column T-10079 ... T-0 and decimals with four digits, each file a
window a few rows after the one before.

Beside these, under "kinds": the same table of text, numbers and truth values written in other ways,
what its columns take to find and to read, and what pandas takes to parse each; for Excel and
Parquet, which are kept as they are, what reading costs, and what columns beside them would.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import zstandard

from sojourn.columns import (
    Parsed,
    SegmentWriter,
    format_rows,
    join_row_texts,
    load_segment,
    parse,
    parse_json_lines,
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


def make_frame(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    values = {f"x{at}": rng.normal(0, 9, rows).round(4) for at in range(8)}
    names = ["가나다", "say, and", "plain", "o'clock"]
    return pd.DataFrame(
        {
            "number": range(rows),
            **values,
            "name": [names[at % 4] for at in range(rows)],
            "open": [at % 3 == 0 for at in range(rows)],
        }
    )


def write_excel(frame: pd.DataFrame) -> bytes:
    """Return a workbook of one sheet: no package that writes them is among ours."""

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value!r}</v></c>"

    rows = [list(frame.columns), *zip(*(frame[name].tolist() for name in frame), strict=True)]
    sheet = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    office = "http://schemas.openxmlformats.org"
    main_ns, relations = f"{office}/spreadsheetml/2006/main", f"{office}/package/2006/relationships"
    document = f"{office}/officeDocument/2006/relationships"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" '
        f'Type="{document}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main_ns}" xmlns:r="{document}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" '
        f'Type="{document}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main_ns}"><sheetData>{sheet}</sheetData>'
        "</worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def packed_bytes(data: bytes) -> int:
    return len(zstandard.ZstdCompressor(level=3).compress(data))


def measure_kinds(rows: int, repeats: int) -> dict[str, dict[str, float]]:
    frame = make_frame(rows)
    every, strings = csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC
    texts = {
        "csv": frame.to_csv(index=False).encode(),
        "csv, all quoted": frame.to_csv(index=False, quoting=every).encode(),
        "csv, text quoted, mark": frame.to_csv(index=False, quoting=strings).encode("utf-8-sig"),
        "csv, cp949": frame.to_csv(index=False).encode("cp949"),
        "json lines": frame.to_json(orient="records", lines=True).encode(),
    }
    return {
        **{name: measure_text(name, data, repeats) for name, data in texts.items()},
        **measure_binary(frame, repeats),
    }


def measure_text(name: str, data: bytes, repeats: int) -> dict[str, float]:
    def find() -> Parsed:
        parsed = parse_json_lines(data) if name == "json lines" else parse(data, delimiter=",")
        assert parsed is not None
        return parsed

    def read() -> pd.DataFrame:
        return to_pandas(parsed.layout, parsed.columns)

    def read_by_pandas() -> pd.DataFrame:
        if name == "json lines":
            return pd.read_json(io.BytesIO(data), lines=True)
        encoding = "cp949" if "cp949" in name else "utf-8"
        return pd.read_csv(io.BytesIO(data), encoding=encoding)

    parsed = find()
    pd.testing.assert_frame_equal(read(), read_by_pandas(), check_exact=True)
    writer = SegmentWriter(parsed.layout)
    writer.add(parsed)
    return {
        "text_bytes": len(data),
        "text_packed_bytes": packed_bytes(data),
        "columns_packed_bytes": packed_bytes(writer.dump()),
        "find_s": round(least_seconds(find, repeats), 6),
        "read_s": round(least_seconds(read, repeats), 6),
        "pandas_s": round(least_seconds(read_by_pandas, repeats), 6),
    }


def measure_binary(frame: pd.DataFrame, repeats: int) -> dict[str, dict[str, float]]:
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    excel = write_excel(frame)
    columns = taken(frame.to_csv(index=False).encode())
    writer = SegmentWriter(columns.layout)
    writer.add(columns)
    beside = packed_bytes(writer.dump())

    def read_excel() -> pd.DataFrame:
        return pd.read_excel(io.BytesIO(excel), engine="calamine")

    def read_parquet() -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(parquet.getvalue()))

    read_s = least_seconds(lambda: to_pandas(columns.layout, columns.columns), repeats)
    return {
        name: {
            "bytes": len(data),
            "packed_bytes": packed_bytes(data),
            "columns_packed_bytes": beside,
            "read_s": round(least_seconds(read, repeats), 6),
            "columns_read_s": round(read_s, 6),
        }
        for name, data, read in (
            ("excel", excel, read_excel),
            ("parquet", parquet.getvalue(), read_parquet),
        )
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
    kinds = measure_kinds(options.rows, options.repeats)
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
        "kinds": kinds,
    }
    path = Path(__file__).parent / "results" / "columns.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for name, rate in rates.items():
        times = rate / rates["pandas.read_csv"]
        print(f"{name:<18}{seconds[name] * 1000:8.2f} ms {rate:9.0f} MB/s {times:8.2f} x read_csv")
    smaller = segment["csv_bytes"] / segment["segment_bytes"]
    print(f"{WINDOWS} windows in a segment {smaller:.0f} times smaller, before compression.")
    for name, figures in kinds.items():
        print(f"{name:<24}" + "  ".join(f"{key} {value:g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
