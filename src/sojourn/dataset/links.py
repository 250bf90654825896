"""Where links lead. They stay inside of the folder, when pushed and when pulled."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
