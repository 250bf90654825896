"""The sample job as its user meets it: the data set is made, planned for, and trained on."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "leak_detection"
DAYS = 10  # enough for the 128 training windows of two steps
WINDOWS = 3
COLUMNS = ["timestamp", "Q1", "Q2", "Q3", "Q4", "M1", "M2", "M3"]
COLUMNS += ["P1", "P2", "P3", "P4", "P5", "P6", "anomaly"]
GIB = 1 << 30


def make(
    out: Path,
    *,
    days: int = DAYS,
    windows: int = WINDOWS,
    seed: int = 1,
    largest_file_bytes: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the generator; with `largest_file_bytes`, on a disk that takes no larger file."""

    def limit() -> None:
        if largest_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))

    options = {"--out": out, "--days": days, "--windows": windows, "--seed": seed}
    words = [str(word) for option in options.items() for word in option]
    return subprocess.run(
        [sys.executable, str(FOLDER / "make_data.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "data"
    done = make(out)
    assert done.returncode == 0, done.stderr
    return out


def test_files_stand_where_they_are_promised(data: Path) -> None:
    windows = [f"test/{n}/TEST_{n}_{i:04d}.csv" for n in "CD" for i in range(WINDOWS)]
    assert sorted(contents(data)) == sorted([*windows, "train/TRAIN_A.csv", "train/TRAIN_B.csv"])


def test_the_same_seed_gives_the_same_bytes_and_a_smaller_set_is_a_part(
    data: Path, tmp_path: Path
) -> None:
    assert make(tmp_path / "data", windows=WINDOWS - 1).returncode == 0
    smaller, larger = contents(tmp_path / "data"), contents(data)
    assert len(smaller) == len(larger) - 2
    assert smaller == {name: larger[name] for name in smaller}


@pytest.mark.parametrize("letter", ["A", "B"])
def test_training_files_hold_a_row_a_minute(data: Path, letter: str) -> None:
    table = pd.read_csv(data / "train" / f"TRAIN_{letter}.csv", parse_dates=["timestamp"])
    assert list(table.columns) == COLUMNS
    assert len(table) == DAYS * 1440
    assert set(table["timestamp"].diff().dropna()) == {pd.Timedelta(minutes=1)}
    assert not table.isna().to_numpy().any()


@pytest.mark.parametrize("letter", ["C", "D"])
def test_windows_hold_a_week_and_are_shifted_by_minutes(data: Path, letter: str) -> None:
    paths = sorted((data / "test" / letter).iterdir())
    tables = [pd.read_csv(path) for path in paths]
    for table in tables:
        assert list(table.columns) == COLUMNS
        assert table["timestamp"].tolist() == [f"T-{ago}" for ago in range(10079, -1, -1)]
    for earlier, later in pairwise(tables):
        first = later.iloc[0, 1:]
        shift = next(i for i in range(1, 60) if (earlier.iloc[i, 1:] == first).all())
        assert 5 <= shift <= 17
        moved = earlier.iloc[shift:, 1:].reset_index(drop=True)
        pd.testing.assert_frame_equal(moved, later.iloc[: len(moved), 1:])


def test_values_have_four_decimals_and_both_labels_occur_in_every_file(data: Path) -> None:
    row = re.compile(r"[^,]+(,-?\d+\.\d{4}){13},[01]")
    for name, content in contents(data).items():
        lines = content.decode("ascii").splitlines()[1:]
        assert all(map(row.fullmatch, lines)), name
        assert {line[-1] for line in lines} == {"0", "1"}, name


def test_another_seed_gives_other_readings(data: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "data", windows=1, seed=2).returncode == 0
    one, other = data / "train/TRAIN_A.csv", tmp_path / "data/train/TRAIN_A.csv"
    assert one.read_bytes() != other.read_bytes()


def test_a_set_that_is_there_is_not_made_again(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    again = make(data)
    assert again.returncode == 0
    assert "already there" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_a_failure_half_way_leaves_no_folder_and_the_next_call_mends_it(tmp_path: Path) -> None:
    out = tmp_path / "data"
    failed = make(out, days=8, windows=1, largest_file_bytes=1_000_000)
    assert failed.returncode == 1
    assert "File too large" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not out.exists()
    assert make(out, days=8, windows=1).returncode == 0
    assert len(contents(out)) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data.json"]


def test_a_failure_leaves_the_older_set_as_it_was(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    shutil.copytree(data, out)
    shutil.copy(data.with_name("data.json"), tmp_path)
    assert make(out, seed=3, largest_file_bytes=1_000_000).returncode == 1
    assert contents(out) == contents(data)


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("1\n")
    refused = make(tmp_path)
    assert refused.returncode == 1
    assert "was not made by this script" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == [mine]


def test_more_windows_than_the_days_hold_are_refused(tmp_path: Path) -> None:
    refused = make(tmp_path / "data", days=8, windows=1000)
    assert refused.returncode == 1
    assert "do not fit into 8 days" in refused.stderr
    assert not (tmp_path / "data").exists()


def sojourn(state: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line; what it keeps about runs goes to `state`."""
    return subprocess.run(
        [sys.executable, "-m", "sojourn", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(state / "state"), "XDG_CACHE_HOME": str(state)},
    )


@pytest.mark.torch
@pytest.mark.parametrize("form", ["baseline.ipynb", "baseline.py"])
def test_the_baseline_needs_an_a100_and_just_fits_it(data: Path, tmp_path: Path, form: str) -> None:
    runtimes = ("colab/t4", "colab/l4", "colab/a100-40gb")
    chosen = [word for runtime in runtimes for word in ("--on", runtime)]
    where = ("--path", f"/content/data={data}")
    planned = sojourn(tmp_path, "plan", FOLDER / form, *chosen, *where, "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    options = {option["runtime"]: option for option in plan["options"]}
    assert options["colab/t4"]["verdict"] == "does_not_fit"
    assert options["colab/l4"]["verdict"] == "does_not_fit"
    assert options["colab/a100-40gb"]["verdict"] in {"fits", "tight"}
    needed = options["colab/a100-40gb"]["device_memory"]["peak_reserved_bytes"]["expected"]
    assert 30 * GIB < needed < 39 * GIB
    assert plan["trace"]["batch_size"] == 64


@pytest.mark.torch
def test_the_baseline_trains_here_when_it_is_small(data: Path, tmp_path: Path) -> None:
    store, out, job = tmp_path / "store", tmp_path / "out", tmp_path / "job"
    job.mkdir()
    shutil.copy(FOLDER / "baseline.py", job)
    pushed = sojourn(tmp_path, "push", data, store)
    assert pushed.returncode == 0, pushed.stderr
    small = "--hidden 16 --window 64 --stride 480 --batch-size 8 --epochs 1 --test-files 1"
    ran = sojourn(
        tmp_path,
        *("run", job / "baseline.py", "--on", "local", "--data", f"{store}=/content/data"),
        *("--out", out, "--deadline", "2m", "--", *small.split()),
    )
    assert ran.returncode == 0, ran.stderr
    results = pd.read_csv(next(out.rglob("results.csv")))
    assert results["file"].tolist() == ["TEST_C_0000.csv", "TEST_D_0000.csv"]
    assert (results["error_normal"] > 0).all()
    assert next(out.rglob("baseline.pt")).stat().st_size > 0
    assert [path.name for path in job.iterdir()] == ["baseline.py"]


ASK_THE_SERVER = """
import os, sys
import boto3
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
client.put_object(Bucket="leaks", Key="a/b", Body=b"water")
print(os.environ["AWS_ENDPOINT_URL"], client.get_object(Bucket="leaks", Key="a/b")["Body"].read())
sys.exit(7)
"""


@pytest.mark.s3
def test_a_command_runs_beside_an_s3_server_that_ends_with_it() -> None:
    command = (sys.executable, str(FOLDER / "with_s3.py"), "leaks", sys.executable, "-c")
    done = subprocess.run([*command, ASK_THE_SERVER], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    endpoint, answer = done.stdout.split(maxsplit=1)
    assert answer.strip() == "b'water'"
    host, port = endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
