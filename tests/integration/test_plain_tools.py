"""The README of a pushed set: what it says to type gives the folder back, without sojourn."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pandas as pd
import pytest

import sojourn

pytestmark = pytest.mark.skipif(
    not (shutil.which("tar") and shutil.which("zstd")), reason="needs tar and zstd"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = random.Random(3)
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "hollow").mkdir()
    (folder / "noise.bin").write_bytes(rng.randbytes(100_000))
    recording = [f"{rng.gauss(0, 9):.3f},{rng.randrange(-5, 5)}" for _ in range(3_000)]
    for number in range(20):
        rows = "".join(f"T-{row},{recording[row + 7 * number]}\n" for row in range(2_000))
        (folder / "train" / f"T_{number:02}.csv").write_text(f"time,level,state\n{rows}")
    (folder / "gaps.tsv").write_bytes(
        b"name\tvalue\topen\r\n"
        + b"\r\n".join(b"n%d\t%s\tTrue" % (n, b"" if n % 3 else b"0.50") for n in range(4_000))
    )
    (folder / "train" / "T_00.csv").chmod(0o600)
    _add_other_tables(folder)
    return folder


def _add_other_tables(folder: Path) -> None:
    frame = pd.DataFrame(
        {
            "": range(3_000),
            "a/b": [1.5, 1e-07, -0.25] * 1_000,
            "count": [1, 2.5, float("nan")] * 1_000,
            "한글": ["가, 나", 'say "x"/', "a\nb"] * 1_000,
            "yes": [True, False, True] * 1_000,
        }
    )
    every: Final = csv.QUOTE_ALL
    for name, text in {
        "all.csv": frame.to_csv(index=False, quoting=every, lineterminator="\r\n").encode(),
        "some.csv": frame.to_csv(index=False, na_rep="NA").encode("utf-8-sig"),
        "korean.csv": frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("cp949"),
        "escaped.jsonl": frame.to_json(orient="records", lines=True).encode(),
    }.items():
        (folder / name).write_bytes(text)
    rows = [{"n": n, "s": "é" * (n % 3), "x": None if n % 5 else n / 7} for n in range(3_000)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "lines.jsonl").write_text("\n".join(lines))
    plain = "".join(f"0.{n:09},{n}\n" for n in range(1, 20_000, 7))
    numbers = "".join(f"{n if n % 2 else n / 4},x\n".replace(".0,", ",") for n in range(8_000))
    (folder / "plain.tsv").write_text(f"tiny,n\n{plain}".replace(",", "\t"))
    (folder / "numbers.csv").write_text(f"short,s\n{numbers}")


def test_what_the_readme_says_gives_the_folder_back(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sojourn.push(folder, store)
    tables = [member for member in sojourn.open(store).manifest.members if member.table]
    assert len(tables) == 28
    text = (store / "README.md").read_text()
    shell, python = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("sh", "python")
    )
    subprocess.run(["bash", "-euc", shell], cwd=store, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", python], cwd=store, check=True, env=environment)
    shutil.rmtree(store / "data" / ".sojourn-tables")
    diff = ["diff", "-r", str(folder), str(store / "data")]
    assert subprocess.run(diff, capture_output=True, check=False).stdout == b""
    assert (store / "data" / "train" / "T_00.csv").stat().st_mode & 0o777 == 0o600
