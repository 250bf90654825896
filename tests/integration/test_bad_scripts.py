"""Scripts that cannot be planned, or try what they may not: what `sojourn plan` says, and does."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")
TRAINING = """
import torch
model = torch.nn.Linear(64, 64).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(4):
    optimizer.zero_grad()
    model(torch.randn(8, 64, device="cuda")).sum().backward()
    optimizer.step()
"""


def plan(
    folder: Path, code: str, *options: str, name: str = "train.py", **environ: str
) -> subprocess.CompletedProcess[str]:
    (folder / name).write_text(code, "utf-8")
    command = [sys.executable, "-m", "sojourn", "plan", name, "--on", "colab/t4", "-q", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refusal(result: subprocess.CompletedProcess[str], status: int = 4) -> str:
    """Return what was said, once it is sure that it was said as the contract has it."""
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("sojourn: ")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.torch
def test_a_path_from_the_folder_of_the_typist_is_told(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "pets").write_text("cat")
    opening = f"import sys\nopen(sys.argv[1])\n{TRAINING}"
    said = refusal(plan(tmp_path, opening, "--", "pets", name="src/train.py"))
    assert f"It is there as {tmp_path / 'pets'}." in said
    result = plan(tmp_path, TRAINING, "--json", "--", "pets", name="src/train.py")
    assert result.returncode == 0
    assert str(tmp_path / "pets") in " ".join(json.loads(result.stdout)["notes"])


@pytest.mark.torch
def test_one_that_asks_for_input_is_told_to_take_an_argument(tmp_path: Path) -> None:
    said = refusal(plan(tmp_path, f"epochs = input('How many? ')\n{TRAINING}"))
    assert "train.py:1 asks for input" in said
    assert "sojourn plan train.py -- ARGS" in said


@pytest.mark.torch
@pytest.mark.parametrize("name", ["json", "os", "sys", "Path", "time", "signal"])
def test_one_that_forgot_an_import_is_told(tmp_path: Path, name: str) -> None:
    said = refusal(plan(tmp_path, f"{name}\n{TRAINING}"))
    assert f"train.py:1 raised NameError: name '{name}' is not defined" in said


@pytest.mark.torch
def test_one_that_never_comes_to_a_step_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    said = refusal(plan(tmp_path, f"while True:\n    pass\n{TRAINING}", "--timeout", "3s"))
    assert "train.py had not taken 2 optimizer steps after 3.0 s" in said
    assert "--timeout 20m" in said


@pytest.mark.torch
def test_one_that_ends_its_process_is_named_with_what_it_printed(tmp_path: Path) -> None:
    code = f"import os\nprint('no licence', flush=True)\nos._exit(0)\n{TRAINING}"
    said = refusal(plan(tmp_path, code))
    assert "train.py ended its own process (exit status 0)" in said
    assert "It printed last: no licence." in said
    assert "os._exit" in said


@pytest.mark.torch
def test_a_misspelt_argument_is_named_as_argparse_does(tmp_path: Path) -> None:
    code = f"import argparse\nargparse.ArgumentParser().parse_args()\n{TRAINING}"
    said = refusal(plan(tmp_path, code, "--", "--batchsize", "4"))
    assert "refused its arguments: unrecognized arguments: --batchsize 4." in said


@pytest.mark.torch
def test_one_that_ends_itself_with_a_text_is_quoted(tmp_path: Path) -> None:
    said = refusal(plan(tmp_path, f"import sys\nsys.exit('need an H100')\n{TRAINING}"))
    assert "It said: need an H100." in said


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Stand for the world: a port of this machine that takes down what is said to it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(4096))

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.torch
def test_one_that_opens_the_network_reaches_nobody(
    tmp_path: Path, listener: tuple[int, list[bytes]]
) -> None:
    port, heard = listener
    # All that it says would go through the proxy, were it let.
    proxy = f"http://127.0.0.1:{port}"
    code = f"import urllib.request\nurllib.request.urlopen('http://models.example/x')\n{TRAINING}"
    said = refusal(plan(tmp_path, code, http_proxy=proxy, HTTP_PROXY=proxy))
    assert "train.py:2 needs the network" in said
    assert "models.example" in said
    assert "--path REMOTE=LOCAL" in said
    assert heard == []


@pytest.mark.torch
def test_one_that_goes_on_without_the_network_is_planned_and_says_so(tmp_path: Path) -> None:
    code = (
        "import socket\ntry:\n    socket.create_connection(('models.example', 80))\n"
        f"except OSError:\n    pass\n{TRAINING}"
    )
    result = plan(tmp_path, code, "--json")
    assert result.returncode == 0, result.stderr
    assumed = json.loads(result.stdout)["trace"]["assumptions"]
    assert "offline while tracing: models.example was not reached" in assumed


@pytest.mark.torch
def test_one_that_writes_leaves_the_users_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "table.csv").write_text("a,b\n1,2\n")
    (folder / "old.log").write_text("kept")
    (folder / "train.py").write_text("")
    outside = tmp_path / "outside"
    outside.mkdir()
    code = f"""
