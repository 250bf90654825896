"""Ctrl-C, SIGTERM and SIGHUP while a run is looked after: each ends it in an orderly way, once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, the first of these signals raises KeyboardInterrupt; `hold` lets none through.

    Only the main thread can be interrupted so; in any other, nothing changes.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, object] = {}
        self._is_held = False
        self._is_deferred = False
        self._has_waited = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # Under nohup, say, a hang-up is meant to be ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait until the block has ended, so that it is done whole or not at all."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._has_waited:
            self._has_waited = False
            self._interrupt()

    def hold(self) -> None:
        """From now on let signals pass: what is being cleaned up must be finished."""
        self._is_held = True

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_deferred:
            self._has_waited = True
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        if not self._is_held:
            self._is_held = True
            raise KeyboardInterrupt
