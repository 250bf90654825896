"""What the library reports, shown: bars in a terminal or notebook, one line per task elsewhere.

Each task leaves one line behind when it ends, wherever it is shown, so that a log of the session
reads the same as the screen.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from sojourn.printable import printable
from sojourn.units import format_bytes, format_duration, format_rate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Task as Bar

# Below this a rate says more about the clock than about the link.
_SHORTEST_RATED_S = 0.001


class ConsoleProgress:
    """Shows tasks on a console. Tasks may follow or enclose each other, from any thread.

    Args:
        console: Where to show them.
        clock: Tells seconds.
        clean: Takes out of a note what must not be seen.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: Callable[[], float] = time.perf_counter,
        clean: Callable[[str], str] = str,
    ) -> None:
        self._console = console
        self._clock = clock
        self._clean = clean
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._open_tasks = 0

    def task(self, label: str, *, total: int | None = None, unit: str = "bytes") -> ConsoleTask:
        """Announce a task; it is shown from when it is entered."""
        return ConsoleTask(self, label=label, total=total, unit=unit, clock=self._clock)

    def note(self, message: str) -> None:
        """Print one line, above the bars if there are any."""
        self._console.print(Text(printable(self._clean(message))), soft_wrap=True)

    def _begin(self, *, label: str, total: int | None, unit: str) -> tuple[Bars, TaskID] | None:
        """Open a bar, or return None where the console cannot move its cursor."""
        if not (self._console.is_terminal or self._console.is_jupyter):
            return None
        with self._lock:
            if self._bars is None:
                self._bars = _new_bars(self._console)
                self._bars.start()
            self._open_tasks += 1
            return self._bars, self._bars.add_task(label, total=total, unit=unit, files=0)

    def _end(self, bar: tuple[Bars, TaskID] | None, summary: str) -> None:
        if bar is None:
            self.note(summary)
            return
        bars, task_id = bar
        with self._lock:
            # A task quicker than the screen is shown full once before it goes.
            bars.refresh()
            bars.remove_task(task_id)
            self._open_tasks -= 1
            if self._open_tasks == 0:
                bars.stop()
                self._bars = None
        self.note(summary)


class ConsoleTask:
    """One task on the console. Enter it to begin, leave it to end."""

    def __init__(
        self,
        progress: ConsoleProgress,
        *,
        label: str,
        total: int | None,
        unit: str,
        clock: Callable[[], float],
    ) -> None:
        self._progress = progress
        self._label = label
        self._total = total
        self._unit = unit
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._files = 0
        self._began_s = 0.0
        self._bar: tuple[Bars, TaskID] | None = None

    def advance(self, amount: int, *, files: int = 0) -> None:
        """Count `amount` more of the task's unit as done, and `files` more files."""
        with self._lock:
            self._done += amount
            self._files += files
            if self._bar is not None:
                bars, task_id = self._bar
                bars.update(task_id, completed=self._done, files=self._files)

    def __enter__(self) -> Self:
        self._began_s = self._clock()
        self._bar = self._progress._begin(  # noqa: SLF001 - the two are one display
            label=self._label, total=self._total, unit=self._unit
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            bar, self._bar = self._bar, None
            summary = self._summary(stopped=kind is not None)
        self._progress._end(bar, summary)  # noqa: SLF001 - the two are one display

    def _summary(self, *, stopped: bool) -> str:
        taken_s = self._clock() - self._began_s
        amount = _amount(self._done, total=None, unit=self._unit, files=self._files)
        line = f"{self._label}: {'stopped after ' if stopped else ''}{amount}"
        line += f" in {format_duration(taken_s)}"
        if self._unit == "bytes" and self._done and taken_s >= _SHORTEST_RATED_S:
            line += f", {format_rate(self._done / taken_s)}"
        return line


def _amount(done: float, *, total: float | None, unit: str, files: int) -> str:
    """Say how much is done: `151 files, 42.3 MiB`, `3/10 steps`."""
    if unit == "bytes":
        amount = format_bytes(done) + (f" of {format_bytes(total)}" if total else "")
    else:
        amount = f"{done:.0f}" + (f"/{total:.0f}" if total else "")
        amount += f" {unit.removesuffix('s') if (total or done) == 1 else unit}"
    if files and unit != "files":
        return f"{files} file{'' if files == 1 else 's'}, {amount}"
    return amount


class _AmountColumn(ProgressColumn):
    def render(self, task: Bar) -> Text:
        fields = task.fields
        return Text(
            _amount(task.completed, total=task.total, unit=fields["unit"], files=fields["files"])
        )


class _RateColumn(ProgressColumn):
    def render(self, task: Bar) -> Text:
        if task.speed is None:
            return Text("")
        if task.fields["unit"] == "bytes":
            return Text(format_rate(task.speed))
        return Text(f"{task.speed:.1f}/s")


def _new_bars(console: Console) -> Bars:
    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        # Over two lines the bars would climb up the screen.
        _AmountColumn(table_column=Column(no_wrap=True)),
        _RateColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
