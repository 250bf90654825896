"""How the library tells that it is getting on: it reports, and `render` decides what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Task(Protocol):
    """One thing under way. Enter it to begin, leave it to end. Safe to advance from any thread."""

    def advance(self, amount: int, *, files: int = 0) -> None:
        """Count `amount` more of the task's unit as done, and `files` more files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Progress(Protocol):
    """Where the library reports to."""

    def task(self, label: str, *, total: int | None = None, unit: str = "bytes") -> Task:
        """Announce a task.

        Args:
            label: What is being done, one word where one will do: "pack", "send", "trace".
            total: How much there is to do, in `unit`; None if unknown.
            unit: "bytes", "files" or "steps".
        """
        ...

    def note(self, message: str) -> None:
        """Say one line that the reader should see, such as what was skipped and why."""


class _NoTask:
    def advance(self, amount: int, *, files: int = 0) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class NoProgress:
    """Reports to nobody."""

    def task(self, label: str, *, total: int | None = None, unit: str = "bytes") -> Task:  # noqa: ARG002
        """Return a task that shows nothing."""
        return _NoTask()

    def note(self, message: str) -> None:
        """Drop the message."""
