"""Where links lead. They stay inside of the folder, when pushed and when pulled."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# As many as Linux follows before it gives up (path_resolution(7)).
_MOST_FOLLOWED = 40


class _Astray(Enum):
    OUTSIDE = "outside"
    LOOP = "loop"


def leads_outside(path: str, links: Mapping[str, str]) -> bool:
    """Tell whether following the link at `path` leaves the folder.

    Links on the way are followed too: with `a -> .`, `b -> a/..` is outside though it looks inside.
    A loop leads nowhere, so not outside.

    Args:
        path: A link, relative to the folder.
        links: Every link in the folder, and its target.
    """
    return _walk(path, links) is _Astray.OUTSIDE


def destination(path: str, links: Mapping[str, str]) -> str | None:
    """Return where a path ends when all links on the way are followed.

    What is there, if anything, is not asked. The folder itself is "".

    Args:
        path: Relative to the folder.
        links: Every link in the folder, and its target.

    Returns:
        A path without links in it; None if it leads out of the folder, or in a circle.
    """
    end = _walk(path, links)
    return end if isinstance(end, str) else None


def led_to(chosen: Iterable[str], links: Mapping[str, str], paths: Iterable[str]) -> set[str]:
    """Return what some of a folder's paths need beside them, so that no link among them dangles.

    Args:
        chosen: The paths.
        links: Every link in the folder, and its target.
        paths: All there is in the folder.
    """
    ordered = sorted(paths)
    known = set(chosen)
    found: set[str] = set()
    left = [path for path in known if path in links]
    while left:
        link = left.pop()
        passed = _links_on(posixpath.join(posixpath.dirname(link), links[link]), links)
        end = destination(link, links)
        new = {*passed, *([] if end is None else _below(end, ordered))} - known - found
        found |= new
        left += [path for path in new if path in links]
    return found


def _links_on(way: str, links: Mapping[str, str]) -> list[str]:
    parts = posixpath.normpath(way).split("/")
    starts = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return [start for start in starts if start in links]


def _below(path: str, ordered: Sequence[str]) -> Sequence[str]:
    """Return a path, if it is there, and all that is in it."""
    if not path:
        return ordered
    at = bisect_left(ordered, path)
    itself = ordered[at : at + 1] if ordered[at : at + 1] == [path] else []
    # "0" comes right after "/".
    inside = ordered[bisect_left(ordered, f"{path}/") : bisect_left(ordered, f"{path}0")]
    return [*itself, *inside]


def _walk(path: str, links: Mapping[str, str]) -> str | _Astray:
    walked: list[str] = []
    ahead = path.split("/")[::-1]
    followed = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not walked:
                return _Astray.OUTSIDE
            walked.pop()
            continue
        walked.append(part)
        target = links.get("/".join(walked))
        if target is None:
            continue
        followed += 1
        if target.startswith("/"):
            return _Astray.OUTSIDE
        if followed > _MOST_FOLLOWED:
            return _Astray.LOOP
        walked.pop()
        ahead.extend(target.split("/")[::-1])
    return "/".join(walked)
