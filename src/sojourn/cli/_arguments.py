"""Verbs whose TARGET takes arguments of its own, and what is said where they lack the `--`."""

from __future__ import annotations

import click

from sojourn.errors import UsageError

# What another verb calls so, by this verb and option.
_INSTEAD = {
    ("run", "--path"): "Bring that folder into the job's own: --data LOCAL=REMOTE, such as "
    "--data ./my_data=/content/data.",
}


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
            instead = _INSTEAD.get((ctx.info_name or "", error.option_name))
            raise UsageError(
                f"`{path}` takes no {error.option_name}." if instead else error.format_message(),
                remedy=instead
                or f"TARGET's own arguments go after `--`: {path} TARGET -- "
                f"{error.option_name} …; for those of the verb see `{path} --help`.",
            ) from error
