"""Keeps keys out of what is written down or shown: arguments, store addresses, texts of scripts.

Whatever may be a key is hidden: a word too many is no loss, a key in a file is. What is given may
be read in full by the job itself; only what is told of it goes through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    r"|unk|mask|sep|cls|special|drop|ids?|types?|embed|embeddings?)"
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

# The same in running text, where names of models and files are as long.
_LONG_WORD = re.compile(r"(?<!\w)(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9]{32,}(?!\w)")
# `wandb login KEY`, `huggingface-cli login --token KEY`.
_LOGIN = re.compile(r"(?<=\blogin)\s+(?!page\b|failed\b|required\b).*", re.IGNORECASE)
# `curl -u NAME:PASSWORD`
_USER_OPTION = re.compile(r"(?<!\S)(-u|--user)([ =]?)[^\s:]+:\S+")
# What stands before a colon in a message and is no name of a value: `KeyError: `, `auth.py:7`.
_NO_NAME = re.compile(r".*(?:Error|Exception|Warning|\.py|\.ipynb)")
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
# Shorter values are words such as "true" and "none".
_SHORTEST_SECRET = 8
# Letters of a secret that a text may end with, cut off, and give nothing away.
_HARMLESS_LETTERS = 3
_CUT = "…"


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables whose names say that they are secret, longest first."""
    found = {
        line.strip()
        for name, value in environment.items()
        if _SECRET_VARIABLE.search(name) or _is_secret_name(name)
        for line in value.splitlines()
    }
    return tuple(sorted((v for v in found if len(v) >= _SHORTEST_SECRET), key=len, reverse=True))


def hide_keys(text: str, secrets: Sequence[str] = ()) -> str:
    """Hide in running text what looks like a key, and the given values wherever they occur.

    Args:
        text: One line or many; each is looked at by itself.
        secrets: What `secret_values` found.
    """
    lines = hide_values(text, secrets).split("\n")
    return "\n".join(_hide_in_line(_without_cut_secret(line, secrets)) for line in lines)


def hide_values(text: str, secrets: Sequence[str]) -> str:
    """Hide the given values wherever they occur, and leave all else as it is.

    Args:
        text: What is to be shown.
        secrets: Values, the longest first.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _without_cut_secret(line: str, secrets: Sequence[str]) -> str:
    """Hide a secret of which a text that was cut for length holds the beginning alone."""
    head = line.removesuffix(_CUT)
    if head == line:
        return line
    for secret in secrets:
        for length in range(len(secret) - 1, _HARMLESS_LETTERS, -1):
            if head.endswith(secret[:length]):
                return f"{head[:-length]}{HIDDEN}{_CUT}"
    return line


def _hide_in_line(line: str) -> str:
    line = _USER_OPTION.sub(rf"\1\2{HIDDEN}", _LOGIN.sub(f" {HIDDEN}", line))
    return _LONG_WORD.sub(HIDDEN, _redact_text(line))


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
        if _NO_NAME.fullmatch(found["name"]):
            continue
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
