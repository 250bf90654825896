"""Which paths a glob names.

`*` and `?` stay within one path component, `**` crosses them, `[abc]` is one of these. A glob
without any of them that names a folder takes all that is in it, and so does one that ends in a
slash. Letters are the same however they are composed: macOS writes 가 as two.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from sojourn.dataset.names import composed
from sojourn.errors import UsageError

_WILD = re.compile(r"[*?\[]")
_TOKEN = re.compile(
    # `**/` is more than stars and a slash only where a component begins.
    r"(?P<deep>(?:(?<=/)|^)(?:\*{2,}/)+)|(?P<all>\*{2,})|(?P<some>\*)|(?P<one>\?)"
    r"|(?P<set>\[!?\]?[^\]]*\])"
)
_NEAR = 3
# Comparing with every name of a huge set would take longer than the reader waits.
_MOST_COMPARED = 20_000


def matches(path: str, glob: str) -> bool:
    """Tell whether the glob names the path, or the folder that it is in."""
    return _compiled(glob).fullmatch(composed(path)) is not None


def select(paths: list[str], globs: tuple[str, ...]) -> list[str]:
    """Return the paths that any of the globs names, in order; all if there are no globs.

    Raises:
        UsageError: one of the globs names nothing.
    """
    if not globs:
        return paths
    chosen: set[str] = set()
    for glob in globs:
        named = [path for path in paths if matches(path, glob)]
        if not named:
            raise UsageError(f"{glob!r} names nothing in this data set.", remedy=near(glob, paths))
        chosen.update(named)
    return [path for path in paths if path in chosen]


def near(name: str, paths: list[str], *, listing: str = "`sojourn ls` or `Dataset.files()`") -> str:
    """Return a remedy that says which names are near to one that is not there.

    Args:
        name: The one that is not there.
        paths: Those that are.
        listing: What shows them.
    """
    by_folded = {composed(path).casefold(): path for path in paths[:_MOST_COMPARED]}
    found = difflib.get_close_matches(composed(name).casefold(), by_folded, n=_NEAR)
    if found:
        return f"Near names: {', '.join(by_folded[folded] for folded in found)}."
    return f"See the names with {listing}."


@lru_cache(maxsize=256)
def _compiled(glob: str) -> re.Pattern[str]:
    """Return a pattern for the paths that a glob names, which many stars do not make slow.

    What stands between two stars is looked for once, not anew at every place: where it is found
    first, the rest has the most choice. That holds for `*`, and for `**` with all that stands
    before the next `**`; so these are atomic groups.
    """
    glob = composed(glob.removeprefix("./"))
    takes_folders = glob.endswith("/") or not _WILD.search(glob)
    glob = glob.rstrip("/")
    # Each run but the first begins with `**`, and each piece in a run but the first with `*`.
    runs: list[list[str]] = [[""]]
    at = 0
    for token in _TOKEN.finditer(glob):
        runs[-1][-1] += re.escape(glob[at : token.start()])
        if token["deep"] or token["all"]:
            runs.append([_as_regex(token)])
        elif token["some"]:
            runs[-1].append(_as_regex(token))
        else:
            runs[-1][-1] += _as_regex(token)
        at = token.end()
    runs[-1][-1] += re.escape(glob[at:])
    patterns = [run[0] + _found_once(run[1:]) for run in runs]
    pattern = _found_once(patterns)
    try:
        return re.compile(pattern + ("(?:/.*)?" if takes_folders else ""), re.DOTALL)
    except re.error as error:
        raise UsageError(
            f"{glob!r} is no glob: {error}.", remedy="Write a set as [abc] or [a-z]."
        ) from error


def _found_once(pieces: list[str]) -> str:
    """Return a pattern of pieces, of which all but the last are not looked for again."""
    return "".join(f"(?>{piece})" for piece in pieces[:-1]) + "".join(pieces[-1:])


def _as_regex(token: re.Match[str]) -> str:
    if token["set"]:
        inside = token["set"][1:-1]
        negated = inside.startswith("!")
        characters = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside.removeprefix("!"))
        return f"(?!/)[{'^' if negated else ''}{characters}]"
    if token["deep"]:
        return "(?:.*?/)??"
    return {"all": ".*?", "some": "[^/]*?", "one": "[^/]"}[str(token.lastgroup)]
