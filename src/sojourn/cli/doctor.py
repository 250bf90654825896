"""`sojourn doctor`: what is installed, reachable and permitted."""

from __future__ import annotations

import os

import click

from sojourn.cli._options import Output, common_options


@click.command()
@click.argument("store", required=False)
@click.option(
    "--live", is_flag=True, help="Try STORE, a kaggle:// one, with a tiny data set; then delete it."
)
@common_options
def command(output: Output, *, store: str | None, live: bool) -> int:
    """Look at this machine, and at STORE if one is named; each line that is not well has a remedy.

    Costs nothing: reads a few files, and lists the first object of STORE. Credentials are looked
    for, never shown.

    With --live what Kaggle does with archives, folders, parts of files and earlier versions is
    tried out under STORE's owner: with a private data set sojourn-probe-… of 1 MiB, which is
    deleted in the end. Takes a minute or a few. STORE itself is not touched.

    \b
    Example:
      sojourn doctor
      sojourn doctor s3://my-bucket/leaks
      sojourn doctor --live kaggle://me/leaks-2024

    \b
    Exit status:
      0  nothing that is needed fails; lines marked "note" concern single verbs
      2  Python, a package or a folder is not as needed
      3  your catalog.toml does not load
      5  STORE does not answer, or refuses
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.catalog import default_overlay_path
    from sojourn.errors import UsageError
    from sojourn.health import examine_live, examine_machine, find_failure
    from sojourn.render.doctor import doctor_document, doctor_text

    if live and store is None:
        raise UsageError(
            "--live needs a store.", remedy="Write `sojourn doctor --live kaggle://OWNER/DATASET`."
        )
    checks = examine_machine(
        overlay=default_overlay_path(),
        environment=os.environ,
        store_url=store,
        progress=output.progress(),
    )
    if live and store is not None:
        checks += examine_live(store, progress=output.progress())
    document, failure = doctor_document(checks), find_failure(checks)
    if failure is not None:
        return output.failed_result(document, lambda: doctor_text(checks), failure)
    output.result(document, lambda: doctor_text(checks))
    return 0
