"""Links stay inside of the folder: the one rule, for what is pushed and for what is pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# As many as Linux follows before it gives up (path_resolution(7)).
_MOST_FOLLOWED = 40


def leads_outside(path: str, links: Mapping[str, str]) -> bool:
    """Tell whether following the link at `path` leaves the folder.

    Links on the way are followed too: with `a -> .`, `b -> a/..` is outside though it looks inside.
    A loop leads nowhere, so not outside.

    Args:
        path: A link, relative to the folder.
        links: Every link in the folder, and its target.
    """
    walked: list[str] = []
    ahead = path.split("/")[::-1]
    followed = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not walked:
                return True
            walked.pop()
            continue
        walked.append(part)
        target = links.get("/".join(walked))
        if target is None:
            continue
        followed += 1
        if target.startswith("/"):
            return True
        if followed > _MOST_FOLLOWED:
            return False
        walked.pop()
        ahead.extend(target.split("/")[::-1])
    return False
