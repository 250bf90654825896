"""`sojourn login`: store a credential where its vendor's own tools look."""

from __future__ import annotations

import os
import sys

import click

from sojourn.cli._options import Output, common_options
from sojourn.errors import UsageError

_LARGEST_BYTES = 64 << 10


@click.command()
@click.argument("service", metavar="SERVICE")
@click.argument("given", metavar="", nargs=-1, type=click.UNPROCESSED)
@click.option("--replace", is_flag=True, help="Put the new one in the place of one that is stored.")
@common_options
def command(output: Output, *, service: str, given: tuple[str, ...], replace: bool) -> None:
    """Store the credential of SERVICE: kaggle, or hf for Hugging Face.

    The token is asked for and not shown while it is typed, or read from standard input. It is never
    an argument, which others on this machine could see. For Kaggle a whole kaggle.json will do.

    It goes where the vendor's own tools look, for this user alone (mode 0600), so that they need
    no login either: ~/.kaggle/access_token (a kaggle.json to ~/.kaggle/kaggle.json), and
    ~/.cache/huggingface/token. One that is there is kept unless you say otherwise.

    Costs nothing, and contacts nobody: whether the token is valid shows with its first use. Make
    one at https://www.kaggle.com/settings or https://huggingface.co/settings/tokens.

    \b
    Example:
      sojourn login kaggle
      sojourn login kaggle < kaggle.json
      sojourn login hf --replace

    \b
    Exit status:
      0  stored, or there already
      2  nothing usable was given, or another one is stored and was kept
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    from sojourn.api import login
    from sojourn.render.login import login_document, login_text
    from sojourn.stores.login import WHERE_TO_GET, check_service, stored_at

    check_service(service)
    if given:
        raise UsageError(
            "A token is no argument: others on this machine could see it, and so may have now.",
            remedy=f"Make a new one at {WHERE_TO_GET[service]}; run `sojourn login {service}`, and "
            "paste it when it is asked for.",
        )
    is_piped = sys.stdin is None or not sys.stdin.isatty()
    path = stored_at(service, os.environ)
    if path is not None and not replace and not is_piped:
        replace = click.confirm(f"{path} holds a credential already. Replace it?", err=True)
    report = login(service, replace=replace, ask=_piped if is_piped else None)
    output.result(login_document(report), lambda: login_text(report))


def _piped() -> str:
    """Return what standard input holds; nothing where the shell has closed it."""
    data = sys.stdin.buffer.read(_LARGEST_BYTES) if sys.stdin is not None else b""
    return data.decode(errors="replace")
