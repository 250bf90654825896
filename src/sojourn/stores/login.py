"""Store a credential where its vendor's own tools look, so that they find it too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.errors import UsageError
from sojourn.stores import huggingface_credentials, kaggle_credentials
from sojourn.stores.secret_files import already_there, peek_secret_text, write_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SERVICES = ("kaggle", "hf")

WHERE_TO_GET = {
    "kaggle": "https://www.kaggle.com/settings (API, Generate New Token)",
    "hf": "https://huggingface.co/settings/tokens",
}
"""Where a person makes a token."""

_LONGEST_TOKEN = 4096
# What tokens begin with: huggingface_hub 2.4.0 tells its own from others' by it
# (`inference/_client.py`); Kaggle's are seen so in what its users write, as of 2026-11.
_BEGINNINGS = {"kaggle": "KGAT_", "hf": "hf_"}
_NAMES = {"kaggle": "Kaggle", "hf": "Hugging Face"}
# Letters of what may be a service mistyped; a token that was put in its place has more.
_LONGEST_SERVICE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginReport:
    """What a login did. It holds no secret.

    Attributes:
        service: "kaggle" or "hf".
        path: The file that holds the credential now.
        unchanged: It held the same one before.
        overridden_by: What goes before that file, while it is there; empty if nothing does.
        doubt: Why it may be no token of that service; empty if it looks like one.
    """

    service: str
    path: Path
    unchanged: bool
    overridden_by: str
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    path: Path
    text: str


def check_service(service: str) -> str:
    """Return the service if there is such a one.

    Raises:
        UsageError: there is none.
    """
    if service not in SERVICES:
        shown = repr(service) if len(service) <= _LONGEST_SERVICE else "that"
        raise UsageError(
            f"There is no login for {shown}.",
            remedy="Known are kaggle, and hf for Hugging Face. S3 takes AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY. A token is asked for, and never an argument.",
        )
    return service


def check_not_stored(service: str, environment: Mapping[str, str]) -> None:
    """Check that no credential is stored yet, before anybody is asked for one.

    Raises:
        UsageError: one is.
    """
    path = stored_at(service, environment)
    if path is not None:
        raise already_there(path)


def stored_at(service: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file that holds the access token that is stored already; None if there is none."""
    paths = {
        "kaggle": kaggle_credentials.access_token_path,
        "hf": huggingface_credentials.token_path,
    }
    path = paths[check_service(service)](environment)
    return path if path.exists() else None


def store_credential(
    service: str, text: str, *, environment: Mapping[str, str], replace: bool
) -> LoginReport:
    """Store a credential, of mode 0600.

    Args:
        service: "kaggle" or "hf".
        text: An access token; for Kaggle, a kaggle.json's text will do.
        environment: Says where vendors' tools look.
        replace: Whether one that is there is replaced.

    Raises:
        UsageError: the text is no credential, or another one is there and is to be kept.
    """
    place = _place(check_service(service), text, environment)
    before = peek_secret_text(place.path)
    unchanged = before == place.text and place.path.stat().st_mode & 0o077 == 0
    if not unchanged:
        # The same one that others may read is written anew, whatever is said.
        is_same = before == place.text
        if place.path.exists() and not (replace or is_same):
            raise already_there(place.path)
        write_secret(place.path, place.text, replace=replace or is_same)
    return LoginReport(
        service=service,
        path=place.path,
        unchanged=unchanged,
        overridden_by=_found_in(service, environment, place.path),
        doubt=_doubt(service, place.text),
    )


def _place(service: str, text: str, environment: Mapping[str, str]) -> _Place:
    if service == "hf":
        path = huggingface_credentials.token_path(environment)
        return _Place(path=path, text=_checked_token(text))
    pair = kaggle_credentials.parse_key_file(text)
    if pair is None:
        path = kaggle_credentials.access_token_path(environment)
        return _Place(path=path, text=_checked_token(text))
    username, key = map(_checked_token, pair)
    return _Place(
        path=kaggle_credentials.key_file_path(environment),
        text=json.dumps({"username": username, "key": key}),
    )


def _checked_token(text: str) -> str:
    token = text.strip()
    if not token:
        raise UsageError("No token was given.", remedy="Paste it, and end it with Enter.")
    fits = token.isascii() and token.isprintable() and " " not in token
    if not fits or len(token) > _LONGEST_TOKEN:
        # It is not repeated: it may be a token with a word too many.
        raise UsageError(
            "What was given is no token: it has spaces, line breaks or letters that none has.",
            remedy="Copy the token alone, or for Kaggle all of a kaggle.json.",
        )
    return token


def _doubt(service: str, text: str) -> str:
    """Return why a text may be no token; empty if it is like one, or a kaggle.json's.

    Others may be valid too: their forms are the services' to change.
    """
    beginning = _BEGINNINGS[service]
    if text.startswith((beginning, "{")):
        return ""
    return f"It does not look like a token of {_NAMES[service]}, which begins with {beginning}"


def _found_in(service: str, environment: Mapping[str, str], path: Path) -> str:
    """Return what is found before a file; empty if nothing is."""
    find: Callable[[Mapping[str, str]], object] = (
        kaggle_credentials.find_kaggle_credentials
        if service == "kaggle"
        else huggingface_credentials.find_huggingface_credentials
    )
    found = str(getattr(find(environment), "found_in", ""))
    return "" if found == str(path) else found
