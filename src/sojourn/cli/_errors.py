"""From exception to exit status: the one place that catches everything, so that nothing is silent.

Exit status: 0 done · 1 a bug, with traceback · 2 to 8 as in `sojourn.errors` · 130 interrupted.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from sojourn.cli._screen import write_what_can_be_written
from sojourn.cli._secrets import secrets_here, without_secrets
from sojourn.errors import SojournError, UsageError
from sojourn.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_NAME = "sojourn"
_COMPLETE = "_SOJOURN_COMPLETE"  # set by the shell when it asks click for completions
_INTERRUPTED = 130
# Verbs of which what is done stays, and is not done again.
_GOING_ON = {"push", "pull"}
_BUG = 1
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}


def run_guarded(root: click.Command, args: Sequence[str] | None) -> int:
    """Run the command line and return its exit status; every error becomes one paragraph."""
    arguments = list(sys.argv[1:] if args is None else args)
    as_json = _wants_json(arguments)
    verb = "".join(arguments[:1])  # click takes them out of the list
    write_what_can_be_written(sys.stdout)
    try:
        result = _invoke(root, arguments)
    except (click.exceptions.Abort, KeyboardInterrupt, EOFError):
        return _report_interruption(verb, as_json=as_json)
    except (BrokenPipeError, SystemExit) as ending:
        return _end_of_output(ending)
    except (click.ClickException, SojournError) as error:
        return _refuse(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last line of defence shows the bug whole
        if (refusal := _limit_of_machine(error)) is not None:
            return _report(refusal, as_json=as_json)
        return _report_bug(error, as_json=as_json)
    finally:
        _flush(sys.stdout)
    return result if isinstance(result, int) else 0


def _refuse(error: click.ClickException | SojournError, *, as_json: bool) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # A bare `sojourn` asks for help, which is no error to be reported as one.
        error.show()
        return UsageError.exit_code
    return _report(_as_ours(error), as_json=as_json)


def _invoke(root: click.Command, arguments: list[str]) -> object:
    if _COMPLETE in os.environ:
        return root.main(arguments, prog_name=_NAME)
    # Not root.main: that makes a bare exit with status 1 of a closed pipe.
    try:
        with root.make_context(_NAME, arguments) as context:
            return root.invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code


def _end_of_output(ending: BrokenPipeError | SystemExit) -> int:
    """End quietly where the reader of a pipe (head, less) has seen enough.

    Rich makes a SystemExit of a closed pipe.
    """
    if isinstance(ending, SystemExit) and not isinstance(ending.__context__, BrokenPipeError):
        raise ending
    silence(sys.stdout)
    return 0


def _limit_of_machine(error: Exception) -> UsageError | None:
    """Return what to say where the machine, not sojourn, has come to an end; None elsewhere."""
    if not isinstance(error, OSError):
        return None
    if error.errno in _NO_ROOM:
        return _no_room(error)
    if error.errno in _TOO_MANY_FILES:
        return UsageError(
            f"{error.filename or 'A file'} could not be opened: {error.strerror}.",
            remedy="Allow more open files (`ulimit -n 1024`), and try again.",
        )
    return None


def _no_room(error: OSError) -> UsageError:
    return UsageError(
        f"{error.filename or 'What was to be printed'} could not be written: {error.strerror}.",
        remedy="Make room, or let it go elsewhere.",
    )


def _as_ours(error: click.ClickException | SojournError) -> SojournError:
    if isinstance(error, SojournError):
        return error
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "sojourn"
    return UsageError(error.format_message(), remedy=f"See `{command} --help`.")


def _wants_json(arguments: list[str]) -> bool:
    before_job_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before_job_arguments


def error_document(error: SojournError) -> dict[str, Any]:
    """Return the error as the contract's JSON document."""
    return _document(error.code, error.message, error.remedy, retryable=error.retryable)


def silence(stream: TextIO) -> None:
    """Let go of what is still to be written to a stream that takes no more, and of all to come."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _flush(stream: TextIO | None) -> None:
    # What cannot be written any more would be told by the interpreter as it ends, with status 120.
    if stream is None:  # as it is where the shell has closed it
        return
    try:
        stream.flush()
    except OSError:
        silence(stream)


def _document(code: str, message: str, remedy: str, *, retryable: bool) -> dict[str, Any]:
    return {
        "error": {"code": code, "message": message, "remedy": remedy, "retryable": retryable},
    }


def _report(error: SojournError, *, as_json: bool) -> int:
    _say(f"sojourn: {error}", sys.stderr)
    if as_json:
        _say(json.dumps(error_document(error)), sys.stdout)
    return error.exit_code


def _report_interruption(verb: str, *, as_json: bool) -> int:
    again = " Run it again: it goes on from there." if verb in _GOING_ON else ""
    _say(f"Interrupted.{again}", sys.stderr)
    if as_json:
        document = _document("interrupted", "Interrupted.", "Start it again.", retryable=True)
        _say(json.dumps(document), sys.stdout)
    return _INTERRUPTED


def _report_bug(error: Exception, *, as_json: bool) -> int:
    remedy = "This is a bug in sojourn. Please report it with the lines above."
    _say("".join(traceback.format_exception(error)) + remedy, sys.stderr)
    if as_json:
        message = f"{type(error).__name__}: {error}"
        remedy = "This is a bug in sojourn. Please report it with the lines on stderr."
        _say(json.dumps(_document("bug", message, remedy, retryable=False)), sys.stdout)
    return _BUG


def _say(text: str, stream: TextIO | None) -> None:
    """Print what must not fail: what the stream cannot write, or would obey, is escaped."""
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    text = printable(without_secrets(secrets_here())(text))
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except OSError:
        # Nobody listens; the exit status still tells.
        with suppress(OSError):
            silence(stream)
