"""Secrets of a Colab notebook, and Colab's upload dialog. The only file that imports google.colab.

Both go through the notebook's page, so they are there in a cell, and not in a `!command`.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import chdir
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Set on every Colab runtime; kagglehub goes by it too (kagglehub/env.py).
_RELEASE = "COLAB_RELEASE_TAG"

# What the notebook gave, and what its owner did not let it have: Colab asks with a dialog each
# time, and one that was answered is not shown again.
_given: dict[str, str] = {}
_denied: set[str] = set()


def in_colab(environment: Mapping[str, str]) -> bool:
    """Tell whether this process is a notebook's kernel on Colab.

    A command that was started from one is none: Colab's kernel has its package loaded.
    """
    return bool(environment.get(_RELEASE)) and "google.colab" in sys.modules


def on_colab(environment: Mapping[str, str]) -> bool:
    """Tell whether this machine is a Colab runtime."""
    return bool(environment.get(_RELEASE))


def find_colab_secret(name: str, *, ask_again: bool = False) -> str | None:
    """Return a secret of the notebook; None if there is none, or the notebook may not have it.

    Call it only in Colab. It may show a dialog in which the notebook's owner lets it have the
    secret.

    Args:
        name: The secret's name.
        ask_again: Ask for one that was denied before.
    """
    if name in _given:
        return _given[name]
    if name in _denied and not ask_again:
        return None
    userdata = import_module("google.colab.userdata")
    try:
        value = str(userdata.get(name) or "").strip()
    except userdata.NotebookAccessError:
        _denied.add(name)
        return None
    except _unanswered(userdata):
        return None
    if value:
        _given[name] = value
    return value or None


def _unanswered(userdata: Any) -> tuple[type[Exception], ...]:
    """Return what `userdata.get` raises where there is no such secret, or no page that answers."""
    # TimeoutException came later than the others.
    names = ("SecretNotFoundError", "TimeoutException")
    return tuple(getattr(userdata, name) for name in names if hasattr(userdata, name))


def upload_text() -> str | None:
    """Show Colab's upload dialog, and return the text of the file that was chosen; None if none.

    Raises:
        UnicodeDecodeError: it is no text.
    """
    files = import_module("google.colab.files")
    # The dialog also saves what it gets where one is, for all to read; so it is here and gone.
    with tempfile.TemporaryDirectory(prefix="sojourn-") as scratch, chdir(scratch):
        uploaded: dict[str, bytes] = files.upload()
    if not uploaded:
        return None
    return next(iter(uploaded.values())).decode()


def given_secrets() -> tuple[str, ...]:
    """Return the secrets that the notebook gave so far, so that they are not shown."""
    return tuple(_given.values())


def forget() -> None:
    """Forget what was given and denied."""
    _given.clear()
    _denied.clear()
