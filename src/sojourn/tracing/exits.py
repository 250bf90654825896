"""What a script meant by ending itself before it trained: its own words, and what to do."""

from __future__ import annotations

import re

from sojourn.tracing.failures import own_words, plan_command

# As argparse ends ("train.py: error: unrecognized arguments: --sise 4"), and click.
_REFUSAL = re.compile(r"(?:\S+: )?error: (.+)", re.IGNORECASE)


def explain_exit(code: object, *, printed: str, target: str) -> tuple[str, str]:
    """Say why a script ended itself, and the remedy.

    Args:
        code: What it gave to `sys.exit`, not None or 0.
        printed: All that it printed.
        target: Its name.
    """
    arguments = f"after `--`: {plan_command(target)} -- ARGS."
    last = next((line for line in reversed(printed.splitlines()) if line.strip()), "")
    if not isinstance(code, int):
        return f"{target} ended itself before its first optimizer step. It said: {_brief(code)}", (
            "While planning it is told of a card that is not there; leave out what it cannot do "
            f"without, or give it the arguments it needs {arguments}"
        )
    refusal = _REFUSAL.fullmatch(last.strip())
    if refusal is not None:
        return f"{target} refused its arguments: {_brief(refusal[1])}", (
            f"Give the script its own arguments {arguments}"
        )
    said = f" It printed last: {_brief(last)}" if last else ""
    message = (
        f"{target} ended itself with exit status {code} before its first optimizer step.{said}"
    )
    return message, f"Give the script the arguments it needs {arguments}"


def _brief(thing: object) -> str:
    text = own_words(thing)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
