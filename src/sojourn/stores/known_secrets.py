"""All secrets that this process may come across, so that none of them is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.redact import secret_values
from sojourn.stores.colab_secrets import given_secrets
from sojourn.stores.huggingface_credentials import stored_huggingface_secrets
from sojourn.stores.kaggle_credentials import stored_kaggle_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

# Shorter ones are words of the language.
_SHORTEST_SECRET = 8


def known_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in an environment, in the files that it leads to and in a notebook.

    A variable that names a file (`KAGGLE_API_TOKEN=/content/token`) is not secret itself; what is
    in the file is.

    Returns:
        The longest first, so that one is hidden before another that is a part of it.
    """
    in_files = (*stored_kaggle_secrets(environment), *stored_huggingface_secrets(environment))
    lines = {line.strip() for text in (*in_files, *given_secrets()) for line in text.splitlines()}
    found = {line for line in lines if len(line) >= _SHORTEST_SECRET}
    found |= {value for value in secret_values(environment) if not _is_place(value)}
    return tuple(sorted(found, key=len, reverse=True))


def _is_place(value: str) -> bool:
    """Tell whether a value is the path of something on this machine."""
    if not value.startswith(("/", "~")):
        return False
    try:
        return Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False
