"""The verbs of a runtime, tried on this machine with real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sojourn.runtimes.base import Job, JobHandle
from sojourn.runtimes.local import LocalRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_S = 60.0


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends_s, "it never came to be"
        time.sleep(0.01)  # between two looks at a real process


@pytest.fixture
def runtime() -> LocalRuntime:
    return LocalRuntime()


class Bench:
    """Prepares and starts scripts, and keeps their log."""

    def __init__(self, runtime: LocalRuntime, folder: Path) -> None:
        self.runtime = runtime
        self.source = folder / "source"
        self.work = folder / "work"
        self.log = folder / "log.txt"
        self.source.mkdir()

    def start(self, code: str, *args: str, name: str = "train.py") -> JobHandle:
        (self.source / name).write_text(code)
        self.runtime.prepare(self.source, self.work)
        job = Job(script=Path(name), work=self.work, args=args)
        return self.runtime.start(job, log=self.log)

    def finish(self, code: str, *args: str, name: str = "train.py") -> tuple[int | None, str]:
        handle = self.start(code, *args, name=name)
        status = self.runtime.wait(handle, timeout_s=_PATIENCE_S)
        assert self.runtime.stop(handle) == status
        return status, self.runtime.read_log(handle, 0).decode()


@pytest.fixture
def bench(runtime: LocalRuntime, tmp_path: Path) -> Bench:
    return Bench(runtime, tmp_path)


def test_the_status_is_the_scripts_own(bench: Bench) -> None:
    assert bench.finish("import sys; sys.exit(5)") == (5, "")


def test_both_outputs_are_in_the_log_and_can_be_read_from_an_offset(bench: Bench) -> None:
    handle = bench.start("import sys; print('out'); print('err', file=sys.stderr)")
    assert bench.runtime.wait(handle, timeout_s=_PATIENCE_S) == 0
    bench.runtime.stop(handle)
    assert bench.runtime.read_log(handle, 0) == b"out\nerr\n"
    assert bench.runtime.read_log(handle, 4) == b"err\n"
    assert bench.runtime.read_log(handle, 8) == b""


def test_the_script_is_main_with_its_arguments_in_its_folder(bench: Bench) -> None:
    (bench.source / "beside.py").write_text("x = 41")
    status, log = bench.finish(
        """
import os, sys, pickle, beside
class C: pass
if __name__ == "__main__":
    pickle.loads(pickle.dumps(C()))
    print(sys.argv, os.getcwd(), beside.x, os.path.basename(__file__))
""",
        "--epochs",
        "3 4",
    )
    assert status == 0
    assert log == f"['train.py', '--epochs', '3 4'] {bench.work} 41 train.py\n"


def test_an_unmodified_colab_script_runs(bench: Bench) -> None:
    (bench.source / "data").mkdir()
    (bench.source / "data" / "x.csv").write_text("hello")
    status, log = bench.finish("""
from google.colab import drive
drive.mount("/content/drive")
print(open("/content/drive/MyDrive/data/x.csv").read())
with open("/content/out.txt", "w") as f:
    f.write("done")
""")
    assert (status, log) == (0, "hello\n")
    assert (bench.work / "out.txt").read_text() == "done"


def test_environment_variables_are_the_secrets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "abc")
    status, log = bench.finish(
        "from google.colab import userdata\nprint(userdata.get('MY_TOKEN'))\n"
        "print(repr(userdata.get('NOT_SET_ANYWHERE')))"
    )
    assert status == 0
    assert log.startswith("abc\n")
    assert "secret 'NOT_SET_ANYWHERE' is not known here" in log
    assert log.endswith("''\n")


def test_a_traceback_names_the_scripts_lines_only(bench: Bench) -> None:
    status, log = bench.finish("""def f():
    raise ValueError('deep')
try:
    f()
except ValueError as e:
    raise KeyError('outer') from e
