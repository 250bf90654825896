"""`sojourn plan`: will it fit, and what does it cost, before anything is rented."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sojourn.cli._arguments import TargetCommand
from sojourn.cli._options import Output, common_options
from sojourn.errors import NothingFitsError, UsageError

if TYPE_CHECKING:
    from sojourn.planning.plan import Plan


@click.command(cls=TargetCommand)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--on", multiple=True, metavar="RT", help="Look at this runtime type; repeatable.")
@click.option(
    "--subscription", metavar="S", help="Only what S gets: free, payg, pro, pro+, kaggle."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1, max=1 << 20),
    help="Instead of what the script gives its DataLoaders, in samples.",
)
@click.option(
    "--step",
    metavar="FUNCTION",
    help="Import TARGET and call this function in it, which takes one training step.",
)
@click.option(
    "--batch",
    metavar="FUNCTION",
    help="The function in TARGET that makes a batch for --step, given the batch size.",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="REMOTE=LOCAL",
    help="What the script opens under REMOTE is found under LOCAL; repeatable.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan as a page."
)
@click.option(
    "--timeout", default="5m", show_default=True, help="How long one pass of tracing may take."
)
@click.option(
    "--any-torch", is_flag=True, help="Go on with a torch that tracing is not tested with."
)
@common_options
def command(
    output: Output,
    *,
    target: Path,
    arguments: tuple[str, ...],
    on: tuple[str, ...],
    subscription: str | None,
    batch_size: int | None,
    step: str | None,
    batch: str | None,
    paths: tuple[str, ...],
    html: Path | None,
    timeout: str,
    any_torch: bool,
) -> int:
    """Say on which runtime types TARGET, a .py or .ipynb as it is, fits; ARGS go to the script.

    The script runs here, offline, in a scratch copy of its folder, with a CUDA device that is not
    there, until its optimizers have stepped twice. /content is taken to be the script's folder.

    Costs nothing: no runtime is started. Takes seconds to a minute and as much host memory as the
    script itself.

    \b
    Example:
      sojourn plan train.py
      sojourn plan baseline.ipynb --on colab/t4 --on colab/a100-40gb
      sojourn plan train.py --path /content/data=./data -- --epochs 3
      sojourn plan train.py --step train_step --batch make_batch --batch-size 64

    \b
    Exit status:
      0  planned; something fits, or may
      2  bad usage, no such file, or torch is not installed, or not one that is tested
      3  unknown runtime type, or your catalog.toml does not load
      4  the script could not be traced
      8  nothing fits
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn import api
    from sojourn.cli._page import check_page, write_page
    from sojourn.render.html import plan_page
    from sojourn.render.plan import plan_document, plan_text
    from sojourn.units import parse_duration

    for rule in paths:
        if "=" not in rule:
            raise UsageError(f"--path {rule} says no LOCAL.", remedy="Write --path REMOTE=LOCAL.")
    if html is not None:
        check_page(html)
    plan = api.plan(
        target,
        *arguments,
        on=on,
        subscription=subscription,
        batch_size=batch_size,
        step=step,
        batch=batch,
        paths=dict(rule.split("=", 1) for rule in paths),
        timeout_s=parse_duration(timeout),
        any_torch=any_torch,
        echo=output.verbose,
        progress=output.progress(),
    )
    if html is not None:
        write_page(html, plan_page(plan))
        output.progress().note(f"The plan as a page: {html}")
    document = plan_document(plan)
    if not plan.may_fit:
        error = NothingFitsError(plan.because, remedy=_remedy(plan))
        return output.failed_result(
            document, lambda: plan_text(plan, detailed=output.verbose), error
        )
    output.result(document, lambda: plan_text(plan, detailed=output.verbose))
    return 0


def _remedy(plan: Plan) -> str:
    """Name what can be done about a job that fits nowhere, and nothing that cannot."""
    has_ways = any(option.ways_to_fit for option in plan.options)
    steps = [
        *(["see the ways to fit above"] if has_ways else []),
        "plan with a smaller --batch-size"
        if plan.trace.is_batch_size_known_to_loader
        else "make its batches smaller, in the script or by its own arguments after `--`",
        "look at larger runtime types (`sojourn runtimes`)",
    ]
    text = ", or ".join([", ".join(steps[:-1]), steps[-1]])
    return f"{text[0].upper()}{text[1:]}."
