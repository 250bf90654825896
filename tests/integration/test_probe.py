"""A probe from end to end: a script that really runs, in a child that is measured and ended."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from sojourn.catalog import load_catalog
from sojourn.errors import TraceError, TraceTimeoutError
from sojourn.forecast.correction import Measured, find_correction, job_key
from sojourn.progress import NoProgress
from sojourn.runs.corrections import load_corrections
from sojourn.runs.probing import probe_job
from sojourn.tracing.probe import probe_script
from sojourn.tracing.script import trace_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.forecast.correction import ProbeReport

pytestmark = pytest.mark.torch
METER = (sys.executable, "-P", str(Path(__file__).parent / "cpu_meter.py"))
TRAIN = """
import sys, time
from pathlib import Path
import torch
from torch.utils.data import DataLoader, TensorDataset

device = "cuda" if torch.cuda.is_available() else "cpu"
data = TensorDataset(torch.randn(3200, 16), torch.randint(0, 4, (3200,)))
loader = DataLoader(data, batch_size=32, num_workers=int(sys.argv[1]) if sys.argv[1:] else 0)
model = torch.nn.Linear(16, 4).to(device)
optimizer = torch.optim.Adam(model.parameters())
Path("written.txt").write_text("by the script")
for epoch in range(2):
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x.to(device)), y.to(device)).backward()
        optimizer.step()
        time.sleep(0.02)
