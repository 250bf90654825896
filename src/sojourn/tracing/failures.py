"""Why a script failed before it was traced, in a sentence, and what its user can do about it.

Nothing here trusts the script's own objects: an exception's text is code of the script's.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import TraceError
from sojourn.printable import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST_TEXT = 300
# What works on shapes alone has errors of its own, each derived from the one of a real run.
_SHAPE_RULES = "torch._subclasses."
# What `sojourn.script.quiet` begins its refusals with.
_OFFLINE = "offline while tracing"
# With what a process ends that cannot write its answer; none that a script is likely to choose.
NO_ROOM_STATUS = 121

_EXIT = "Leave out what ends the process (os._exit, say) while planning."
_CRASH = (
    "A crash often means too little memory (SIGKILL), or a package that does not match torch "
    "(SIGSEGV)."
)
_OF_SIGNALS: dict[int, str] = {
    signal.SIGXCPU: "It took more processor time than the shell allows: see `ulimit -t`.",
    signal.SIGXFSZ: "It wrote a larger file than the shell allows: see `ulimit -f`.",
}
_OF_MACHINE = {
    errno.ENOSPC: "Make room on that disk, or set TMPDIR to a folder with more.",
    errno.EDQUOT: "Make room on that disk, or set TMPDIR to a folder with more.",
    errno.EFBIG: "It is larger than the shell allows a file to be: see `ulimit -f`.",
    errno.EMFILE: "Allow more open files (`ulimit -n 1024`), and try again.",
    errno.ENFILE: "The machine has too many open files: close something, and try again.",
}


def explain(
    error: BaseException, *, line: str, target: str, places: Sequence[str] = ()
) -> tuple[str, str]:
    """Say what happened at a line of the script `target`, and the remedy.

    Args:
        error: What the script ended with.
        line: Where, as its author knows it.
        target: The script's name.
        places: Folders in which a file may lie that was not found by a relative path.
    """
    said = brief(error)
    message = f"{line} raised {said if said.endswith(('.', '!')) else f'{said}.'}"
    command = plan_command(target)
    if (limit := _limit(error)) is not None:
        return message, limit
    if _asked_for_input(error):
        return f"{line} asks for input, and nobody is there to answer while it is planned.", (
            f"Give the value as an argument ({command} -- ARGS), or write it into the "
            "script while planning."
        )
    if (refusal := _offline(error)) is not None:
        return f"{line} needs the network, and scripts are traced offline: {brief(refusal)}.", (
            "Fetch it before, and put it beside the script or say where it is "
            "(--path REMOTE=LOCAL); or leave the line out while planning."
        )
    if isinstance(error, FileNotFoundError):
        return message, _found_elsewhere(error, command, places)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return message, f"Install it beside sojourn: pip install {package}."
    return message, (
        f"If it is not the script's own error, run `{command} -v` to see all that it "
        "printed, or move the line out of the way while planning."
    )


def _found_elsewhere(error: FileNotFoundError, command: str, places: Sequence[str]) -> str:
    """Say how the script finds what it did not."""
    missing = error.filename if isinstance(error.filename, str) else ""
    if missing and not missing.startswith("/"):
        there = _first_that_is_there(places, missing)
        known = "" if there is None else f"It is there as {own_words(there)}. "
        which = "an absolute one" if there is None else "that one"
        return (
            f"{known}Paths that do not begin with / are looked for from the script's own folder, "
            f"as where it is uploaded, and from no other: give {which}, in the script or as an "
            f"argument ({command} -- ARGS)."
        )
    return f"Say where that folder is on this machine: {command} --path {_remote(missing)}=LOCAL."


def _first_that_is_there(places: Sequence[str], relative: str) -> str | None:
    candidates = (os.path.normpath(Path(place) / relative) for place in places)
    # False, not an error, where it may not be looked at.
    return next((path for path in candidates if os.path.exists(path)), None)  # noqa: PTH110


def _remote(missing: str) -> str:
    """Return the folder to map for a file that is missing; REMOTE where that cannot be told."""
    folder, name = os.path.split(os.path.normpath(missing)) if missing else ("", "")
    if folder in {"", "/"}:
        return "REMOTE"
    return shlex.quote(own_words(folder if "." in name else missing))


def plan_command(target: str) -> str:
    """Return how the script is planned, as it is typed."""
    return f"sojourn plan {shlex.quote(f'./{target}' if target.startswith('-') else target)}"


def brief(error: BaseException) -> str:
    """Return an error's kind and text in one line that is not too long."""
    text, kind = own_words(error), _kind(error)
    return f"{kind}: {text}" if text else kind


def _kind(error: BaseException) -> str:
    """Return the name of an error as a card's user would see it."""
    kinds = type(error).__mro__
    return next(k.__name__ for k in kinds if not k.__module__.startswith(_SHAPE_RULES))


def own_words(thing: object) -> str:
    """Return what a script's object says of itself, in one line that is not too long."""
    try:
        said = str(thing)
    except BaseException as failure:  # noqa: BLE001 - whatever the script's own __str__ raises
        said = f"(its text cannot be made: {type(failure).__name__})"
    text = " ".join(said.encode("utf-8", "replace").decode().split())
    return shortened(text, _LONGEST_TEXT)


def explain_fault(error: BaseException, *, target: str) -> tuple[str, str]:
    """Say that tracing itself came to its end, around the script and not in a line of it."""
    return f"Tracing {target} failed, outside its own lines: {brief(error)}.", _limit(error) or (
        "If the script replaces what Python or torch are made of, leave that out while planning; "
        "if not, this is a bug in sojourn: please report it, with what "
        f"`{plan_command(target)} -v` prints."
    )


def explain_ending(status: int, *, target: str, tail: Sequence[str]) -> TraceError:
    """Say why there is no answer, from how the process ended and what it printed last."""
    if status == NO_ROOM_STATUS:
        return TraceError(
            f"What was traced of {target} could not be written: the disk with the machine's "
            "temporary folder is full, a limit of the shell's is reached, or the script has "
            "replaced what Python is made of.",
            remedy="Make room, or set TMPDIR to a folder with more; see `ulimit -f` as well.",
        )
    said = f" It printed last: {' / '.join(tail)}." if tail else ""
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    remedy = _OF_SIGNALS.get(-status, _CRASH) if status < 0 else _EXIT
    return TraceError(
        f"{target} ended its own process ({how}) before it was traced.{said}", remedy=remedy
    )


def _limit(error: BaseException) -> str | None:
    """Return the remedy where it is the machine, not the script, that has come to an end."""
    if isinstance(error, MemoryError):
        return "Give it more memory (`ulimit -v` shows a limit), or less to load while planning."
    return _OF_MACHINE.get(error.errno or 0) if isinstance(error, OSError) else None


def _asked_for_input(error: BaseException) -> bool:
    """Whether `input()` or `getpass()` found nobody; other readers raise EOFError too."""
    if not isinstance(error, EOFError):
        return False
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return own_words(error) == "EOF when reading a line" or innermost.filename.endswith(
        "getpass.py"
    )


def _offline(error: BaseException) -> OSError | None:
    return next(
        (
            one
            for one in _chain(error)
            if isinstance(one, OSError)
            and one.errno in {errno.ENETUNREACH, socket.EAI_AGAIN}
            and _OFFLINE in own_words(one)
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
