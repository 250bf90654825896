"""`sojourn logs`: a run's output."""

from __future__ import annotations

import sys
import time

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@common_options
def command(output: Output, *, run: str, follow: bool) -> None:
    """Print what the job of RUN has printed; RUN is an id, its beginning, or `last`.

    Costs nothing: reads a file.

    \b
    Example:
      sojourn logs last
      sojourn logs 20261124-1337 -f

    \b
    Exit status:
      0    done
      2    there is no such run, or more than one
      130  interrupted
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.errors import UsageError
    from sojourn.render.runs import log_document
    from sojourn.runs.history import default_root, find_run, follow_log, read_log

    folder = find_run(default_root(), run)
    if output.as_json:
        if follow:
            raise UsageError(
                "--json gives one document, -f goes on.", remedy="Leave one of them away."
            )
        text = read_log(folder).decode(errors="replace")
        output.result(log_document(folder.id, text), lambda: text)
        return
    if output.quiet:
        return
    for part in follow_log(folder, wait=time.sleep) if follow else [read_log(folder)]:
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
