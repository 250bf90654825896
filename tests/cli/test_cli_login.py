"""`sojourn login`: from standard input or a terminal, never from an argument."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TOKEN = "KGAT_0123456789abcdef"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    dropped = ("KAGGLE_", "HF_", "XDG_", "HUGGING_FACE_", "COLAB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"HOME": str(tmp_path), "TERM": "dumb"}


def _run(*args: str, text: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sojourn", "login", *args],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_token_is_read_from_standard_input(environment: dict[str, str], tmp_path: Path) -> None:
    done = _run("kaggle", "--json", text=f"{TOKEN}\n", environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / ".kaggle" / "access_token"
    assert json.loads(done.stdout) == {
        "schema": "sojourn.login/1",
        "service": "kaggle",
        "file": str(path),
        "unchanged": False,
        "overridden_by": None,
        "doubt": None,
    }
    assert path.read_text() == f"{TOKEN}\n"
    again = _run("kaggle", text="another-token", environment=environment)
    assert again.returncode == 2
    assert "it was kept" in again.stderr
    assert _run("kaggle", "--replace", text="other-token", environment=environment).returncode == 0
    assert path.read_text() == "other-token\n"


def test_a_word_that_is_like_no_token_is_stored_with_a_note(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = _run("hf", text="password1", environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "does not look like a token of Hugging Face, which begins with hf_" in done.stdout
    assert "https://huggingface.co/settings/tokens" in done.stdout
    assert "password1" not in done.stdout
    assert (tmp_path / ".cache/huggingface/token").read_text() == "password1\n"


@pytest.mark.parametrize("text", ["", "\xff\xfe", "two words"])
def test_what_is_no_token_is_bad_usage(environment: dict[str, str], text: str) -> None:
    done = _run("hf", text=text, environment=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("sojourn: ")
    assert done.stderr.count("\n") == 1


def test_a_token_is_no_argument(environment: dict[str, str], tmp_path: Path) -> None:
    for arguments in (["kaggle", TOKEN], ["hf", "mine", TOKEN], [TOKEN]):
        done = _run(*arguments, "--json", text="", environment=environment)
        assert done.returncode == 2
        assert TOKEN not in done.stderr + done.stdout
        assert "argument" in done.stderr
    assert not (tmp_path / ".kaggle").exists()


def test_a_service_by_another_name_is_told_its_own(environment: dict[str, str]) -> None:
    done = _run("huggingface", text="", environment=environment)
    assert "no login for 'huggingface'. Known are kaggle, and hf for Hugging Face." in done.stderr


def _at_terminal(
    *args: str, answers: list[tuple[str, str]], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run it at a terminal, and type each answer when its question is there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sojourn", "login", *args],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(slave),  # noqa: PLW1509 - nothing else runs here
    )
    os.close(slave)
    seen = ""
    for question, answer in answers:
        while question not in seen:
            seen += os.read(master, 4096).decode()
        os.write(master, f"{answer}\n".encode())
    try:
        while part := os.read(master, 4096):
            seen += part.decode()
    except OSError:  # the other end is closed
        pass
    os.close(master)
    return process.wait(60), seen


def _take_terminal(slave: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def test_at_a_terminal_it_is_asked_for_and_not_shown(
    environment: dict[str, str], tmp_path: Path
) -> None:
    status, seen = _at_terminal("kaggle", answers=[("token", TOKEN)], environment=environment)
    assert status == 0
    assert TOKEN not in seen
    assert (tmp_path / ".kaggle" / "access_token").read_text() == f"{TOKEN}\n"

    answers = [("Replace it?", "n")]
    status, seen = _at_terminal("kaggle", answers=answers, environment=environment)
    assert status == 2
    assert "it was kept" in seen
    answers = [("Replace it?", "y"), ("token (", "other-token")]
    status, seen = _at_terminal("kaggle", answers=answers, environment=environment)
    assert status == 0
    assert (tmp_path / ".kaggle" / "access_token").read_text() == "other-token\n"
