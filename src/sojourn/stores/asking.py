"""Ask a person for a credential: in Colab the notebook, elsewhere whoever is at the terminal."""

from __future__ import annotations

import getpass
import json
from functools import partial
from typing import TYPE_CHECKING

from sojourn.errors import UsageError
from sojourn.stores import huggingface_credentials, kaggle_credentials
from sojourn.stores.colab_secrets import find_colab_secret, in_colab, upload_text
from sojourn.stores.login import WHERE_TO_GET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAMES = {"kaggle": "Kaggle API token", "hf": "Hugging Face token"}


def asker_for(service: str, environment: Mapping[str, str]) -> Callable[[], str | None]:
    """Return what asks for a credential of a service; it returns None if nothing was given."""
    if not in_colab(environment):
        return partial(ask_hidden, service)
    return _ask_colab_for_kaggle if service == "kaggle" else _ask_colab_for_hf


def ask_hidden(service: str) -> str | None:
    """Ask for a token at the terminal or in the notebook, and show nothing of it.

    Raises:
        UsageError: nobody can be asked.
    """
    try:
        return getpass.getpass(f"{_NAMES[service]} (from {WHERE_TO_GET[service]}): ")
    except EOFError:
        raise UsageError(
            "There is nobody to ask for a token.",
            remedy=f"Pipe it in: `sojourn login {service} < FILE`.",
        ) from None


def _ask_colab_for_kaggle() -> str | None:
    token = _colab_secret(kaggle_credentials.TOKEN_NAME)
    if token:
        return token
    username = _colab_secret(kaggle_credentials.USERNAME_NAME)
    key = _colab_secret(kaggle_credentials.KEY_NAME) if username else None
    if username and key:
        return json.dumps({"username": username, "key": key})
    try:
        return upload_text()
    except UnicodeDecodeError:
        raise UsageError(
            "The file that was chosen is no text.",
            remedy=f"Choose kaggle.json, or a file with the token from {WHERE_TO_GET['kaggle']}.",
        ) from None


def _ask_colab_for_hf() -> str | None:
    return _colab_secret(huggingface_credentials.TOKEN_NAME) or ask_hidden("hf")


def _colab_secret(name: str) -> str | None:
    return find_colab_secret(name, ask_again=True)
