"""`sojourn runs`: runs so far."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@common_options
def command(output: Output) -> None:
    """List the runs of this machine, oldest first: state, status, when, how long.

    Costs nothing: reads the journals. A run is "lost" when whoever looked after it is gone without
    a word, say because the machine went down.

    \b
    Example:
      sojourn runs
      sojourn runs --json

    \b
    Exit status:
      0  done
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.render.runs import runs_document, runs_table
    from sojourn.runs.history import default_root, list_runs

    summaries = list_runs(default_root())
    output.result(runs_document(summaries), lambda: runs_table(summaries))
