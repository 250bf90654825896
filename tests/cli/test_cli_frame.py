"""What all verbs share: help, bad usage, bugs, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from sojourn import __version__
from sojourn.cli import VERBS, root
from sojourn.cli._errors import run_guarded
from sojourn.cli._page import write_page
from sojourn.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


def failing(error: BaseException) -> click.Command:
    """A command that raises the error."""

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    @click.argument("rest", nargs=-1)
    def command(*, as_json: bool, rest: tuple[str, ...]) -> None:  # noqa: ARG001
        raise error

    return command


def test_unknown_verb_is_bad_usage_and_names_the_near_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(root, ["puhs"]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "sojourn: There is no verb 'puhs'. Did you mean `sojourn push`? See `sojourn --help`.\n"
    )


def test_unknown_verb_near_to_none_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["zzzzzz"]) == 2

    assert capsys.readouterr().err.count("sojourn --help") == 1


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["--help"]) == 0

    out = capsys.readouterr().out
    for verb in VERBS:
        assert f"\n  {verb} " in out


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["--version"]) == 0

    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_has_example_cost_and_exit_status(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(root, [verb, "--help"]) == 0

    out = capsys.readouterr().out
    assert f"sojourn {verb}" in out
    assert "cost" in out.lower()
    for part in ("Example", "Exit status", "--json", "--quiet", "--verbose", "--no-color"):
        assert part in out


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_option_is_bad_usage_and_points_to_the_verb_help(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(root, [verb, "--no-such-option"]) == 2

    captured = capsys.readouterr()
    assert "--no-such-option" in captured.err
    assert f"sojourn {verb} --help" in captured.err
    assert "Traceback" not in captured.err


def test_bad_usage_with_json_is_also_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(root, ["runtimes", "--json", "--no-such-option"]) == 2

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "usage"
    assert error["retryable"] is False


def test_json_after_the_job_arguments_begin_is_the_job_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = StoreUnavailableError("Down.", remedy="Wait.")

    assert run_guarded(failing(error), ["--", "--json"]) == 5

    assert capsys.readouterr().out == ""


def test_error_is_one_paragraph_with_status_and_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = StoreUnavailableError("Down.", remedy="Wait.")

    assert run_guarded(failing(error), ["--json"]) == 5

    captured = capsys.readouterr()
    assert captured.err == "sojourn: Down. Wait.\n"
    assert json.loads(captured.out) == {
        "error": {
            "code": "unavailable",
            "message": "Down.",
            "remedy": "Wait.",
            "retryable": True,
        }
    }


def test_bug_shows_its_traceback_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(ZeroDivisionError("lost")), []) == 1

    captured = capsys.readouterr()
    assert "ZeroDivisionError: lost" in captured.err
    assert "bug in sojourn" in captured.err


def test_bug_with_json_is_also_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(ZeroDivisionError("lost")), ["--json"]) == 1

    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    error = json.loads(captured.out)["error"]
    assert (error["code"], error["message"]) == ("bug", "ZeroDivisionError: lost")
    assert error["retryable"] is False


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("No \ud800.", remedy="Wait."), ValueError("No \ud800.")]
)
def test_half_a_letter_in_an_error_is_escaped(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(failing(error), ["--json"]) in {5, 1}

    captured = capsys.readouterr()
    assert r"No \ud800." in captured.err
    assert "No \ud800." in json.loads(captured.out)["error"]["message"]


def test_interrupt_has_status_130_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), []) == 130

    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("push", " Run it again: it goes on from there."),
        ("pull", " Run it again: it goes on from there."),
        ("run", ""),
    ],
)
def test_an_interrupt_tells_where_the_verb_would_go_on(
    verb: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), [verb, "data"]) == 130

    assert capsys.readouterr().err == f"Interrupted.{told}\n"


def test_the_arguments_of_a_target_are_called_alike(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("plan", "probe", "run"):
        run_guarded(root, [verb, "--help"])
        assert f"{verb} [OPTIONS] TARGET [-- ARGS...]" in capsys.readouterr().out


def test_an_interrupt_with_json_is_also_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), ["--json"]) == 130

    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["message"]) == ("interrupted", "Interrupted.")
    assert error["retryable"] is True


def test_no_error_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = StoreUnavailableError("\x1b]0;mine\x07 \x9b31m\r\u202edown.", remedy="Wait.")

    assert run_guarded(failing(error), []) == 5

    said = r"sojourn: \x1b]0;mine\x07 \x9b31m\r\u202edown. Wait."
    assert capsys.readouterr().err == f"{said}\n"


def test_python_m_sojourn_is_the_command_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sojourn", "puhs"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert "sojourn push" in result.stderr
    assert result.stdout == ""


def sojourn_into(stdout: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with a stdout that takes nothing."""
    return subprocess.run(
        [sys.executable, "-m", "sojourn", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end to write to of a pipe that nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    yield write_end
    os.close(write_end)


@pytest.mark.parametrize("arguments", [["runtimes"], ["runtimes", "--json"], ["--help"]])
def test_a_closed_pipe_ends_it_quietly(arguments: list[str], closed_pipe: int) -> None:
    result = sojourn_into(closed_pipe, *arguments)

    assert (result.returncode, result.stderr) == (0, "")


def test_an_error_keeps_its_status_when_nobody_reads_its_document(closed_pipe: int) -> None:
    result = sojourn_into(closed_pipe, "runtimes", "--json", "--no-such-option")

    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk always full")
@pytest.mark.parametrize("arguments", [["runtimes"], ["runtimes", "--json"]])
def test_a_full_disk_behind_stdout_is_a_refusal_in_one_paragraph(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        result = sojourn_into(full.fileno(), *arguments)

    assert result.returncode == 2
    assert result.stderr == (
        "sojourn: What was to be printed could not be written: No space left on device. "
        "Make room, or let it go elsewhere.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_a_plan_is_130_and_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("torch")
    # What is ignored here, as under nohup, would be there as well.
    request.addfinalizer(partial(signal.signal, number, signal.signal(number, signal.SIG_DFL)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = tmp_path / "train.py"
    script.write_text("import time; time.sleep(1000)")
    with subprocess.Popen(
        [sys.executable, "-m", "sojourn", "plan", "-v", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    ) as process:
        ends_s = time.monotonic() + 60.0
        while not list(scratch.iterdir()):
            assert time.monotonic() < ends_s
            time.sleep(0.01)  # between two looks at a real process
        process.send_signal(number)
        _, err = process.communicate(timeout=60.0)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(scratch.iterdir()) == []


OVERLAY = """
[runtime_types."mine/\\u001b[31mred"]
name = "█ \\u009b31m é"
subscriptions = ["free"]
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """The folder of somebody whose own runtime type has letters that few terminals have."""
    (tmp_path / "sojourn").mkdir()
    (tmp_path / "sojourn" / "catalog.toml").write_text(OVERLAY, "utf-8")
    return tmp_path


def runtimes(overlay: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sojourn", "runtimes", *options],
        env=os.environ | {"XDG_CONFIG_HOME": str(overlay)} | environ,
        capture_output=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="the overlay lies elsewhere there")
def test_no_result_steers_the_terminal(overlay: Path) -> None:
    text, document = runtimes(overlay, "-v"), runtimes(overlay, "--json")
    assert rb"mine/\x1b[31mred" in text.stdout
    for out in (text.stdout, document.stdout):
        assert not {b"\x1b", "\x9b".encode()} & {
            out[i : i + n] for n in (1, 2) for i in range(len(out))
        }
    rows = {row["runtime"]: row["name"] for row in json.loads(document.stdout)["runtimes"]}
    assert rows["mine/\x1b[31mred"] == "█ \x9b31m é"


@pytest.mark.skipif(sys.platform == "darwin", reason="the overlay lies elsewhere there")
@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_terminal_of_few_letters_shows_the_nearest(
    overlay: Path, environ: dict[str, str]
) -> None:
    document = runtimes(overlay, "--json", **environ)
    assert document.returncode == 0, document.stderr
    names = {row["runtime"]: row["name"] for row in json.loads(document.stdout)["runtimes"]}
    assert names["mine/\x1b[31mred"] == "█ \x9b31m é"
    assert runtimes(overlay, "-v", **environ).returncode == 0


def test_too_few_open_files_are_a_refusal_in_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1")
    result = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 8; exec "$0" -m sojourn plan -q train.py', sys.executable],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in {2, 4}, result.stderr
    assert result.stderr.count("\n") == 1
    assert "ulimit -n 1024" in result.stderr


def test_a_page_that_has_no_room_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    page.write_text("old")
    limited = (
        "import resource, signal; from pathlib import Path; import sys\n"
        "from sojourn.cli._page import write_page\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_page(Path(sys.argv[1]), 'x' * 10_000)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited, page], capture_output=True, text=True, check=False
    )
    assert "UsageError: The page could not be written" in result.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"plan.html": "old"}


def test_a_page_replaces_the_old_one_behind_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "real.html").chmod(0o640)
    (tmp_path / "plan.html").symlink_to("real.html")
    write_page(tmp_path / "plan.html", "new")
    assert (tmp_path / "plan.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"
    assert (tmp_path / "real.html").stat().st_mode & 0o777 == 0o640
    write_page(Path(os.devnull), "to nowhere")
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("page", ["missing/plan.html", "train.py/plan.html", "a" * 300])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_traced(
    tmp_path: Path, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('traced')")
    status = run_guarded(root, ["plan", str(script), "-v", "--html", str(tmp_path / page)])
    assert status == 2
    assert "traced" not in capsys.readouterr().err


def test_sojourn_alone_shows_its_verbs() -> None:
    command = [sys.executable, "-m", "sojourn"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("Usage: sojourn")
    assert "what can be rented" in result.stderr
