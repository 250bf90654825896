"""`sojourn pull`: get a data set back."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("store")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path())
@click.option("--include", multiple=True, metavar="GLOB", help="Only what GLOB names; repeatable.")
@click.option(
    "--revision",
    metavar="R",
    help="An earlier revision instead of the newest: its digits, or the first 4 or more of them.",
)
@common_options
def command(
    output: Output,
    *,
    store: str,
    folder: str | None,
    include: tuple[str, ...],
    revision: str | None,
) -> None:
    """Get the data set in STORE into DIR, byte for byte; only what is not there yet.

    STORE may also hold what was not pushed with sojourn, loose files or zips, or be the address of
    one zip; zips are unpacked on the way, and checked by their CRC-32.

    DIR is the last part of STORE's address if it is not given. Every file is checked against its
    digest before it gets its name. Files in DIR that the set does not hold are left alone; those of
    its names are replaced where they differ, and named if they were not what a pull had put there.
    If DIR is not given, a pull that would do that ends before anything is written.

    In GLOB, * and ? stay within one folder, ** crosses folders, [abc] is one of these. A name
    without any of them takes the folder of that name with all that is in it.

    Costs what the store asks for reading. Needs free space for the files, and some 300 MB of
    memory: eight parts of 8 to 16 MiB as they come, and two of them unpacked.

    \b
    Example:
      sojourn pull s3://bucket/leaks /content/data
      sojourn pull kaggle://me/leaks-2024
      sojourn pull s3://bucket/leaks --include 'train/*' --include 'test/C/**'

    \b
    Exit status:
      0  DIR holds it
      2  DIR cannot be written to or has no room; a GLOB or R names nothing
      5  STORE holds no data set, refused, or could not be reached
      6  what STORE holds does not match its digests, or a shard is missing; nothing wrong was kept
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import pull
    from sojourn.render.dataset import pull_document, pull_text

    report = pull(store, folder, include=include, revision=revision, progress=output.progress())
    output.result(pull_document(report), lambda: pull_text(report))
