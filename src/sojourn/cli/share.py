"""`sojourn share`: let somebody read a data set."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("store")
@click.option("--with", "user", required=True, metavar="USER", help="The user's name there.")
@common_options
def command(output: Output, *, store: str, user: str) -> None:
    """Let USER read the private data set in STORE, a kaggle://OWNER/DATASET of yours.

    All else on its page stays as it is. Where Kaggle refuses, the page is named on which its owner
    can do it by hand.

    Costs nothing. What is shared can be read, and copied, by USER from then on.

    \b
    Example:
      sojourn share kaggle://me/leaks-2024 --with my-colleague

    \b
    Exit status:
      0  USER may read it
      2  STORE is of a kind that is not shared from here
      5  STORE refused, or could not be reached
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import share
    from sojourn.render.dataset import share_document, share_text

    page = share(store, with_user=user)
    output.result(
        share_document(store=store, user=user, page=page),
        lambda: share_text(store=store, user=user, page=page),
    )
