"""Secrets of a notebook on Kaggle itself. The only file that imports kaggle_secrets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# As kagglesdk/kaggle_env.py and Kaggle's docker-python (patches/kaggle_secrets.py) name them.
_RUN_TYPE = "KAGGLE_KERNEL_RUN_TYPE"
_SECRETS_TOKEN = "KAGGLE_USER_SECRETS_TOKEN"  # noqa: S105 - a variable's name


def in_kaggle_notebook(environment: Mapping[str, str]) -> bool:
    """Tell whether this process runs in a notebook on Kaggle."""
    return bool(environment.get(_RUN_TYPE))


def find_kaggle_secret(name: str, environment: Mapping[str, str]) -> str | None:
    """Return a secret that is attached to the notebook; None if there is none.

    Asks Kaggle, so it needs a notebook whose internet is on.
    """
    if not environment.get(_SECRETS_TOKEN):
        return None
    try:
        kaggle_secrets = import_module("kaggle_secrets")
    except ImportError:
        return None
    # A label that is not attached is answered with an error of the service, like all else.
    refusals = (kaggle_secrets.BackendError, kaggle_secrets.CredentialError, ConnectionError)
    try:
        value = kaggle_secrets.UserSecretsClient().get_secret(name)
    except refusals:
        return None
    return str(value or "").strip() or None
