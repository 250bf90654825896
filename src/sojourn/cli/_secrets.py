"""What no command shows, whatever it says: the secrets that are known on this machine."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from sojourn.redact import hide_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def secrets_here() -> tuple[str, ...]:
    """Return the secrets in this process's variables, and in the files that vendors' tools keep."""
    from sojourn.stores.known_secrets import known_secrets

    return known_secrets(os.environ)


def without_secrets(secrets: Sequence[str]) -> Callable[[str], str]:
    """Return what takes these secrets out of a text."""
    return partial(hide_values, secrets=secrets)


def hidden(document: Any, secrets: Sequence[str]) -> Any:
    """Return a JSON document with these secrets taken out of all of its texts."""
    if isinstance(document, str):
        return hide_values(document, secrets)
    if isinstance(document, dict):
        return {key: hidden(value, secrets) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [hidden(value, secrets) for value in document]
    return document
