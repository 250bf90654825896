"""`sojourn ls`: what a data set holds."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("store")
@click.argument("glob", metavar="[GLOB]", required=False)
@click.option(
    "--revision",
    metavar="R",
    help="An earlier revision instead of the newest: its digits, or the first 4 or more of them.",
)
@common_options
def command(output: Output, *, store: str, glob: str | None, revision: str | None) -> None:
    """List the data set in STORE: sizes, and rows and columns of tables.

    In GLOB, * and ? stay within one folder, ** crosses folders, [abc] is one of these. A name
    without any of them takes the folder of that name with all that is in it.

    What was not pushed with sojourn is listed as well: loose files, or what is in zips.

    Costs one request: the manifest is read, no data; without one, a listing and each zip's
    directory.

    \b
    Example:
      sojourn ls s3://bucket/leaks
      sojourn ls s3://bucket/leaks 'test/**/*.csv' --json

    \b
    Exit status:
      0  listed
      2  GLOB or R names nothing
      5  STORE holds no data set, refused, or could not be reached
      6  the manifest is damaged, or written by a newer sojourn
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import open_dataset
    from sojourn.render.dataset import ls_document, ls_text

    dataset = open_dataset(store, revision=revision, progress=output.progress())
    members = dataset.members(glob)
    output.result(
        ls_document(dataset.manifest, members, url=dataset.url),
        lambda: ls_text(dataset.manifest, members, url=dataset.url),
    )
