"""A server that asks to be left alone for a while, and is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sojourn.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Who is told to come back later than this is told so, instead of waiting without a word.
_LONGEST_WAIT_S = 60.0
_MOST_WAITS = 5


class BusyError(StoreUnavailableError):
    """The server is busy. `after_s`: when to come back, in seconds; None if it does not say."""

    def __init__(self, message: str, *, remedy: str, after_s: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.after_s = after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.message, remedy=self.remedy, after_s=self.after_s), ()


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header gives; None if there are none in it."""
    return float(header) if header is not None and header.strip().isdigit() else None


def come_back_later(call: Callable[[], T], *, sleep: Callable[[float], None]) -> T:
    """Return what a call gives, waiting as long as the server asks for where it names a time.

    Raises:
        StoreUnavailableError: it names none, or a long one, or goes on asking.
    """
    for _ in range(_MOST_WAITS):
        try:
            return call()
        except BusyError as error:
            if error.after_s is None or error.after_s > _LONGEST_WAIT_S:
                raise
            sleep(error.after_s)
    return call()
