"""`sojourn runtimes`: what can be rented."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.option(
    "--subscription",
    "subscription_id",
    metavar="S",
    help="Only what S gets: free, payg, pro, pro+, kaggle, or one of your own.",
)
@click.option("--all", "with_retired", is_flag=True, help="Retired runtime types as well.")
@common_options
def command(output: Output, *, subscription_id: str | None, with_retired: bool) -> None:
    """Show what can be rented: accelerator, memory, disk, rate, session limit, who gets it.

    Each figure has a source and a date, which -v and --json show. What is not known says so.
    Figures of your own, in catalog.toml, go before the shipped ones.

    Costs nothing: reads files of this machine alone.

    \b
    Example:
      sojourn runtimes
      sojourn runtimes --subscription free
      sojourn runtimes --all -v

    \b
    Exit status:
      0  shown
      2  there is no such subscription
      3  your catalog.toml does not load
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.catalog import (
        default_overlay_path,
        get_subscription,
        load_catalog,
        runtime_types_of,
    )
    from sojourn.render.runtimes import RuntimesView, runtimes_document, runtimes_text

    overlay = default_overlay_path()
    catalog = load_catalog(overlay)
    subscription = (
        get_subscription(catalog, subscription_id) if subscription_id is not None else None
    )
    view = RuntimesView(
        catalog=catalog,
        rows=runtime_types_of(catalog, subscription_id, with_retired=with_retired),
        subscription=subscription,
        today=datetime.now(UTC).date(),
        overlay=overlay,
    )
    output.result(runtimes_document(view), lambda: runtimes_text(view, detailed=output.verbose))
