"""What comes out of a trace is short, plain and free of keys, however much of it there is."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sojourn.forecast.schedule import Schedule
from sojourn.forecast.trace import Trace
from sojourn.tracing.words import Words, cut_output, last_lines, printed

if TYPE_CHECKING:
    from pathlib import Path

WORDS = Words(secrets=("canary-in-the-mine",))


@pytest.mark.parametrize("text", ["x" * 2_000_000, "x:" * 1_000_000, "x\n" * 1_000_000])
def test_much_text_takes_no_time(text: str) -> None:
    began_s = time.process_time()
    assert len(WORDS.message(text)) <= 1501
    assert all(len(line) <= 301 for line in WORDS.lines(text))
    assert all(len(note) <= 301 for note in WORDS.notes([text] * 3))
    assert time.process_time() - began_s < 10


def test_a_key_at_the_cut_is_hidden_as_well() -> None:
    for before in range(1180, 1202):
        (line,) = WORDS.lines(
            "canary-in-the-mine " * 70 + "y" * (before % 20) + "canary-in-the-mine"
        )
        assert "canary" not in line


def test_of_a_progress_bar_its_last_state_is_shown() -> None:
    assert WORDS.lines("10 %\r20 %\r\nend\n") == ["20 %", "end"]


def test_notes_are_a_line_each_told_once_and_not_too_many() -> None:
    notes = WORDS.notes(["not run: a\n  b", "not run: a b", *map(str, range(500))])
    assert notes[:2] == ("not run: a b", "0")
    assert len(notes) == 100
    assert notes[-1] == "402 more things of this kind"


def test_what_was_printed_last_is_quoted() -> None:
    assert last_lines("\n".join(map(str, range(100))) + "\n", WORDS) == [*map(str, range(85, 100))]
    assert last_lines("\n", WORDS) == []


def test_only_a_file_is_read_and_cut(tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.write_bytes(b"x" * (17 << 20))
    (tmp_path / "link").symlink_to(users)
    cut_output(tmp_path / "link")
    assert users.stat().st_size == 17 << 20
    assert printed(tmp_path / "link", WORDS) == ""
    cut_output(users)
    assert users.stat().st_blocks * 512 <= 2 << 20
    cut_output(tmp_path / "missing")


def test_no_last_word_is_lost_while_the_beginning_is_dropped(tmp_path: Path) -> None:
    code = "import os\nfor _ in range(60): os.write(1, b'x\\n' * 500_000)\nos.write(1, b'end')"
    for number in range(8):
        path = tmp_path / f"{number}"
        with path.open("ab") as output:
            writer = subprocess.Popen([sys.executable, "-c", code], stdout=output)
        while writer.poll() is None:
            cut_output(path)
        assert printed(path, WORDS).endswith("end")


def test_a_schedules_reason_is_a_plain_line() -> None:
    # It names files, which a script names as it likes.
    schedule = Schedule(reason="a\x1b[31mb\nc canary-in-the-mine" + "d" * 1000)
    trace = Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=0,
        batch_size=None,
        samples_per_epoch=None,
        is_batch_size_known_to_loader=False,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(),
        schedule=schedule,
    )
    reason = WORDS.trace(trace).schedule.reason
    assert not {"\x1b", "\n"} & set(reason)
    assert "canary" not in reason
    assert len(reason) < 400
