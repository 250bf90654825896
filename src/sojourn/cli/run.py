"""`sojourn run`: run a job."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from sojourn.cli._arguments import TargetCommand
from sojourn.cli._options import Output, common_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


@click.command(cls=TargetCommand)
@click.argument("target")
@click.argument("args", metavar="[-- ARGS...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--on", "runtime", required=True, metavar="RUNTIME", help="Where: local.")
@click.option(
    "--data",
    "data",
    multiple=True,
    metavar="STORE=DIR",
    help="Pull STORE, which may be a folder here, to DIR before the job starts; DIR is relative to "
    "the job's folder, or as on Colab: /content/data.",
)
@click.option("--deadline", metavar="DURATION", help="Stop the job after this time: 90s, 10m, 6h.")
@click.option("--out", metavar="DIR", help="Copy what the job wrote to DIR, however it ends.")
@common_options
def command(
    output: Output,
    *,
    target: str,
    args: tuple[str, ...],
    runtime: str,
    data: tuple[str, ...],
    deadline: str | None,
    out: str | None,
) -> None:
    """Run TARGET, a .py or .ipynb, with ARGS; write `--` before them.

    The job gets a folder of its own with what lies beside TARGET; it is /content to the job. Its
    output is shown as it comes and kept, see `sojourn logs`. What it costs: nothing, on `local`.
    Ctrl-C stops the job.

    \b
    Example:
      sojourn run train.py --on local -- --epochs 1
      sojourn run train.ipynb --on local --data s3://bucket/leaks=/content/data --out results
      sojourn run train.ipynb --on local --data ./my_drive=/content/drive/MyDrive

    \b
    Exit status:
      0    the job ended with status 0
      2    TARGET or an option is wrong
      3    RUNTIME is none that jobs are run on
      4    TARGET is not valid Python
      5    a store did not give the data
      6    the data do not verify
      7    the job failed, or its deadline was reached
      130  interrupted
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn import api
    from sojourn.render.runs import run_document, run_text
    from sojourn.runs.request import parse_data
    from sojourn.units import parse_duration

    summary = api.run(
        target,
        *args,
        on=runtime,
        data=parse_data(data),
        deadline_s=None if deadline is None else parse_duration(deadline),
        out=out,
        on_output=_shown(output),
        progress=output.progress(),
    )
    output.result(run_document(summary), lambda: run_text(summary))


def _shown(output: Output) -> Callable[[bytes], None]:
    """Return where the job's output goes: stdout, but stderr where stdout is one document."""

    def show(text: bytes) -> None:
        if not output.quiet:
            _write(sys.stderr if output.as_json else sys.stdout, text)

    return show


def _write(stream: TextIO, text: bytes) -> None:
    try:
        stream.buffer.write(text)
        stream.buffer.flush()
    except OSError as error:
        # The reader (head, less) has seen enough, or the disk behind it is full; the job goes on to
        # its end, and so does its log.
        from sojourn.cli._errors import silence

        both = (sys.stdout, sys.stderr)
        same = [one for one in both if os.path.sameopenfile(one.fileno(), stream.fileno())]
        for one in same:
            silence(one)
        if not isinstance(error, BrokenPipeError):
            why = f"What the job prints cannot be shown any more: {error.strerror}."
            click.echo(f"sojourn: {why} It goes on, and so does its log.", err=True)
