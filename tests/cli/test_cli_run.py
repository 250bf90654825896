from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sojourn.cli import root
from sojourn.cli._errors import run_guarded

_PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own to work in, and one for its runs."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def sojourn(*arguments: str) -> int:
    return run_guarded(root, list(arguments))


def document(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(capfd.readouterr().out)
    return parsed


def test_a_job_is_run_and_its_output_shown(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("import sys; print('args', sys.argv[1:])")
    assert sojourn("run", "train.py", "--on", "local", "--", "--json", "-q") == 0
    out = capfd.readouterr().out
    assert out.startswith("args ['--json', '-q']\n")
    assert re.search(r"Run \d{8}-\d{6}-train-\w{4}: done after", out)


def test_a_folder_is_brought_as_data_and_who_asks_for_path_is_told(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print(open('/content/drive/MyDrive/a.txt').read())")
    assert sojourn("run", "train.py", "--on", "local", "--path", "/content/drive/MyDrive=d") == 2
    assert "takes no --path. Bring that folder" in capfd.readouterr().err
    (project / "d").mkdir()
    (project / "d" / "a.txt").write_text("here")
    data = ("--data", "./d=/content/drive/MyDrive")
    assert sojourn("run", "train.py", "--on", "local", *data) == 0
    assert capfd.readouterr().out.startswith("here\n")


def test_json_is_one_document_and_the_output_goes_to_stderr(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print('hello')")
    assert sojourn("run", "train.py", "--on", "local", "--json") == 0
    captured = capfd.readouterr()
    assert "hello\n" in captured.err
    run = json.loads(captured.out)
    assert run["schema"] == "sojourn.run/1"
    assert (run["state"], run["exit_code"], run["runtime"]) == ("done", 0, "local")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", run["started_at"])
    assert run["seconds"] > 0
    assert Path(run["log"]).read_text() == "hello\n"
    assert (run["data"], run["out"]) == ([], None)


def test_quiet_shows_nothing_of_a_job_that_ends_well(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print('hello')")
    assert sojourn("run", "train.py", "--on", "local", "-q") == 0
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_pushed_data_reach_the_job_and_what_it_writes_comes_out(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "leaks" / "train").mkdir(parents=True)
    (tmp_path / "leaks" / "train" / "a.csv").write_text("q\n1\n2\n")
    assert sojourn("push", str(tmp_path / "leaks"), str(tmp_path / "store"), "-q") == 0
    (project / "train.py").write_text(
        "rows = open('/content/data/train/a.csv').read().split()\n"
        "open('/content/result.txt', 'w').write(str(len(rows)))\n"
    )
    status = sojourn(
        *("run", "train.py", "--on", "local", "--json", "--out", "results"),
        *("--data", f"{tmp_path / 'store'}=/content/data"),
    )
    assert status == 0
    run = document(capfd)
    assert run["out"] == str(project / "results")
    assert [(d["store"], d["dir"]) for d in run["data"]] == [
        (str(tmp_path / "store"), "/content/data")
    ]
    assert [p.name for p in (project / "results").iterdir()] == ["result.txt"]
    assert (project / "results" / "result.txt").read_text() == "3"


def test_a_store_that_holds_nothing_is_told_and_nothing_is_run(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print('never')")
    assert sojourn("run", "train.py", "--on", "local", "--data", f"{tmp_path / 'none'}=data") == 5
    captured = capfd.readouterr()
    assert "never" not in captured.out
    assert "Traceback" not in captured.err


def test_a_failing_job_is_status_7_with_its_last_lines(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("raise SystemExit('no GPU here')")
    assert sojourn("run", "train.py", "--on", "local", "--json") == 7
    error = document(capfd)["error"]
    assert error["code"] == "run"
    assert "status 1" in error["message"]
    assert "no GPU here" in error["remedy"]
    assert "sojourn logs" in error["remedy"]


def test_a_job_over_its_deadline_is_status_7(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("import time; time.sleep(1000)")
    assert sojourn("run", "train.py", "--on", "local", "--deadline", "1s") == 7
    assert "its deadline was 1.0 s" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["gone.py", "--on", "local"], 2, "gone.py"),
        (["train.py"], 2, "--on"),
        (["train.py", "--on", "colab/t4"], 3, "--on local"),
        (["train.py", "--on", "local", "--data", "x"], 2, "STORE=DIR"),
        (["train.py", "--on", "local", "--deadline", "soon"], 2, "'soon'"),
        (["train.py", "--on", "local", "--data", "nope://x=data"], 5, "s3://"),
        (["bad.py", "--on", "local"], 4, "bad.py:1"),
    ],
)
def test_bad_input_is_one_paragraph(
    arguments: list[str],
    status: int,
    told: str,
    project: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (project / "train.py").write_text("print('never')")
    (project / "bad.py").write_text("for")
    assert sojourn("run", *arguments) == status
    captured = capfd.readouterr()
    assert captured.err.startswith("sojourn: ")
    assert told in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sojourn("runs", "--json") == 0
    assert document(capfd)["runs"] == []


def test_a_secret_that_is_known_here_is_not_in_the_journal_though_it_is_an_argument(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "plainwordsonly")
    (project / "train.py").write_text("")
    assert sojourn("run", "train.py", "--on", "local", "--", "plainwordsonly", "x") == 0
    (journal,) = (tmp_path / "STATE" / "sojourn" / "runs").glob("*/journal.jsonl")
    started = json.loads(journal.read_text().splitlines()[0])
    assert started["args"] == ["***", "x"]
    assert "plainwordsonly" not in journal.read_text()


def test_runs_and_logs_tell_what_was_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sojourn("runs") == 0
    assert "No runs yet" in capfd.readouterr().out
    (project / "one.py").write_text("print('first')")
    (project / "two.py").write_text("print('second'); raise SystemExit(3)")
    assert sojourn("run", "one.py", "--on", "local", "-q") == 0
    assert sojourn("run", "two.py", "--on", "local", "-q") == 7
    capfd.readouterr()

    assert sojourn("runs", "--json") == 0
    listed = document(capfd)
    assert listed["schema"] == "sojourn.runs/1"
    assert [(r["state"], r["exit_code"]) for r in listed["runs"]] == [("done", 0), ("failed", 3)]
    assert sojourn("runs") == 0
    assert str(project / "two.py") in capfd.readouterr().out

    assert sojourn("logs", "last") == 0
    assert capfd.readouterr().out == "second\n"
    assert sojourn("logs", listed["runs"][0]["run"], "-f") == 0
    assert capfd.readouterr().out == "first\n"
    assert sojourn("logs", "last", "--json") == 0
    assert document(capfd)["text"] == "second\n"
    assert sojourn("logs", "last", "--json", "-f") == 2
    assert sojourn("logs", "nothing-like-it") == 2


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, to be interrupted or killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "sojourn", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_dead(pid: int) -> None:
    ends_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)  # between two looks at a real process
    pytest.fail(f"process {pid} lives on")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_130_and_stops_the_job(
    number: signal.Signals, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("import os, time; print(os.getpid()); time.sleep(1000)")
    with start("run", "train.py", "--on", "local") as process:
        assert process.stdout is not None
        job = int(process.stdout.readline())
        process.send_signal(number)
        _, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_until_dead(job)
    assert sojourn("runs", "--json") == 0
    assert [run["state"] for run in document(capfd)["runs"]] == ["interrupted"]


@pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT])
def test_a_reader_that_has_seen_enough_does_not_end_the_job(
    stderr: int, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "go").mkdir()
    (project / "train.py").write_text(
        "import os, sys, time\nprint('first')\n"
        "while os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
        "print('second')\ntime.sleep(0.5)\nprint('third')\nopen('result.txt', 'w').close()\n"
    )
    wait = project / "go"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sojourn", "run", "train.py", "--on", "local"),
            *("--out", "results", "--", str(wait)),
        ],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        wait.rmdir()
        assert process.wait(_PATIENCE_S) == 0
    assert (project / "results" / "result.txt").exists()
    assert sojourn("runs", "--json") == 0
    assert [run["state"] for run in document(capfd)["runs"]] == ["done"]
    assert sojourn("logs", "last") == 0
    assert capfd.readouterr().out == "first\nsecond\nthird\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk always full")
def test_a_full_disk_behind_what_is_shown_does_not_end_the_job(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text(
        "import time\nprint('first')\ntime.sleep(0.5)\nprint('second')\n"
    )
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "sojourn", "run", "train.py", "--on", "local"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 0
    assert "cannot be shown any more: No space left on device" in result.stderr
    assert sojourn("logs", "last") == 0
    assert capfd.readouterr().out == "first\nsecond\n"


def test_a_run_whose_supervisor_was_killed_is_lost(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("import os, time; print(os.getpid()); time.sleep(1000)")
    with start("run", "train.py", "--on", "local") as process:
        assert process.stdout is not None
        job = int(process.stdout.readline())
        assert sojourn("runs", "--json") == 0
        assert [run["state"] for run in document(capfd)["runs"]] == ["running"]
        process.kill()
        process.communicate(timeout=_PATIENCE_S)
    wait_until_dead(job)
    assert sojourn("runs", "--json") == 0
    assert [run["state"] for run in document(capfd)["runs"]] == ["lost"]


def test_help_shows_an_example_the_cost_and_the_status(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for verb in ("run", "runs", "logs"):
        assert sojourn(verb, "--help") == 0
        text = capfd.readouterr().out.lower()
        assert "example:" in text
        assert "exit status:" in text
        assert "cost" in text


def test_a_state_folder_that_cannot_be_used_is_told_in_one_paragraph(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "STATE").write_text("not a folder")
    (project / "train.py").write_text("print('never')")
    assert sojourn("run", "train.py", "--on", "local") == 7
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Not a directory" in captured.err
    assert "Traceback" not in captured.err
    assert sojourn("runs") == 0


@pytest.mark.parametrize(
    ("lost", "status"), [("log.txt", 0), ("work", 0), ("journal.jsonl", 7), ("", 7)]
)
def test_a_job_that_removes_what_belongs_to_its_run_gives_no_traceback(
    lost: str, status: int, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text(
        "import os, shutil, sys\n"
        "path = os.path.join(os.path.dirname(os.getcwd()), sys.argv[1])\n"
        "os.remove(path) if os.path.isfile(path) else shutil.rmtree(path)\n"
    )
    assert sojourn("run", "train.py", "--on", "local", "--", lost) == status
    assert "Traceback" not in capfd.readouterr().err


def test_a_damaged_run_does_not_hide_the_others(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print('hello')")
    assert sojourn("run", "train.py", "--on", "local", "-q") == 0
    runs = tmp_path / "STATE" / "sojourn" / "runs"
    (runs / "a" / "journal.jsonl").mkdir(parents=True)
    (runs / "a" / "log.txt").mkdir()
    (runs / "b").mkdir()
    (runs / "b" / "journal.jsonl").write_text('"not an event"\n')
    assert sojourn("runs", "--json") == 0
    states = [run["state"] for run in document(capfd)["runs"]]
    assert states == ["unreadable", "unreadable", "done"]
    assert sojourn("logs", "a") == 6
    assert "Traceback" not in capfd.readouterr().err


def test_nothing_is_not_the_beginning_of_a_run(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train.py").write_text("print('hello')")
    assert sojourn("run", "train.py", "--on", "local", "-q") == 0
    assert sojourn("logs", "") == 2
    assert capfd.readouterr().out == ""


def test_one_file_is_told_as_one(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "train.py").write_text("open('result.txt', 'w').close()")
    assert sojourn("run", "train.py", "--on", "local", "--out", "results") == 0
    assert "1 file that the job wrote is in " in capfd.readouterr().err
