"""Where Kaggle's credentials are found: the places that Kaggle's own tools look in, in their order.

`KAGGLE_API_TOKEN` (a token, or the file that holds it) · `~/.kaggle/access_token` ·
`KAGGLE_USERNAME` and `KAGGLE_KEY` · `kaggle.json` in `KAGGLE_CONFIG_DIR` or `~/.kaggle`.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping

NOWHERE = "nowhere"
_TOKENS_PAGE = "https://www.kaggle.com/settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class KaggleCredentials:
    """What Kaggle is told who asks: a token, or a user's name and key, or nothing.

    Attributes:
        token: An access token.
        username: Whose key it is.
        key: An API key.
        found_in: Which variable or file they are from; "nowhere" if there are none.
    """

    token: str | None
    username: str | None
    key: str | None
    found_in: str

    def __repr__(self) -> str:
        return f"KaggleCredentials(found_in={self.found_in!r})"

    @property
    def are_there(self) -> bool:
        """Whether Kaggle can be told who asks."""
        return self.token is not None or self.key is not None


def find_kaggle_credentials(environment: Mapping[str, str]) -> KaggleCredentials:
    """Return the credentials that Kaggle's own tools would use.

    Raises:
        AccessDeniedError: a file with credentials is readable by others, or holds none.
    """
    folder = Path(environment.get("HOME") or Path.home()) / ".kaggle"
    return (
        _token_of(environment)
        or _token_in(folder / "access_token")
        or _key_of(environment)
        or _key_in(Path(environment.get("KAGGLE_CONFIG_DIR") or folder) / "kaggle.json")
        or KaggleCredentials(token=None, username=None, key=None, found_in=NOWHERE)
    )


def _token_of(environment: Mapping[str, str]) -> KaggleCredentials | None:
    value = environment.get("KAGGLE_API_TOKEN", "").strip()
    if not value:
        return None
    if os.path.sep in value:
        return _token_in(Path(value))
    return KaggleCredentials(token=value, username=None, key=None, found_in="KAGGLE_API_TOKEN")


def _token_in(path: Path) -> KaggleCredentials | None:
    token = _private_text(path)
    if not token:
        return None
    return KaggleCredentials(token=token, username=None, key=None, found_in=str(path))


def _key_of(environment: Mapping[str, str]) -> KaggleCredentials | None:
    name, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    if not name or not key:
        return None
    return KaggleCredentials(token=None, username=name, key=key, found_in="KAGGLE_KEY")


def _key_in(path: Path) -> KaggleCredentials | None:
    text = _private_text(path)
    if not text:
        return None
    try:
        document = json.loads(text)
        name, key = document["username"], document["key"]
        usable = isinstance(name, str) and isinstance(key, str) and name and key
    except (ValueError, KeyError, TypeError):
        usable = False
    if not usable:
        raise AccessDeniedError(
            f"{path} does not hold Kaggle's credentials.",
            remedy=f"Make a new token on {_TOKENS_PAGE} and put it there.",
        )
    return KaggleCredentials(token=None, username=name, key=key, found_in=str(path))


def _private_text(path: Path) -> str:
    """Return what a file holds; nothing if it is not there.

    Raises:
        AccessDeniedError: others may read it, or this user may not.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise AccessDeniedError(
            f"{path} cannot be read.", remedy=f"Put a token from {_TOKENS_PAGE} there."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise AccessDeniedError(
            f"{path} can be read by other users of this machine.",
            remedy=f"Run `chmod 600 {path}`.",
        )
    return text
