from __future__ import annotations

import io
import re
import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from sojourn.progress import NoProgress
from sojourn.render.progress import ConsoleProgress

if TYPE_CHECKING:
    from sojourn.progress import Progress

MIB = 1 << 20


def piped() -> tuple[ConsoleProgress, io.StringIO]:
    """Progress on a console that is no terminal, with a clock that ticks once a second."""
    written = io.StringIO()
    ticks = count()
    console = Console(file=written, width=40)
    return ConsoleProgress(console, clock=lambda: float(next(ticks))), written


def terminal(*, width: int = 100) -> tuple[ConsoleProgress, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width)
    return ConsoleProgress(console), written


def test_piped_task_leaves_exactly_one_line_with_files_bytes_time_and_rate() -> None:
    progress, written = piped()

    with progress.task("pack", total=42 * MIB) as task:
        for _ in range(42):
            task.advance(MIB, files=2)
        assert written.getvalue() == ""

    assert written.getvalue() == "pack: 84 files, 42.0 MiB in 1.0 s, 42.0 MiB/s\n"


@pytest.mark.parametrize(
    ("unit", "amount", "line"),
    [
        ("steps", 3, "trace: 3 steps in 1.0 s\n"),
        ("steps", 1, "trace: 1 step in 1.0 s\n"),
        ("files", 7, "trace: 7 files in 1.0 s\n"),
        ("bytes", 0, "trace: 0 B in 1.0 s\n"),
    ],
)
def test_line_says_the_task_unit(unit: str, amount: int, line: str) -> None:
    progress, written = piped()

    with progress.task("trace", unit=unit) as task:
        task.advance(amount)

    assert written.getvalue() == line


def test_task_that_fails_says_how_far_it_came_and_lets_the_error_through() -> None:
    progress, written = piped()

    def send() -> None:
        with progress.task("send", total=9 * MIB) as task:
            task.advance(MIB, files=1)
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        send()

    assert written.getvalue() == "send: stopped after 1 file, 1.0 MiB in 1.0 s, 1.0 MiB/s\n"


def test_tasks_follow_and_enclose_each_other() -> None:
    progress, written = piped()

    with progress.task("push") as outer:
        with progress.task("pack", unit="files") as inner:
            inner.advance(1)
        with progress.task("send") as inner:
            inner.advance(MIB)
        outer.advance(MIB)

    labels = [line.split(":")[0] for line in written.getvalue().splitlines()]
    assert labels == ["pack", "send", "push"]


def test_no_advance_is_lost_between_threads() -> None:
    progress, written = piped()
    threads = 8
    each = 500

    with progress.task("pull", unit="steps") as task:

        def work() -> None:
            for _ in range(each):
                task.advance(1)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    assert written.getvalue() == f"pull: {threads * each} steps in 1.0 s\n"


def test_terminal_shows_a_bar_while_under_way_and_the_line_afterwards() -> None:
    progress, written = terminal()

    with progress.task("send", total=4 * MIB) as task:
        task.advance(4 * MIB, files=3)

    shown = written.getvalue()
    assert "3 files, 4.0 MiB of 4.0 MiB" in shown
    assert "send: 3 files, 4.0 MiB in" in shown.splitlines()[-1]


def test_in_a_narrow_terminal_a_bar_stays_on_one_line() -> None:
    progress, written = terminal(width=60)

    with progress.task("pull", total=292 * MIB) as task:
        task.advance(292 * MIB, files=12_345)

    bar = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    assert "12345 files, 292.0 MiB of 292.0 MiB" in bar
    assert all(" of 292.0 MiB" in line for line in re.split("[\r\n]+", bar) if "━" in line)


def test_terminal_takes_tasks_from_several_threads_at_once() -> None:
    progress, written = terminal()
    together = threading.Barrier(3)

    def work(label: str) -> None:
        with progress.task(label, total=2, unit="steps") as task:
            together.wait(timeout=10)
            task.advance(2)
            together.wait(timeout=10)

    workers = [threading.Thread(target=work, args=(f"part {number}",)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    for number in range(3):
        assert f"part {number}: 2 steps in" in written.getvalue()


def test_terminal_shows_a_second_task_after_the_first_has_ended() -> None:
    progress, written = terminal()

    for label in ("pack", "send"):
        with progress.task(label, total=1, unit="files") as task:
            task.advance(1)

    assert "pack: 1 file in" in written.getvalue()
    assert "send: 1 file in" in written.getvalue()


@pytest.mark.parametrize("name", ["[red]data[/red].csv", "[/]", "a" * 200])
def test_names_are_printed_as_they_are(name: str) -> None:
    progress, written = piped()

    progress.note(f"skipped {name}")
    with progress.task(name, unit="files"):
        pass

    assert written.getvalue() == f"skipped {name}\n{name}: 0 files in 1.0 s\n"


def test_terminal_bar_takes_any_label() -> None:
    progress, written = terminal()

    with progress.task("[/red]", unit="files") as task:
        task.advance(1)

    assert "[/red]: 1 file in" in written.getvalue()


def test_no_progress_takes_the_same_calls() -> None:
    progress: Progress = NoProgress()

    progress.note("nothing")
    with progress.task("pack", total=1, unit="files") as task:
        task.advance(1, files=1)
