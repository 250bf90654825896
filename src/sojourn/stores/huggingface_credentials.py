"""Where Hugging Face's token is looked for: as huggingface_hub does, and known without it.

1. HF_TOKEN, or HUGGING_FACE_HUB_TOKEN
2. the file that HF_TOKEN_PATH names; else `token` in HF_HOME, or in ~/.cache/huggingface
3. the secret HF_TOKEN of a notebook on Colab

Source: huggingface_hub 2.4.0 `utils/_auth.py` and `constants.py`. That package may take others,
such as a CI's, before these.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.stores.colab_secrets import find_colab_secret, in_colab
from sojourn.stores.secret_files import find_secret_text, home_of, peek_secret_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN_NAME = "HF_TOKEN"  # noqa: S105 - a variable's name
_TOKEN_NAMES = (TOKEN_NAME, "HUGGING_FACE_HUB_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFaceCredentials:
    """What a person is known by to Hugging Face; public data sets can be read without.

    Attributes:
        token: None if there is none.
        found_in: The variable, file or notebook's secrets that it is from; empty if there is none.
    """

    token: str | None = field(default=None, repr=False)
    found_in: str = ""


def find_huggingface_credentials(environment: Mapping[str, str]) -> HuggingFaceCredentials:
    """Return the first token that there is; None's if there is none.

    Raises:
        AccessDeniedError: the token's file can be opened by others.
    """
    for name in _TOKEN_NAMES:
        token = environment.get(name, "").strip()
        if token:
            return HuggingFaceCredentials(token=token, found_in=name)
    path = token_path(environment)
    stored = find_secret_text(path)
    if stored is not None:
        return HuggingFaceCredentials(token=stored, found_in=str(path))
    secret = find_colab_secret(TOKEN_NAME) if in_colab(environment) else None
    if secret is not None:
        return HuggingFaceCredentials(token=secret, found_in="secrets of this Colab notebook")
    return HuggingFaceCredentials()


def token_path(environment: Mapping[str, str]) -> Path:
    """Return where huggingface_hub keeps the token."""
    named = environment.get("HF_TOKEN_PATH")
    if named:
        return _expanded(named, environment)
    home = environment.get("HF_HOME")
    if home:
        return _expanded(home, environment) / "token"
    cache = environment.get("XDG_CACHE_HOME")
    below = _expanded(cache, environment) if cache else home_of(environment) / ".cache"
    return below / "huggingface" / "token"


def stored_huggingface_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the token that the file holds, whoever may read it, so that it is not shown."""
    text = peek_secret_text(token_path(environment))
    if text:
        yield text


def _expanded(path: str, environment: Mapping[str, str]) -> Path:
    if path == "~" or path.startswith("~/"):
        return home_of(environment) / path[2:]
    return Path(os.path.expandvars(path))
