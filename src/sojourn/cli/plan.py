"""`sojourn plan`: will it fit, how long does it take, what does it cost; before all renting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sojourn.cli._arguments import TargetCommand
from sojourn.cli._options import Output, common_options
from sojourn.errors import NothingFitsError, UsageError

if TYPE_CHECKING:
    from sojourn.planning.plan import Plan


@click.command(cls=TargetCommand)
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("arguments", metavar="[-- ARGS...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--on", multiple=True, metavar="RT", help="Look at this runtime type; repeatable.")
@click.option(
    "--subscription", metavar="S", help="Only what S gets: free, payg, pro, pro+, kaggle."
)
@click.option(
    "--wallet",
    type=float,
    metavar="UNITS",
    help="What there is to spend, in compute units; what `sojourn wallet` knows if left out.",
)
@click.option("--epochs", type=int, metavar="N", help="Instead of what the script's loop says.")
@click.option("--deadline", metavar="DURATION", help="The job shall end within so long: 6h.")
@click.option("--cheapest", is_flag=True, help="Rank by units, then by time; so if not given.")
@click.option("--fastest", is_flag=True, help="Rank by time first.")
@click.option(
    "--data-bytes", metavar="SIZE", help="What has to be brought there: 2GB; else that of --path."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1, max=1 << 20),
    metavar="N",
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
    "--save-trace",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the traces, .json or .json.gz, to plan from again without the script.",
)
@click.option(
    "--timeout",
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="How long one pass of tracing may take: 90s, 10m.",
)
@click.option(
    "--any-torch", is_flag=True, help="Go on with a torch that tracing is not tested with."
)
@common_options
def command(
    output: Output,
    *,
    paths: tuple[str, ...],
    html: Path | None,
    timeout: str,
    deadline: str | None,
    data_bytes: str | None,
    cheapest: bool,
    fastest: bool,
    **asked: Any,
) -> int:
    """Say where TARGET, a .py or .ipynb as it is, fits, how long it takes, and what it costs.

    The script runs here, offline, in a scratch copy of its folder, with a CUDA device that is not
    there, until its optimizers have stepped twice; ARGS go to it. /content is taken to be its
    folder. A TARGET that --save-trace wrote (.json, .json.gz) is planned without running anything.

    Costs nothing: no runtime is started. Takes seconds to a minute and as much host memory as the
    script itself.

    \b
    Example:
      sojourn plan train.py
      sojourn plan baseline.ipynb --on colab/t4 --on colab/a100-40gb
      sojourn plan train.py --subscription pro --wallet 40 --deadline 6h --fastest
      sojourn plan train.py --path /content/data=./data -- --epochs 3
      sojourn plan train.py --save-trace train.json.gz
      sojourn plan train.json.gz --wallet 10
      sojourn plan train.py --step train_step --batch make_batch --batch-size 64

    \b
    Exit status:
      0  planned; something fits, or may
      2  bad usage, no such file, or torch is not installed, or not one that is tested
      3  unknown runtime type, or your catalog.toml does not load
      4  the script could not be traced, or the saved traces not be read
      6  the ledger of your wallet is damaged
      8  nothing fits
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.cli._page import check_page
    from sojourn.planner import PlanRequest, plan_job
    from sojourn.units import parse_bytes, parse_duration

    if cheapest and fastest:
        raise UsageError(
            "--cheapest and --fastest exclude each other: only one can come first.",
            remedy="Leave one of them out.",
        )
    if html is not None:
        check_page(html)
    request = PlanRequest(
        paths=_parse_paths(paths),
        timeout_s=parse_duration(timeout),
        deadline_s=None if deadline is None else parse_duration(deadline),
        data_bytes=None if data_bytes is None else parse_bytes(data_bytes),
        echo=output.verbose,
        prefer="fastest" if fastest else "cheapest",
        **asked,
    )
    return _show(plan_job(request, output.progress()), output, html)


def _parse_paths(rules: tuple[str, ...]) -> dict[str, str]:
    for rule in rules:
        if "=" not in rule:
            raise UsageError(f"--path {rule} says no LOCAL.", remedy="Write --path REMOTE=LOCAL.")
    pairs = (rule.split("=", 1) for rule in rules)
    return dict(pairs)


def _show(plan: Plan, output: Output, html: Path | None) -> int:
    from sojourn.cli._page import write_page
    from sojourn.render.html import plan_page
    from sojourn.render.plan import plan_text
    from sojourn.render.plan_document import plan_document

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
    may_shrink = any(option.max_batch_size != 0 for option in plan.options)
    smaller = (
        "plan with a smaller --batch-size"
        if plan.trace.is_batch_size_known_to_loader
        else "make its batches smaller, in the script or by its own arguments after `--`"
    )
    steps = [
        *(["see the ways to fit above"] if has_ways else []),
        *([smaller] if may_shrink else []),
        "look at larger runtime types (`sojourn runtimes`)",
    ]
    text = ", or ".join(filter(None, [", ".join(steps[:-1]), steps[-1]]))
    return f"{text[0].upper()}{text[1:]}."