""")
    assert status == 1
    assert "File \"train.py\", line 2, in f\n    raise ValueError('deep')" in log
    assert 'File "train.py", line 6, in <module>' in log
    assert log.endswith("KeyError: 'outer'\n")
    assert "launcher" not in log


def test_a_file_that_is_not_there_is_told_without_our_own_lines(bench: Bench) -> None:
    status, log = bench.finish("open('/content/gone.csv')")
    assert status == 1
    assert "No such file or directory: '/content/gone.csv'" in log
    assert "patches.py" not in log


def test_a_notebook_runs_and_its_traceback_names_cell_and_line(bench: Bench) -> None:
    notebook = (
        '{"cells": [{"cell_type": "code", "source": "!pip install x\\nx = 1\\ndisplay(x)"},'
        ' {"cell_type": "code", "source": ["y = 2\\n", "raise ValueError(x)"]}]}'
    )
    status, log = bench.finish(notebook, name="n.ipynb")
    assert status == 1
    assert log.startswith("sojourn: left out: n.ipynb[1]:1: !pip install x\n1\n")
    assert 'File "n.ipynb[2]", line 2, in <module>\n    raise ValueError(x)' in log


def test_a_text_given_to_exit_is_printed(bench: Bench) -> None:
    assert bench.finish("import sys; sys.exit('no data')") == (1, "no data\n")


def test_the_folder_that_the_job_came_from_stays_as_it_was(bench: Bench) -> None:
    (bench.source / "model.bin").write_bytes(bytes(2 << 20))
    status, log = bench.finish("""
with open("model.bin", "r+b") as f:
    f.write(b"new")
with open("train.py", "w") as f:
    f.write("overwritten")
""")
    assert (status, log) == (0, "")
    assert (bench.source / "model.bin").read_bytes() == bytes(2 << 20)
    assert (bench.work / "model.bin").read_bytes()[:3] == b"new"
    assert (bench.source / "train.py").read_text() != "overwritten"
    assert sorted(path.name for path in bench.source.iterdir()) == ["model.bin", "train.py"]


def test_waiting_gives_up_after_the_time_given(bench: Bench) -> None:
    handle = bench.start("import time; time.sleep(1000)")
    assert bench.runtime.wait(handle, timeout_s=0.05) is None
    assert bench.runtime.stop(handle) == 128 + signal.SIGTERM


def test_a_job_that_is_asked_to_stop_can_save_its_work(bench: Bench) -> None:
    handle = bench.start("""
import signal, sys, time
def save(*_):
    print("saved")
    sys.exit(3)
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(1000)
""")
    wait_until(lambda: bench.runtime.read_log(handle, 0) == b"ready\n")
    assert bench.runtime.stop(handle) == 3
    assert bench.runtime.read_log(handle, 0) == b"ready\nsaved\n"


def test_a_job_that_does_not_heed_is_ended(bench: Bench) -> None:
    handle = bench.start("""
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
time.sleep(1000)
""")
    wait_until(lambda: bench.runtime.read_log(handle, 0) == b"ready\n")
    assert bench.runtime.stop(handle, grace_s=0.1) == 128 + signal.SIGKILL


def test_what_a_job_leaves_running_is_ended_with_it(bench: Bench) -> None:
    handle = bench.start(
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(p.pid)"
    )
    assert bench.runtime.wait(handle, timeout_s=_PATIENCE_S) == 0
    left = int(bench.runtime.read_log(handle, 0))
    assert bench.runtime.stop(handle) == 0
    wait_until(lambda: not _runs(left))


def test_stopping_twice_is_harmless(bench: Bench) -> None:
    handle = bench.start("pass")
    bench.runtime.wait(handle, timeout_s=_PATIENCE_S)
    assert bench.runtime.stop(handle) == 0
    assert bench.runtime.stop(handle) == 0


def test_a_job_ends_when_whoever_looks_after_it_is_killed(bench: Bench, tmp_path: Path) -> None:
    (bench.source / "train.py").write_text("import time; print('ready'); time.sleep(1000)")
    bench.runtime.prepare(bench.source, bench.work)
    code = f"""
import time
from pathlib import Path
from sojourn.runtimes.base import Job
from sojourn.runtimes.local import LocalRuntime
runtime = LocalRuntime()
job = Job(script=Path("train.py"), work=Path({str(bench.work)!r}))
handle = runtime.start(job, log=Path({str(bench.log)!r}))
print(handle.pid, flush=True)
time.sleep(1000)
"""
    keeper = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path)
    with keeper:
        assert keeper.stdout is not None
        job = int(keeper.stdout.readline())
        wait_until(lambda: bench.log.exists() and bench.log.read_bytes() == b"ready\n")
        assert _runs(job)
        keeper.kill()
    wait_until(lambda: not _runs(job))


def test_input_is_empty(bench: Bench) -> None:
    status, log = bench.finish("input()")
    assert status == 1
    assert log.endswith("EOFError: EOF when reading a line\n")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
