"""Where Kaggle's credentials are looked for: in the places, and the order, of Kaggle's own tools.

1. a notebook on Kaggle: the file that KAGGLE_API_V1_TOKEN names
2. KAGGLE_API_TOKEN: an access token, or the path of a file with one
3. ~/.kaggle/access_token, or access_token.txt
4. KAGGLE_USERNAME and KAGGLE_KEY
5. kaggle.json in KAGGLE_CONFIG_DIR, ~/.kaggle or ~/.config/kaggle
6. secrets named KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, of a notebook on Colab or
   Kaggle

Source: kagglesdk 0.1.38 `kaggle_env.py` (1 to 3), kagglehub 1.0.3 `config.py` (4 to 6; Colab) and
kaggle 2.2.5 `kaggle_api_extended.py` (~/.config).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError
from sojourn.stores.colab_secrets import find_colab_secret, in_colab
from sojourn.stores.kaggle_notebook import find_kaggle_secret, in_kaggle_notebook
from sojourn.stores.secret_files import find_secret_text, home_of, peek_secret_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TOKEN_NAME = "KAGGLE_API_TOKEN"  # noqa: S105 - a variable's name
USERNAME_NAME = "KAGGLE_USERNAME"
KEY_NAME = "KAGGLE_KEY"
_NOTEBOOK_TOKEN_PATH = "KAGGLE_API_V1_TOKEN"  # noqa: S105 - a variable's name
_CONFIG_FOLDER = "KAGGLE_CONFIG_DIR"
_ANEW = "https://www.kaggle.com/settings makes a new one; `sojourn login kaggle` stores it."


@dataclass(frozen=True, slots=True, kw_only=True)
class KaggleCredentials:
    """What a person is known by to Kaggle; public data sets can be read without any.

    Attributes:
        token: An access token; None if there is none.
        username: Goes with `key`; None with a token, which says whose it is.
        key: Of a kaggle.json; None if there is none.
        found_in: The variable, file or notebook's secrets that it is from; empty if there is none.
    """

    token: str | None = field(default=None, repr=False)
    username: str | None = None
    key: str | None = field(default=None, repr=False)
    found_in: str = ""

    @property
    def are_there(self) -> bool:
        """Whether Kaggle can be told who asks."""
        return self.token is not None or self.key is not None


def find_kaggle_credentials(environment: Mapping[str, str]) -> KaggleCredentials:
    """Return the first credentials that there are; one without any if there are none.

    Args:
        environment: The variables that are looked at.

    Raises:
        AccessDeniedError: a file with credentials can be opened by others, or is damaged.
    """
    places = (_from_mounted_token, _from_token_variable, _from_token_file, _from_key_variables)
    for look in (*places, _from_key_file, _from_notebook):
        found = look(environment)
        if found is not None:
            return found
    return KaggleCredentials()


def access_token_path(environment: Mapping[str, str]) -> Path:
    """Return where Kaggle's tools keep an access token."""
    return home_of(environment) / ".kaggle" / "access_token"


def key_file_path(environment: Mapping[str, str]) -> Path:
    """Return where Kaggle's tools keep a kaggle.json."""
    folder = environment.get(_CONFIG_FOLDER)
    return (Path(folder) if folder else home_of(environment) / ".kaggle") / "kaggle.json"


def parse_key_file(text: str) -> tuple[str, str] | None:
    """Return user name and key of a kaggle.json's text; None if it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    username, key = document.get("username"), document.get("key")
    if not isinstance(username, str) or not isinstance(key, str) or not username or not key:
        return None
    return username.strip(), key.strip()


def stored_kaggle_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets that files hold, whoever may read these, so that they are not shown."""
    paths = [*_token_paths(environment), _named_file(environment.get(_NOTEBOOK_TOKEN_PATH))]
    for path in (*paths, _named_file(environment.get(TOKEN_NAME))):
        text = peek_secret_text(path) if path else None
        if text:
            yield text
    for path in _key_paths(environment):
        found = parse_key_file(peek_secret_text(path) or "")
        if found:
            yield found[1]


