"""Texts that come out of a trace, made harmless where they enter: short, plain, without keys.

A script, and whatever it imports, decides what its notes, errors and output say and how long they
are. Here alone that is dealt with; what is shown later is shown as it is.
"""

from __future__ import annotations

import ctypes
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sojourn.localpath import read_file
from sojourn.printable import printable, shortened
from sojourn.redact import hide_keys
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sojourn.forecast.trace import Trace

_LONGEST_LINE = 300
# Letters of a line that are looked at: looking for keys in a line takes more than its length.
_LOOKED_AT = 4 * _LONGEST_LINE
_LONGEST_MESSAGE = 1500
_MOST_NOTES = 100
_MOST_LINES = 10_000
_TAIL_LINES = 15
_TAIL_BYTES = 1 << 16
# What a script prints is kept up to this, and its end thereafter.
MOST_OUTPUT_BYTES = 16 * MIB
_KEPT_OUTPUT_BYTES = 1 * MIB
# stat(2): what st_blocks counts, on any file system.
_BLOCK_BYTES = 512
# Linux, include/uapi/linux/falloc.h.
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How texts are made harmless. `secrets` are hidden wherever they occur."""

    secrets: tuple[str, ...] = ()

    def message(self, text: str) -> str:
        """Return an error's text, of a paragraph at the most."""
        return shortened(self._plain(shortened(text, _LONGEST_MESSAGE)), _LONGEST_MESSAGE)

    def lines(self, text: str) -> list[str]:
        """Return the lines of what was printed."""
        # A progress bar writes over its line; what it showed last counts.
        printed = text.removesuffix("\n").split("\n")[-_MOST_LINES:]
        return [self._line(line.rstrip("\r").rpartition("\r")[2]) for line in printed]

    def notes(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return notes, a line each and not too many."""
        given = list(texts)
        notes = [self._line(" ".join(text.split())) for text in given[:_MOST_NOTES]]
        left_out = len(given) - len(notes)
        more = [f"{left_out} more things of this kind"] if left_out else []
        return tuple(dict.fromkeys([*notes, *more]))

    def trace(self, trace: Trace) -> Trace:
        """Return the trace with harmless assumptions and reasons."""
        reason = self._line(" ".join(trace.schedule.reason.split()))
        return replace(
            trace,
            assumptions=self.notes(trace.assumptions),
            schedule=replace(trace.schedule, reason=reason),
        )

    def _line(self, text: str) -> str:
        return shortened(self._plain(shortened(text, _LOOKED_AT)), _LONGEST_LINE)

    def _plain(self, text: str) -> str:
        return printable(hide_keys(text, self.secrets))


NO_SECRETS = Words()


def printed(path: Path, words: Words) -> str:
    """Return what a script printed, as far as it was kept; "" if there is nothing to be read."""
    return "\n".join(words.lines(_text(path, MOST_OUTPUT_BYTES)))


def printed_last(path: Path, words: Words) -> list[str]:
    """Return the last lines that a script printed."""
    return last_lines(_text(path, _TAIL_BYTES), words)


def last_lines(text: str, words: Words) -> list[str]:
    """Return the last lines of a text."""
    return words.lines(text[-_TAIL_BYTES:])[-_TAIL_LINES:] if text.strip() else []


def cut_output(path: Path) -> None:
    """Drop the beginning of what a script printed, should it be more than anybody reads.

    The script may be writing meanwhile, so that the file stays as long as it is, and its beginning
    becomes a hole. Where the file system has none, a line that comes at that very moment is lost.
    """
    # Opened once, as the script may put a link to a file of the user's in its place meanwhile.
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError), os.fdopen(os.open(path, flags), "r+b", buffering=0) as file:
        found = os.fstat(file.fileno())
        stored_bytes = found.st_blocks * _BLOCK_BYTES
        if not stat.S_ISREG(found.st_mode) or stored_bytes <= MOST_OUTPUT_BYTES:
            return
        before_bytes = found.st_size - _KEPT_OUTPUT_BYTES
        if before_bytes > 0 and not _make_hole(file.fileno(), before_bytes):
            kept = os.pread(file.fileno(), _KEPT_OUTPUT_BYTES, before_bytes)
            file.truncate(0)
            file.write(kept)


def _make_hole(descriptor: int, size_bytes: int) -> bool:
    """Give back the space of a file's first bytes; return whether that can be done."""
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, 0, size_bytes) == 0


def _text(path: Path, last_bytes: int) -> str:
    try:
        data = read_file(path, last_bytes=last_bytes, follow_links=False)
    except OSError:
        return ""
    # Of a beginning that was dropped, zeros are read.
    return data.lstrip(b"\0").decode("utf-8", "replace")
