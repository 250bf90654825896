"""What every verb takes: --json, -q, -v, --no-color; and where its results and progress go."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from sojourn.cli._screen import Harmless, json_text
from sojourn.cli._secrets import hidden, secrets_here, without_secrets
from sojourn.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from sojourn.errors import SojournError
    from sojourn.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where one command's results and progress go. Results to stdout, the rest to stderr."""

    as_json: bool
    quiet: bool
    verbose: bool
    color: bool

    def result(self, document: dict[str, Any], text: Callable[[], RenderableType]) -> None:
        """Print the result: one JSON document, or the text that `text()` builds."""
        if self.as_json:
            shown = hidden(document, secrets_here())
            click.echo(json_text(shown, encoding=getattr(sys.stdout, "encoding", None)))
        elif not self.quiet:
            shown_text = Harmless(text(), without_secrets(secrets_here()))
            self._console(stderr=False).print(shown_text, soft_wrap=True)

    def failed_result(
        self, document: dict[str, Any], text: Callable[[], RenderableType], error: SojournError
    ) -> int:
        """Print a result that is a refusal: the document with the error in it, or both texts."""
        from sojourn.cli._errors import error_document

        self.result(document | error_document(error), text)
        clean = without_secrets(secrets_here())
        click.echo(printable(clean(f"sojourn: {error}")), err=True)
        return error.exit_code

    def progress(self) -> Progress:
        """Return bars for a terminal, one line per task when piped, nothing when quiet."""
        from sojourn.progress import NoProgress
        from sojourn.render.progress import ConsoleProgress

        if self.quiet:
            return NoProgress()
        clean = without_secrets(secrets_here())
        return ConsoleProgress(self._console(stderr=True), clean=clean)

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        return Console(stderr=stderr, no_color=not self.color, highlight=False)


def common_options(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add the options that all verbs share; the verb gets them as its first argument, `output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more.")
    @click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="Print without colour.")
    @functools.wraps(function)
    def wrapper(
        *, as_json: bool, quiet: bool, verbose: bool, no_color: bool, **options: Any
    ) -> int | None:
        output = Output(as_json=as_json, quiet=quiet, verbose=verbose, color=not no_color)
        return function(output, **options)

    return wrapper
