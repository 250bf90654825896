"""Why a script failed before it was traced, in a sentence, and what its user can do about it."""

from __future__ import annotations

import errno
import socket
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_TEXT = 300
# What `sojourn.script.quiet` begins its refusals with.
_OFFLINE = "offline while tracing"


def explain(error: BaseException, *, line: str, target: str) -> tuple[str, str]:
    """Say what happened at a line of the script `target`, and the remedy."""
    message = f"{line} raised {brief(error).removesuffix('.')}."
    if _asked_for_input(error):
        return f"{line} asks for input, and nobody is there to answer while it is planned.", (
            f"Give the value as an argument (sojourn plan {target} -- ARGS), or write it into the "
            "script while planning."
        )
    if (refusal := _offline(error)) is not None:
        return f"{line} needs the network, and scripts are traced offline: {brief(refusal)}.", (
            "Fetch it before, and put it beside the script or say where it is "
            "(--path REMOTE=LOCAL); or leave the line out while planning."
        )
    if isinstance(error, FileNotFoundError):
        return message, (
            f"Say where that folder is on this machine: sojourn plan {target} --path REMOTE=LOCAL."
        )
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return message, f"Install it beside sojourn: pip install {package}."
    return message, (
        f"If it is not the script's own error, run `sojourn plan {target} -v` to see all that it "
        "printed, or move the line out of the way while planning."
    )


def brief(error: BaseException) -> str:
    """Return an error's kind and text in one line that is not too long."""
    text = " ".join(str(error).encode("utf-8", "replace").decode().split())
    ending = "…" if len(text) > _LONGEST_TEXT else ""
    return f"{type(error).__name__}: {text[:_LONGEST_TEXT]}{ending}"


def _asked_for_input(error: BaseException) -> bool:
    """Whether `input()` or `getpass()` found nobody; other readers raise EOFError too."""
    if not isinstance(error, EOFError):
        return False
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return str(error) == "EOF when reading a line" or innermost.filename.endswith("getpass.py")


def _offline(error: BaseException) -> OSError | None:
    return next(
        (
            one
            for one in _chain(error)
            if isinstance(one, OSError)
            and one.errno in {errno.ENETUNREACH, socket.EAI_AGAIN}
            and _OFFLINE in str(one)
        ),
        None,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        # urllib keeps what it caught under a name of its own.
        reason = getattr(following, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        following = following.__cause__ or following.__context__ or inner
