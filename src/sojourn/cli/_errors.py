"""From exception to exit status: the one place that catches everything, so that nothing is silent.

Exit status: 0 done · 1 a bug, with traceback · 2 to 8 as in `sojourn.errors` · 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from sojourn.errors import SojournError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_BUG = 1


def run_guarded(root: click.Command, args: Sequence[str] | None) -> int:
    """Run the command line and return its exit status; every error becomes one paragraph."""
    arguments = list(sys.argv[1:] if args is None else args)
    try:
        result = root.main(arguments, prog_name="sojourn", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough; nothing is left to write to.
        sys.stderr.close()
        return 0
    except (click.ClickException, SojournError) as error:
        return _report(_as_ours(error), as_json=_wants_json(arguments))
    except Exception:  # noqa: BLE001 - the last line of defence shows the bug whole
        traceback.print_exc()
        click.echo("This is a bug in sojourn. Please report it with the lines above.", err=True)
        return _BUG
    return result if isinstance(result, int) else 0


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
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "remedy": error.remedy,
            "retryable": error.retryable,
        }
    }


def _report(error: SojournError, *, as_json: bool) -> int:
    click.echo(f"sojourn: {error}", err=True)
    if as_json:
        click.echo(json.dumps(error_document(error), ensure_ascii=False))
    return error.exit_code