import os, pathlib, shutil, tempfile
pathlib.Path("new.txt").write_text("x")
open("data/table.csv", "a").write("3,4\\n")
assert open("data/table.csv").read().endswith("3,4\\n")
os.remove("old.log")
os.rename("data", "moved")
shutil.rmtree("moved")
os.makedirs("checkpoints/1")
pathlib.Path({str(folder)!r}, "absolute.txt").write_text("x")
pathlib.Path({str(outside)!r}, "elsewhere.txt").write_text("x")
tempfile.mkstemp()
{TRAINING}
torch.save(model.state_dict(), "checkpoints/1/model.pt")
"""
    (folder / "train.py").write_text(code, "utf-8")
    before = contents(tmp_path)
    result = plan(folder, code)
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path) == before


@pytest.mark.torch
@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no folder is shared memory here")
def test_a_project_in_shared_memory_stays_as_it_was() -> None:
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        project = Path(folder)
        (project / "table.csv").write_text("a,b\n1,2\n")
        code = f"""
import ctypes, os, pathlib
here = pathlib.Path({folder!r})
(here / "table.csv").write_text("x")
(here / "new.txt").write_text("x")
libc = ctypes.CDLL(None)
libc.truncate(os.fsencode(here / "table.csv"), 0)
libc.unlink(os.fsencode(here / "train.py"))
libc.open(os.fsencode(here / "made.txt"), os.O_CREAT | os.O_WRONLY, 0o600)
open("/dev/null", "w").write("x")
{TRAINING}
"""
        result = plan(project, code)
        assert result.returncode == 0, result.stderr
        assert (project / "train.py").read_text() == code
        assert (project / "table.csv").read_text() == "a,b\n1,2\n"
        assert sorted(path.name for path in project.iterdir()) == ["table.csv", "train.py"]


@pytest.mark.torch
def test_one_that_starts_processes_has_semaphores_and_shared_memory(tmp_path: Path) -> None:
    code = f"""
import multiprocessing
import multiprocessing.shared_memory
context = multiprocessing.get_context("fork")
queue = context.Queue()
worker = context.Process(target=queue.put, args=(7,))
worker.start()
assert queue.get() == 7
worker.join()
shared = multiprocessing.shared_memory.SharedMemory(create=True, size=16)
shared.close()
shared.unlink()
{TRAINING}
"""
    result = plan(tmp_path, code)
    assert result.returncode == 0, result.stderr


@pytest.mark.torch
@pytest.mark.parametrize("name", ["answer.json", "output.txt"])
def test_one_that_puts_a_pipe_where_its_answer_belongs_does_not_hang(
    tmp_path: Path, name: str
) -> None:
    code = f"""
import ctypes, os
os.mkfifo("../made")
os.rename("../made", "../{name}")
os._exit(0)
{TRAINING}
"""
    assert "train.py" in refusal(plan(tmp_path, code, "--timeout", "20s")) or name == "answer.json"


@pytest.mark.torch
@pytest.mark.parametrize(
    "answer", ['{"bad":', "[]", "null", '{"bad": 1}', '{"message": 5}', "{}", '{"trace": "{}"}']
)
def test_one_that_answers_in_our_place_is_refused(tmp_path: Path, answer: str) -> None:
    code = f"import os\nopen('../answer.json', 'w').write({answer!r})\nos._exit(0)\n{TRAINING}"
    refusal(plan(tmp_path, code))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("code", "needle"),
    [
        (
            "class Odd(Exception):\n    def __str__(self): raise ValueError('no')\nraise Odd\n",
            "train.py:3 raised Odd: (its text cannot be made: ValueError)",
        ),
        (
            "import sys\nclass Odd:\n    def __str__(self): raise KeyError\nsys.exit(Odd())\n",
            "It said: (its text cannot be made: KeyError)",
        ),
        ("raise GeneratorExit\n", "train.py:1 raised GeneratorExit."),
        ("raise KeyboardInterrupt\n", "train.py:1 raised KeyboardInterrupt."),
        ("import traceback\ntraceback.extract_tb = None\n1 / 0\n", "Tracing train.py failed"),
        ("import os\nos._exit = None\nraise OSError(24, 'x')\n", "ulimit -n"),
        ("import json\njson.dumps = None\n1 / 0\n", "could not be written"),
    ],
)
def test_one_that_breaks_what_it_stands_on_is_told_so_without_our_own_lines(
    tmp_path: Path, code: str, needle: str
) -> None:
    said = refusal(plan(tmp_path, code))
    assert needle in said
    assert "os._exit" not in said
    assert "sojourn/tracing" not in said


@pytest.mark.torch
def test_a_limit_of_the_shell_is_named(tmp_path: Path) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, (1, 100))
while True:
    pass
{TRAINING}
"""
    assert "ulimit -t" in refusal(plan(tmp_path, code))


