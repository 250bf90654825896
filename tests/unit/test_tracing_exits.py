"""What is said of a script that ended itself before it trained."""

from __future__ import annotations

import pytest

from sojourn.tracing.exits import explain_exit


def test_what_a_script_said_as_it_ended_is_quoted() -> None:
    message, remedy = explain_exit("need an H100", printed="", target="train.py")
    assert message.endswith("It said: need an H100.")
    assert "exit status" not in message
    assert "sojourn plan train.py -- ARGS" in remedy


@pytest.mark.parametrize(
    "line",
    [
        "train.py: error: unrecognized arguments: --batchsize 4",
        "Error: unrecognized arguments: --batchsize 4",
    ],
)
def test_arguments_that_were_refused_are_named(line: str) -> None:
    printed = f"usage: train.py [-h]\n{line}\n\n"
    message, remedy = explain_exit(2, printed=printed, target="train.py")
    assert message == "train.py refused its arguments: unrecognized arguments: --batchsize 4."
    assert "after `--`: sojourn plan train.py -- ARGS" in remedy


def test_a_bare_status_comes_with_what_was_printed_last() -> None:
    silent, _ = explain_exit(3, printed="", target="train.py")
    assert silent == "train.py ended itself with exit status 3 before its first optimizer step."
    spoken, _ = explain_exit(3, printed="loading\nno data here!\n", target="train.py")
    assert spoken == f"{silent} It printed last: no data here!"


def test_a_long_text_is_cut() -> None:
    message, _ = explain_exit("x" * 10_000, printed="", target="train.py")
    assert len(message) < 500
