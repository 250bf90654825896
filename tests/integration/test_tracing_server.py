"""One process imports torch and splits for each trace: what one script does reaches no other."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from sojourn.errors import TraceTimeoutError
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.trace import Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_variants
from sojourn.tracing.server import TraceServer
from sojourn.tracing.words import MOST_OUTPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sojourn.errors import TraceError

pytestmark = pytest.mark.torch

TRAINING = """
import torch
model = torch.nn.Linear(8, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.ones(4, 8, device="cuda")).sum().backward()
    optimizer.step()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[TraceServer]:
    with TraceServer() as started:
        yield started


def traced(
    server: TraceServer, folder: Path, code: str, *, times: int = 1, timeout_s: float = 60
) -> list[Trace | TraceError]:
    script = folder / "train.py"
    script.write_text(code, "utf-8")
    variants = [Variant(compute_capability="8.0", changes=Changes())] * times
    return trace_variants(
        script,
        variants,
        timeout_s=timeout_s,
        workers=2,
        server=server,
        progress=NoProgress(),
    )


def test_one_that_is_asked_nothing_makes_no_folder_that_nobody_would_remove(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gone"
    # As where whoever starts it is interrupted meanwhile.
    command = [sys.executable, "-P", "-m", "sojourn.tracing.child", str(folder)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert not folder.exists()


def test_what_one_script_does_to_torch_the_next_does_not_see(
    server: TraceServer, tmp_path: Path
) -> None:
    spoilt = f"import torch\ndel torch.nn.Linear\n{TRAINING}"
    (first,) = traced(server, tmp_path, spoilt)
    (second,) = traced(server, tmp_path, TRAINING)
    assert not isinstance(first, Trace)
    assert isinstance(second, Trace)


def test_a_script_that_ends_its_process_leaves_the_others_their_traces(
    server: TraceServer, tmp_path: Path
) -> None:
    code = f"import os\nos.open('{tmp_path}/train.py', 0)\n{TRAINING}"
    assert all(isinstance(trace, Trace) for trace in traced(server, tmp_path, code, times=3))
    (ended,) = traced(server, tmp_path, "import os\nprint('so far')\nos._exit(7)")
    assert not isinstance(ended, Trace)
    assert "exit status 7" in ended.message
    assert "so far" in ended.message
    assert isinstance(traced(server, tmp_path, TRAINING)[0], Trace)


def test_after_one_that_took_too_long_there_is_a_new_one(
    server: TraceServer, tmp_path: Path
) -> None:
    assert isinstance(traced(server, tmp_path, TRAINING)[0], Trace)
    (late,) = traced(server, tmp_path, "import time\ntime.sleep(600)", timeout_s=1)
    assert isinstance(late, TraceTimeoutError)
    assert isinstance(traced(server, tmp_path, TRAINING)[0], Trace)


class Heard(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_what_a_script_leaves_running_is_ended(server: TraceServer, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import posix\n"
        "print('pid', posix.posix_spawn('/bin/sleep', ['sleep', '600'], {}), flush=True)\n"
        f"{TRAINING}",
        "utf-8",
    )
    heard = Heard()
    (trace,) = trace_variants(
        script,
        [Variant(compute_capability="8.0", changes=Changes())],
        timeout_s=60,
        echo=True,
        server=server,
        progress=heard,
    )
    assert isinstance(trace, Trace)
    (said,) = (note for note in heard.notes if "pid" in note)
    left_behind = int(said.split()[1])
    assert not psutil.pid_exists(left_behind) or (
        psutil.Process(left_behind).status() == psutil.STATUS_ZOMBIE
    )


def test_a_script_has_nothing_to_read_from_standard_input(
    server: TraceServer, tmp_path: Path
) -> None:
    (asked,) = traced(server, tmp_path, f"name = input('Name? ')\n{TRAINING}")
    assert not isinstance(asked, Trace)
    assert "input" in asked.message or "EOF" in asked.message


def test_what_a_script_leaves_in_a_session_of_its_own_is_ended(
    server: TraceServer, tmp_path: Path
) -> None:
    daemon = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print('pid', os.getpid(), flush=True)\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "time.sleep(0.5)\n"
    )
    heard = Heard()
    (tmp_path / "train.py").write_text(daemon + TRAINING, "utf-8")
    (trace,) = trace_variants(
        tmp_path / "train.py",
        [Variant(compute_capability="8.0", changes=Changes())],
        timeout_s=60,
        echo=True,
        server=server,
        progress=heard,
    )
    assert isinstance(trace, Trace)
    (said,) = (note for note in heard.notes if "pid" in note)
    assert not psutil.pid_exists(int(said.split()[1]))
    assert isinstance(traced(server, tmp_path, TRAINING)[0], Trace)


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = f"import os\nos.makedirs('a/b')\nos.chmod('a', 0)\n{TRAINING}"
    with TraceServer() as own:
        assert isinstance(traced(own, tmp_path, code)[0], Trace)
    assert list(temporary.iterdir()) == []


def test_output_without_end_does_not_fill_the_disk(server: TraceServer, tmp_path: Path) -> None:
    heard = Heard()
    code = "import os\nfor _ in range(400):\n    os.write(1, b'x\\n' * 500_000)\nprint('end')\n"
    (tmp_path / "train.py").write_text(code + TRAINING, "utf-8")
    trace_variants(
        tmp_path / "train.py",
        [Variant(compute_capability="8.0", changes=Changes())],
        timeout_s=60,
        echo=True,
        server=server,
        progress=heard,
    )
    (said,) = (note for note in heard.notes if "x\n" in note)
    assert said.rstrip().endswith("end")
    assert len(said) <= MOST_OUTPUT_BYTES
