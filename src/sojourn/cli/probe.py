"""`sojourn probe`: a few real steps on the rented machine, beside the forecast."""

from __future__ import annotations

from pathlib import Path

import click

from sojourn.cli._arguments import TargetCommand
from sojourn.cli._options import Output, common_options
from sojourn.errors import NothingFitsError, UsageError


@click.command(cls=TargetCommand)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("arguments", metavar="[-- ARGS...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="REMOTE=LOCAL",
    help="What the script opens under REMOTE is found under LOCAL; repeatable.",
)
@click.option(
    "--timeout",
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long the steps may take, with start: 90s, 10m.",
)
@click.option(
    "--any-torch", is_flag=True, help="Forecast with a torch that tracing is not tested with."
)
@common_options
def command(
    output: Output,
    *,
    target: Path,
    arguments: tuple[str, ...],
    paths: tuple[str, ...],
    timeout: str,
    any_torch: bool,
) -> int:
    """Take 20 real optimizer steps of TARGET, a .py or .ipynb as it is, on this machine's GPU.

    To be run on the rented machine. What the steps take is shown beside the forecast for the same
    job on the same accelerator, and the difference is kept for later plans there.

    TARGET really runs, with ARGS and with the network, in a scratch copy of its folder, and is
    ended after its steps. What its Python code writes is thrown away; what other programs that it
    starts do, is not.

    Costs what the machine costs while it runs: the script's start and 20 steps, mostly a minute
    or two.

    \b
    Example:
      sojourn probe train.py
      sojourn probe train.py --path /content/data=./data -- --epochs 3

    \b
    Exit status:
      0  measured
      2  bad usage, no such file, or torch is not installed, or not one that is tested
      3  your catalog.toml does not load
      4  there is no GPU here, or the script failed, or took no step
      8  measured: the device's memory ran out
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn import api
    from sojourn.render.probe import probe_document, probe_text
    from sojourn.units import parse_duration

    for rule in paths:
        if "=" not in rule:
            raise UsageError(f"--path {rule} says no LOCAL.", remedy="Write --path REMOTE=LOCAL.")
    report = api.probe(
        target,
        *arguments,
        paths=dict(rule.split("=", 1) for rule in paths),
        timeout_s=parse_duration(timeout),
        any_torch=any_torch,
        echo=output.verbose,
        progress=output.progress(),
    )
    document = probe_document(report)
    if not report.measured.fits:
        error = NothingFitsError(
            f"{target.name} ran out of the memory of {report.measured.device}.",
            remedy="See the ways to fit: `sojourn plan` names them.",
        )
        return output.failed_result(document, lambda: probe_text(report), error)
    output.result(document, lambda: probe_text(report))
    return 0
