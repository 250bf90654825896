"""The command line: one file per verb, loaded when the verb is typed. No logic lives here."""

from __future__ import annotations

import difflib
import signal
from importlib import import_module
from typing import TYPE_CHECKING, cast

import click

from sojourn import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

VERBS = {
    "runtimes": "what can be rented: memory, rate, limits, who gets it",
    "plan": "will it fit, how long does it take, what does it cost; before all renting",
    "probe": "measure a few real steps on the rented machine, beside the forecast",
    "push": "send a folder to a store; only what changed",
    "pull": "get it back, byte for byte",
    "share": "let somebody read a data set",
    "ls": "what a data set holds",
    "verify": "check every digest",
    "run": "run a job",
    "runs": "runs so far",
    "logs": "a run's output",
    "login": "store a credential where its vendor's own tools look",
    "wallet": "what there is to spend: balance, rates, quotas, what runs used",
    "doctor": "what is installed, reachable and permitted",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in VERBS:
            return None
        return cast("click.Command", import_module(f"sojourn.cli.{name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean `sojourn {near[0]}`?" if near else ""
            raise click.UsageError(f"There is no verb {args[0]!r}.{hint}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sojourn")
def root() -> None:
    """Know before you rent, move the data at the speed of the link, run within budget."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit status."""
    from sojourn.cli._errors import run_guarded

    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup, say, a hang-up is meant to be ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    raise SystemExit(run_guarded(root, args))


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Take a signal as Ctrl-C, so that child processes and temporary folders go as well."""
    # A second one must not cut off the cleaning up.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
