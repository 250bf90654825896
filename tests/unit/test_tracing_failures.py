"""What is said of an error that a script ended with."""

from __future__ import annotations

import errno
import io
import os
import pickle
import urllib.error
from getpass import getpass
from typing import TYPE_CHECKING

import pytest

from sojourn.tracing.failures import brief, explain, explain_ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of whatever kind
        call()
    return caught.value


def explained(error: BaseException) -> tuple[str, str]:
    return explain(error, line="train.py:7", target="train.py")


def offline() -> OSError:
    return OSError(errno.ENETUNREACH, "offline while tracing: models.example")


@pytest.mark.filterwarnings("ignore::getpass.GetPassWarning")
@pytest.mark.parametrize("ask", [input, getpass])
def test_who_asks_for_input_is_told_to_take_an_argument(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setattr("os.open", lambda *_: (_ for _ in ()).throw(OSError("no terminal")))
    message, remedy = explained(raised(ask))
    assert message.startswith("train.py:7 asks for input")
    assert "sojourn plan train.py -- ARGS" in remedy


def test_another_reader_s_end_of_file_is_no_question() -> None:
    message, _ = explained(raised(lambda: pickle.loads(b"")))
    assert "raised EOFError: Ran out of input" in message


def test_the_network_is_found_at_the_bottom_of_an_error() -> None:
    def fetch() -> None:
        try:
            raise offline()
        except OSError as error:
            raise RuntimeError("could not download") from error

    message, remedy = explained(raised(fetch))
    assert "needs the network" in message
    assert "models.example" in message
    assert "--path REMOTE=LOCAL" in remedy
    assert "needs the network" in explained(urllib.error.URLError(offline()))[0]


def test_another_unreachable_place_is_not_ours() -> None:
    error = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    assert "raised OSError" in explained(error)[0]


def test_a_missing_file_and_a_missing_package_name_their_remedy() -> None:
    assert "--path REMOTE=LOCAL" in explained(FileNotFoundError("data.csv"))[1]
    assert "pip install timm" in explained(ModuleNotFoundError("no", name="timm.models"))[1]


def test_a_long_text_is_cut() -> None:
    text = brief(ValueError("x" * 400))
    assert text == f"ValueError: {'x' * 300}…"
    assert brief(ValueError("a\n  b\udcff")) == "ValueError: a b?"


def test_an_error_that_ends_with_a_full_stop_gets_no_second_one() -> None:
    assert explained(ValueError("No such value."))[0].endswith("No such value.")
    assert not explained(ValueError("No such value."))[0].endswith("..")


def test_an_error_of_shape_rules_has_the_name_that_a_card_gives_it() -> None:
    kind = type("MismatchError", (RuntimeError,), {"__module__": "torch._subclasses.fake"})
    message, _ = explained(kind("found at least two devices, cpu and cuda:0!"))
    assert message == (
        "train.py:7 raised RuntimeError: found at least two devices, cpu and cuda:0!"
    )


def test_a_relative_path_is_said_to_count_from_the_script() -> None:
    _, remedy = explained(raised(lambda: open("data/train.csv")))  # noqa: PTH123, SIM115
    assert "from the script's own folder" in remedy
    assert "--path" not in remedy
    _, remedy = explained(raised(lambda: open("/nowhere/in/train.csv")))  # noqa: PTH123, SIM115
    assert "--path /nowhere/in=LOCAL" in remedy
    _, remedy = explained(raised(lambda: os.scandir("/nowhere/in")))
    assert "--path /nowhere/in=LOCAL" in remedy
    _, remedy = explained(raised(lambda: open("/nowhere.csv")))  # noqa: PTH123, SIM115
    assert "--path REMOTE=LOCAL" in remedy


def test_what_a_process_printed_before_it_ended_stays_in_one_paragraph() -> None:
    error = explain_ending(3, target="train.py", tail=["loading", "no licence"])
    assert "before it was traced. It printed last: loading / no licence." in error.message
    assert "\n" not in str(error)


def test_where_a_relative_path_was_meant_from_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").touch()
    places = [str(tmp_path / "nowhere"), str(tmp_path / "src")]
    error = raised(lambda: open("../data/train.csv"))  # noqa: PTH123, SIM115
    _, remedy = explain(error, line="train.py:7", target="train.py", places=places)
    assert f"It is there as {tmp_path}/data/train.csv." in remedy
    assert "give that one" in remedy
    _, remedy = explain(error, line="train.py:7", target="train.py", places=places[:1])
    assert "It is there" in remedy  # nowhere/../data is data, too
    (tmp_path / "data" / "train.csv").unlink()
    _, remedy = explain(error, line="train.py:7", target="train.py", places=places)
    assert "give an absolute one" in remedy
