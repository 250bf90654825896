"""`sojourn verify`: check every digest."""

from __future__ import annotations

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("store")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path())
@click.option(
    "--revision",
    metavar="R",
    help="An earlier revision instead of the newest: its digits, or the first 4 or more of them.",
)
@common_options
def command(output: Output, *, store: str, folder: str | None, revision: str | None) -> int | None:
    """Check every digest of the data set in STORE; or of the folder DIR against it.

    Without DIR all shards are read. With DIR only the manifest is, and DIR is compared: files
    that differ, are missing, or are no files are listed; what else is in DIR is ignored.

    Costs what the store asks for reading the whole set; with DIR, one request.

    \b
    Example:
      sojourn verify s3://bucket/leaks
      sojourn verify s3://bucket/leaks /content/data

    \b
    Exit status:
      0  all matches
      2  there is no DIR, or no revision R; or STORE was not pushed with sojourn, and has no digests
      5  STORE holds no data set, refused, or could not be reached
      6  something does not match; each is listed
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import verify
    from sojourn.errors import IntegrityError
    from sojourn.render.dataset import verify_document, verify_text

    report = verify(store, folder, revision=revision, progress=output.progress())
    if not report.problems:
        output.result(verify_document(report), lambda: verify_text(report))
        return None
    error = IntegrityError(report.summary, remedy=report.remedy)
    return output.failed_result(verify_document(report), lambda: verify_text(report), error)