def test_no_path_rule_moves_the_whole_machine(tmp_path: Path) -> None:
    assert "--path /=." in refusal(plan(tmp_path, TRAINING, "--path", "/=."), 2)


@pytest.mark.torch
def test_one_that_prints_without_end_is_quoted_briefly(tmp_path: Path) -> None:
    code = f"""
import os
for _ in range(60):
    os.write(1, b"x" * 1_000_000)
os.write(1, b"\\n\\x1b]0;mine\\x07last words\\n")
os._exit(3)
{TRAINING}
"""
    said = refusal(plan(tmp_path, code))
    assert r"\x1b]0;mine\x07last words" in said
    assert len(said) < 1000
    code = f"import sys\nsys.exit('y' * 1_000_000)\n{TRAINING}"
    assert len(refusal(plan(tmp_path, code))) < 1000


CANARY = "canary-in-the-mine"


@pytest.mark.torch
def test_no_key_is_shown_that_a_script_runs_into(tmp_path: Path) -> None:
    code = f"""
import os, subprocess
os.system("wandb login canary-of-wandb")
subprocess.run(["curl", "-H", "Authorization: Bearer canary-of-hub", "https://models.example"])
print(os.environ, flush=True)
try:
    raise ValueError(os.environ["SOME_TOKEN"])
except ValueError:
    pass
{TRAINING}
raise ValueError("x" * 290 + os.environ["SOME_TOKEN"])
"""
    page = tmp_path / "plan.html"
    options = ("--json", "-v", "--html", str(page))
    (tmp_path / "train.py").write_text(code)
    command = [sys.executable, "-m", "sojourn", "plan", "train.py", "--on", "colab/t4", *options]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "SOME_TOKEN": CANARY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "not run: wandb login" in result.stdout
    assert "canary" not in result.stdout + result.stderr + page.read_text("utf-8")
    code = f"import os\nprint(os.environ, flush=True)\nos._exit(1)\n{TRAINING}"
    assert CANARY not in refusal(plan(tmp_path, code, SOME_TOKEN=CANARY))


def test_a_script_whose_name_looks_like_an_option_is_told_how_to_type_it(tmp_path: Path) -> None:
    code = f"raise ValueError\n{TRAINING}"
    (tmp_path / "-dash.py").write_text(code)
    said = refusal(plan(tmp_path, code, name="./-dash.py"))
    assert "sojourn plan ./-dash.py -v" in said


def contents(folder: Path) -> dict[str, str]:
    """Return what lies in a folder, with a digest of each file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


def notebook(*cells: str) -> str:
    return json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "metadata": {}, "source": "# Training"},
                *(
                    {
                        "cell_type": "code",
                        "metadata": {},
                        "source": cell.splitlines(keepends=True),
                        "outputs": [],
                        "execution_count": None,
                    }
                    for cell in cells
                ),
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


@pytest.mark.parametrize("text", [notebook("x = 1")[:-20], "", "[]", '{"cells": [{}]}'])
def test_a_broken_notebook_is_refused_with_how_to_mend_it(tmp_path: Path, text: str) -> None:
    said = refusal(plan(tmp_path, text, name="train.ipynb"))
    assert "train.ipynb is not a notebook" in said
    assert "ave it again" in said


@pytest.mark.torch
def test_a_notebook_that_fails_half_way_names_the_cell_and_its_line(tmp_path: Path) -> None:
    cells = ("import torch\nrates = {'a': 0.1}", "x = 1\nrate = rates['b']\n", TRAINING)
    said = refusal(plan(tmp_path, notebook(*cells), name="train.ipynb"))
    assert "train.ipynb[2]:2 raised KeyError: 'b'" in said
