"""Keeps keys out of what is written down: job arguments and store addresses that carry one.

Whatever may be a key is hidden: a word too many is no loss, a key in a file is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"

# apiToken, HFToken and hf_token are two words each; HFTOKEN is one.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORD = re.compile(
    r"secret|token(?!i[sz])|passw|passphrase|pwd|credential|cookie|webhook|bearer|apikey"
    r"|(?:access|private|signing)key|auth(?!ors?$)|^(?:keys?|pass|pw|creds?|headers?|dsn|jwt|sas)$"
)
# Next to one of these, tokens are what a language model reads.
_OF_LANGUAGE = re.compile(
    r"(?i:max|min|num|n|new|per|counts?|limit|total|len|length|context|batch|seq|vocab|pad|eos|bos"
    r"|unk|mask|sep|cls|special|drop|ids?|types?)"
)
_NAME = re.compile(r"(?P<name>-*[A-Za-z_][\w.\-]*)(?P<mark>[\\\"']*\s*[:=]|\s+)(?=.)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][\w+.\-]*://[^\s\"'<>]+")
_USER_AND_PASSWORD = re.compile(r"[^\s/:@=]+:[^\s/@]+@")
# Well-known prefixes of keys.
_KEY = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:sk-|hf_|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza|ya29\.|eyJ)[\w.\-]{8,}"
)
# A long run of letters and digits mixed as no word or path is.
_LONG_RUN = re.compile(r"(?=[A-Za-z0-9+_=-]*\d)(?=[A-Za-z0-9+_=-]*[A-Za-z])[A-Za-z0-9+_=-]{32,}")


def redact_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """Replace what looks like a key: `--api-key VALUE`, `--apiToken=VALUE`, `hf_…`."""
    shown: list[str] = []
    is_value = False
    for argument in arguments:
        names_secret = _is_option(argument) and _is_secret_name(argument)
        shown.append(HIDDEN if is_value else _redact_text(argument))
        # A value may begin with dashes. If it was an option after all, its own value comes next.
        is_value = names_secret
    return tuple(shown)


def redact_address(address: str) -> str:
    """Drop user, password and query from an address such as `s3://key:secret@host/x?sig=…`."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    user, at, host = rest.rpartition("@")
    # A password may hold a slash; `s3://bucket/a@b` holds none.
    has_user = bool(at) and (":" in user or "/" not in user)
    try:
        parts = urlsplit(f"{scheme}://{host if has_user else rest}")
    except ValueError:
        return HIDDEN
    netloc = f"{HIDDEN}@{parts.netloc}" if has_user else parts.netloc
    # Whoever knows the path of a web hook may use it.
    is_hook = parts.netloc.startswith("hooks.") or "webhook" in parts.path.lower()
    path = f"/{HIDDEN}" if is_hook else parts.path
    return urlunsplit((parts.scheme, netloc, path, HIDDEN if parts.query else "", ""))


def _redact_text(text: str) -> str:
    """Hide the keys in a text, and all that follows the name of one."""
    text = _redact_values(text)
    for found in _NAME.finditer(text):
        is_named = bool(found["mark"].strip()) or found["name"].startswith("-")
        is_scheme = found["name"].lower() in {"bearer", "basic"}
        if is_scheme or (is_named and _is_secret_name(found["name"])):
            return text[: found.end()] + HIDDEN
    return text


def _redact_values(text: str) -> str:
    name, separator, value = text.rpartition("=")
    if _LONG_RUN.fullmatch(value):
        return f"{name}{separator}{HIDDEN}"
    text = _ADDRESS.sub(lambda found: redact_address(found[0]), text)
    return _KEY.sub(HIDDEN, _USER_AND_PASSWORD.sub(f"{HIDDEN}@", text))


def _is_option(argument: str) -> bool:
    return argument.startswith("-") and not re.search(r"[=:\s]", argument)


def _is_secret_name(name: str) -> bool:
    words = _WORD.findall(name)
    secret = [word.lower() for word in words if _is_secret_word(word)]
    if any(_OF_LANGUAGE.fullmatch(word) for word in words):
        return not set(secret) <= {"token", "tokens"}
    return bool(secret)


def _is_secret_word(word: str) -> bool:
    is_run_on = word.isupper() and word.endswith(("KEY", "KEYS"))
    return is_run_on or _SECRET_WORD.search(word.lower()) is not None
