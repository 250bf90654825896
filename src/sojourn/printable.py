r"""A text for a terminal or a sheet of paper: nothing in it moves the cursor, rings or recolours.

What a script prints, a file is called or an exception says may hold any character. It is shown as
it would be written in Python: `\x1b[31m`.
"""

from __future__ import annotations

import re

# What is left of Unicode's category Cc, and the marks that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CUT = "…"


def printable(text: str) -> str:
    """Return the text with its control characters written out; ends of lines and tabs stay."""
    return _CONTROL.sub(_escaped, text.replace("\r\n", "\n"))


def shortened(text: str, longest: int) -> str:
    """Return at most so many letters of the text, and a mark if there were more."""
    return text if len(text) <= longest else f"{text[:longest]}{_CUT}"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
