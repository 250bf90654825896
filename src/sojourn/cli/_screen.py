"""Where a result is shown: streams that cannot write every letter, texts that hold control codes.

Nothing here decides what is shown.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from typing import TYPE_CHECKING, Any

from sojourn.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

_HANDLER = "sojourn.nearest"
# One letter for one, so that columns stay below each other.
_NEAREST = {"█": "#", "▒": "=", "·": ".", "…": "~", "→": ">"}
# JSON escapes what is below U+0020 by itself.
_CONTROL = re.compile("[\x7f-\x9f]")


def write_what_can_be_written(*streams: TextIO | None) -> None:
    """Let streams show the nearest that they can write for a letter that they cannot.

    Where a terminal is not UTF-8 (`LC_ALL=C`, `PYTHONIOENCODING=latin-1`), a bar would end the
    command in the middle of its result.
    """
    codecs.register_error(_HANDLER, _nearest)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_NEAREST.get(letter) or _escaped(letter) for letter in letters), error.end


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")


def json_text(document: dict[str, Any], *, encoding: str | None) -> str:
    """Return the document as JSON that a stream of that encoding can write."""
    is_whole = (encoding or "utf-8").lower().replace("-", "").startswith("utf")
    text = json.dumps(document, ensure_ascii=not is_whole, indent=1, allow_nan=False)
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # A name that is no UTF-8 comes as lone surrogates; as \\udcff they are valid JSON.
    return text.encode("utf-8", "backslashreplace").decode()


class Harmless:
    """Shows something without the control codes that are in its texts; its own colours stay.

    Args:
        shown: What is shown.
        clean: Takes out of a text what must not be seen.
    """

    def __init__(self, shown: RenderableType, clean: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._clean = clean

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in self._segments(console, options):
            yield _harmless(segment, self._clean)

    def _segments(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        return console.render(self._shown, options)


def _harmless(segment: Segment, clean: Callable[[str], str]) -> Segment:
    return segment if segment.control else segment._replace(text=printable(clean(segment.text)))