def _from_mounted_token(environment: Mapping[str, str]) -> KaggleCredentials | None:
    path = _named_file(environment.get(_NOTEBOOK_TOKEN_PATH))
    if path is None or not in_kaggle_notebook(environment):
        return None
    # Kaggle mounts it, with whatever mode; nobody else is on that machine.
    token = peek_secret_text(path)
    return KaggleCredentials(token=token, found_in=_NOTEBOOK_TOKEN_PATH) if token else None


def _from_token_variable(environment: Mapping[str, str]) -> KaggleCredentials | None:
    value = environment.get(TOKEN_NAME, "").strip()
    if not value:
        return None
    path = _named_file(value)
    if path is None:
        return KaggleCredentials(token=_checked(value, TOKEN_NAME), found_in=TOKEN_NAME)
    where = f"{path} (named by {TOKEN_NAME})"
    token = find_secret_text(path)
    if token is None:
        raise AccessDeniedError(f"{where} is empty.", remedy=_ANEW)
    return KaggleCredentials(token=_checked(token, where), found_in=where)


def _from_token_file(environment: Mapping[str, str]) -> KaggleCredentials | None:
    for path in _token_paths(environment):
        token = find_secret_text(path)
        if token is not None:
            return KaggleCredentials(token=_checked(token, str(path)), found_in=str(path))
    return None


def _from_key_variables(environment: Mapping[str, str]) -> KaggleCredentials | None:
    where = f"{USERNAME_NAME} and {KEY_NAME}"
    return _pair(lambda name: environment.get(name, "").strip(), where)


def _from_key_file(environment: Mapping[str, str]) -> KaggleCredentials | None:
    for path in _key_paths(environment):
        text = find_secret_text(path)
        if text is None:
            continue
        found = parse_key_file(text)
        if found is None:
            raise AccessDeniedError(
                f"{path} is no kaggle.json: it lacks a username and a key.", remedy=_ANEW
            )
        where = str(path)
        return KaggleCredentials(
            username=_checked(found[0], where), key=_checked(found[1], where), found_in=where
        )
    return None


def _from_notebook(environment: Mapping[str, str]) -> KaggleCredentials | None:
    if in_colab(environment):
        return find_in_secrets(find_colab_secret, "secrets of this Colab notebook")
    if in_kaggle_notebook(environment):
        return find_in_secrets(
            lambda name: find_kaggle_secret(name, environment), "secrets of this Kaggle notebook"
        )
    return None


def find_in_secrets(look: Callable[[str], str | None], where: str) -> KaggleCredentials | None:
    """Return the credentials among a notebook's secrets; None if there are none.

    Args:
        look: Returns the secret of a name.
        where: What the place is called.
    """
    token = look(TOKEN_NAME)
    if token:
        return KaggleCredentials(token=_checked(token, where), found_in=where)
    return _pair(look, where)


def _pair(look: Callable[[str], str | None], where: str) -> KaggleCredentials | None:
    username = look(USERNAME_NAME)
    key = look(KEY_NAME) if username else None
    if not username or not key:
        return None
    return KaggleCredentials(
        username=_checked(username, where), key=_checked(key, where), found_in=where
    )


def _checked(value: str, where: str) -> str:
    """Return what can stand in a request's header.

    Raises:
        AccessDeniedError: it cannot.
    """
    if not value.isascii() or not value.isprintable() or " " in value:
        raise AccessDeniedError(
            f"What {where} holds is no credential: it has spaces, line breaks or other letters "
            "that none has.",
            remedy=_ANEW,
        )
    return value


def _named_file(value: str | None) -> Path | None:
    """Return the path of a file that is there; None if the value is none's."""
    if not value or "\0" in value:
        return None
    path = Path(value)
    try:
        return path if path.is_file() else None
    except OSError:
        return None  # too long for a path, say


def _token_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    path = access_token_path(environment)
    return path, path.with_name("access_token.txt")


def _key_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    first = key_file_path(environment)
    if environment.get(_CONFIG_FOLDER):
        return (first,)
    home = home_of(environment)
    config = environment.get("XDG_CONFIG_HOME")
    return first, (Path(config) if config else home / ".config") / "kaggle" / "kaggle.json"