"""


class Notes(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def write(folder: Path, text: str) -> Path:
    script = folder / "train.py"
    script.write_text(textwrap.dedent(text))
    return script


def probe(
    script: Path, *arguments: str, notes: Notes | None = None, timeout_s: float = 100
) -> Measured:
    return probe_script(
        script,
        arguments=arguments,
        timeout_s=timeout_s,
        progress=notes or Notes(),
        child=METER,
    )


def test_twenty_real_steps_are_taken_and_timed(tmp_path: Path) -> None:
    measured = probe(write(tmp_path, TRAIN))
    assert measured.steps == 20
    assert measured.fits
    assert measured.step_s is not None
    assert 0.02 <= measured.step_s < measured.seconds / 10
    assert measured.peak_reserved_bytes > 50 << 20
    # Its folder is as it was.
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_what_python_code_writes_elsewhere_is_thrown_away_too(tmp_path: Path) -> None:
    victim = tmp_path / "results.csv"
    victim.write_text("mine")
    folder = tmp_path / "project"
    folder.mkdir()
    writing = TRAIN.replace('Path("written.txt")', f"Path({str(victim)!r})")
    writing += f"\nassert Path({str(victim)!r}).read_text() == 'by the script'\n"
    assert probe(write(folder, writing.replace("3200", "128"))).steps == 8
    assert victim.read_text() == "mine"


def test_workers_run_as_the_script_asks_and_are_ended_with_it(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.process_iter()}
    assert probe(write(tmp_path, TRAIN), "2").steps == 20
    time.sleep(0.2)
    left = [p for p in psutil.process_iter(["cmdline"]) if p.pid not in before]
    assert not [p for p in left if "cpu_meter.py" in " ".join(p.info["cmdline"] or ())]


def test_waiting_for_batches_is_told_from_computing(tmp_path: Path) -> None:
    slow = TRAIN.replace(
        "data = TensorDataset(",
        "class Slow(TensorDataset):\n"
        "    def __getitem__(self, i):\n"
        "        time.sleep(0.002)\n"
        "        return super().__getitem__(i)\n"
        "data = Slow(",
    )
    waits, computes = probe(write(tmp_path, slow)), probe(write(tmp_path, TRAIN))
    assert waits.waits_for_data
    assert waits.waited_s is not None
    assert waits.waited_s >= 32 * 0.002
    assert not computes.waits_for_data


def test_a_script_that_ends_early_is_measured_as_far_as_it_got(tmp_path: Path) -> None:
    measured = probe(write(tmp_path, TRAIN.replace("3200", "128")))
    assert measured.steps == 8
    assert measured.step_s is not None


def test_one_step_has_no_time(tmp_path: Path) -> None:
    measured = probe(write(tmp_path, TRAIN.replace("time.sleep(0.02)", "sys.exit()")))
    assert (measured.steps, measured.step_s, measured.waited_s) == (1, None, None)


def test_a_script_that_catches_everything_is_ended_all_the_same(tmp_path: Path) -> None:
    stubborn = TRAIN.replace(
        "        optimizer.step()", "        try: optimizer.step()\n        except: pass"
    )
    assert probe(write(tmp_path, stubborn)).steps == 20


def test_memory_that_runs_out_is_a_result(tmp_path: Path) -> None:
    raising = TRAIN.replace(
        "        time.sleep(0.02)", "        raise torch.OutOfMemoryError('CUDA out of memory')"
    )
    notes = Notes()
    measured = probe(write(tmp_path, raising), notes=notes)
    assert not measured.fits
    assert measured.steps == 1
    assert "CUDA out of memory" in "\n".join(notes.notes)


@pytest.mark.parametrize(
    ("text", "message", "printed"),
    [
        ("print('hello')", "without an optimizer step", "hello"),
        ("print('so far')\nraise ValueError('no such file')", "train.py:2 raised ValueError", "so"),
        ("import sys\nsys.exit('bad')", "train.py ended with status bad", ""),
        ("import os\nos._exit(3)", "ended its own process (exit status 3)", ""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "(SIGKILL)", ""),
    ],
)
def test_a_script_that_takes_no_step_says_why(
    tmp_path: Path, text: str, message: str, printed: str
) -> None:
    notes = Notes()
    with pytest.raises(TraceError) as caught:
        probe(write(tmp_path, text), notes=notes)
    assert message in caught.value.message
    assert printed in "\n".join(notes.notes)
    if "ValueError" in message:
        assert "Traceback" in "\n".join(notes.notes)
        assert "sojourn/tracing" not in "\n".join(notes.notes)


def test_a_script_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TraceTimeoutError, match="had not taken an optimizer step after"):
        probe(write(tmp_path, "import time\ntime.sleep(1000)"), timeout_s=6)


def test_time_that_is_up_leaves_what_was_measured(tmp_path: Path) -> None:
    slow = TRAIN.replace("time.sleep(0.02)", "time.sleep(1)")
    measured = probe(write(tmp_path, slow), timeout_s=12)
    assert 0 < measured.steps < 20


def test_a_notebook_is_probed_too(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": TRAIN}
    cell["execution_count"] = None  # type: ignore[assignment]
    notebook = tmp_path / "train.ipynb"
    notebook.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    assert probe(notebook).steps == 20


def test_without_a_device_it_says_so_and_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_TEST_DEVICE", "none")
    with pytest.raises(TraceError) as caught:
        probe(write(tmp_path, TRAIN))
    assert "no CUDA device here" in caught.value.message
    assert "Colab" in caught.value.remedy


def report_of(script: Path, arguments: Sequence[str], corrections: Path) -> ProbeReport:
    return probe_job(
        target=script.name,
        code=script.read_text(),
        arguments=arguments,
        steps=20,
        measure=lambda: probe(script, *arguments),
        trace_for=lambda capability: trace_script(
            script,
            arguments=arguments,
            compute_capability=capability,
            timeout_s=100,
            progress=NoProgress(),
        ),
        catalog=load_catalog(),
        corrections=corrections,
        today=date(2026, 11, 25),
    )


def test_the_difference_is_kept_for_this_job_on_this_accelerator(tmp_path: Path) -> None:
    script = write(tmp_path, TRAIN)
    kept = tmp_path / "state" / "corrections.json"
    report = report_of(script, (), kept)
    assert report.accelerator.id == "t4"
    assert report.batch_size == 32
    assert report.peak_reserved_bytes is not None
    job = job_key(script.read_text(), (), 32)
    found = find_correction(load_corrections(kept), job=job, accelerator="t4")
    assert found is not None
    expected = report.measured.peak_reserved_bytes / report.peak_reserved_bytes.expected
    assert found.memory_ratio == pytest.approx(expected)
    assert find_correction(load_corrections(kept), job=job, accelerator="l4") is None
    other = job_key(script.read_text(), ("--lr", "1"), 32)
    assert find_correction(load_corrections(kept), job=other, accelerator="t4") is None


def test_the_command_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    import subprocess

    script = write(tmp_path, TRAIN)
    environment: dict[str, Any] = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "sojourn", "probe", str(script), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["code"] == "trace"
    assert "sojourn probe train.py" in done.stderr
    assert not (tmp_path / "state" / "sojourn" / "corrections.json").exists()
