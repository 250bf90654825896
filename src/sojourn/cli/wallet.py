"""`sojourn wallet`: what there is to spend."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.option(
    "--set",
    "set_units",
    type=float,
    metavar="UNITS",
    help="Note that this is the balance now, as your account's panel shows it.",
)
@common_options
def command(output: Output, *, set_units: float | None) -> None:
    """Show what there is to spend: compute units, rates, weekly quotas, and what past runs used.

    The balance is what was noted last, with its day; a plan reckons with it unless --wallet says
    otherwise. A rate observed on your own runs goes before the shipped one. What is older than
    180 days bears a star.

    Costs nothing: reads files of this machine alone.

    \b
    Example:
      sojourn wallet
      sojourn wallet --set 87.5

    \b
    Exit status:
      0  shown
      2  that is no balance, or it cannot be written down
      3  your catalog.toml does not load
      6  the ledger is damaged
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn import api
    from sojourn.render.wallet import wallet_document, wallet_text

    found = api.wallet(set_units=set_units)
    output.result(wallet_document(found), lambda: wallet_text(found, detailed=output.verbose))
