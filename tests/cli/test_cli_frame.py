"""What all verbs share: help, bad usage, bugs, interrupts."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from sojourn import __version__
from sojourn.cli import VERBS, root
from sojourn.cli._errors import run_guarded
from sojourn.errors import StoreUnavailableError


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


def test_interrupt_has_status_130_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), []) == 130

    assert "Traceback" not in capsys.readouterr().err


def test_python_m_sojourn_is_the_command_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sojourn", "puhs"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 2
    assert "sojourn push" in result.stderr
    assert result.stdout == ""
