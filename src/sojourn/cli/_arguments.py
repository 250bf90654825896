"""Verbs whose TARGET takes arguments of its own, and what is said where they lack the `--`."""

from __future__ import annotations

import click

from sojourn.errors import UsageError


class TargetCommand(click.Command):
    """A verb after whose `--` come the arguments of its TARGET."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and say where an option goes that is not the verb's.

        Raises:
            UsageError: there is such an option.
        """
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            path = ctx.command_path
            raise UsageError(
                error.format_message(),
                remedy=f"TARGET's own arguments go after `--`: {path} TARGET -- "
                f"{error.option_name} …; for those of the verb see `{path} --help`.",
            ) from error
