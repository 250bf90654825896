"""Keeps keys out of what is written down: job arguments and store addresses that carry one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"(?i)(?:^|[-_.])(?:api[-_]?key|access[-_]?key|secret|token|passw(?:or)?d|pwd|auth|credentials?"
    r"|private[-_]?key|key)(?:$|[-_.])"
)
# Well-known prefixes of keys, or a long run of letters and digits mixed as no word or path is.
_SECRET_VALUE = re.compile(
    r"(?:sk-|hf_|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza|ya29\.|eyJ)[\w.\-]{8,}"
    r"|(?=[A-Za-z0-9+_=-]*\d)(?=[A-Za-z0-9+_=-]*[A-Za-z])[A-Za-z0-9+_=-]{32,}"
)


def redact_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """Replace what looks like a key: `--api-key VALUE`, `--token=VALUE`, `hf_…`."""
    shown: list[str] = []
    hides_next = False
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if hides_next and not argument.startswith("--"):
            shown.append(HIDDEN)
            hides_next = False
            continue
        is_secret = _is_secret_name(name)
        hides_next = is_secret and not separator and argument.startswith("-")
        if separator and (is_secret or _SECRET_VALUE.fullmatch(value)):
            shown.append(f"{name}={HIDDEN}")
        elif _SECRET_VALUE.fullmatch(argument):
            shown.append(HIDDEN)
        else:
            shown.append(redact_address(argument))
    return tuple(shown)


def redact_address(address: str) -> str:
    """Drop user, password and query from an address such as `s3://key:secret@host/x?sig=…`."""
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, HIDDEN if parts.query else "", ""))


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
