"""What the Hugging Face Hub answers when it refuses, and which of our errors that is.

Knows statuses, headers and texts, not the hub's client, so that it can be tested with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.errors import (
    AccessDeniedError,
    ConflictError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.refusals import NO_SERVER, without_userinfo
from sojourn.stores.waits import asked_wait_s

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG_IN = (
    "Check the address; for a private data set log in with `hf auth login`, or set HF_TOKEN to a "
    "token from https://huggingface.co/settings/tokens."
)
_RIGHTS = "Use a token that may do that: https://huggingface.co/settings/tokens."
_AGAIN = "Check the network, then run it again."
_ROOM = "Free some space there, or see https://huggingface.co/docs/hub/storage-limits."

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

_FULL = re.compile(r"storage (limit|quota)|quota exceeded|too many files", re.IGNORECASE)
_LONGEST_REASON = 240
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that is none of the good ones.

    Attributes:
        status: HTTP's number.
        headers: The names in any case.
        reason: What the hub says for people to read; may be empty.
    """

    status: int
    headers: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What a status means; `quotes`: the hub's own words say more."""

    error: type[StoreError]
    why: str
    remedy: str
    quotes: bool = False


_TABLE = {
    # Who is not logged in is not told whether a data set is private or is not there.
    401: _Row(
        error=AccessDeniedError,
        why="there is no such data set, or it is not shown to you",
        remedy=_LOG_IN,
    ),
    402: _Row(error=StoreError, why="that has to be paid for", remedy=_ROOM, quotes=True),
    403: _Row(error=AccessDeniedError, why="the hub denies access", remedy=_RIGHTS, quotes=True),
    404: _Row(
        error=ObjectNotFoundError, why="there is no such object", remedy="Check the address."
    ),
    409: _Row(
        error=ConflictError, why="somebody else changed it meanwhile", remedy="Try it again."
    ),
    410: _Row(error=ObjectNotFoundError, why="it was removed", remedy="Check the address."),
    412: _Row(
        error=ConflictError, why="somebody else changed it meanwhile", remedy="Try it again."
    ),
    413: _Row(error=StoreError, why="it is too large", remedy=_ROOM, quotes=True),
}


def hub_refusal(answer: Answer, *, doing: str) -> StoreError:
    """Return the error that an answer stands for.

    Args:
        answer: What the hub said.
        doing: What was tried, on what: "read hf://datasets/me/leaks/sojourn.json".
    """
    what = f"Could not {doing}:"
    told = f" and says: {_shortened(answer.reason)}" if answer.reason else ""
    if answer.status in _BUSY:
        return _busy(answer, what)
    if _FULL.search(answer.reason):
        return StoreError(f"{what} there is no room{told}.", remedy=_ROOM)
    row = _TABLE.get(answer.status)
    if row is None:
        why = f"the hub answered {answer.status}"
        return StoreError(f"{what} {why}{told}.", remedy="Check the address.")
    return row.error(f"{what} {row.why}{told if row.quotes else ''}.", remedy=row.remedy)


def unreachable(reason: str, *, doing: str, host: str = "") -> StoreError:
    """Return the error for a request that got no answer.

    Args:
        reason: What the library said.
        doing: What was tried, on what.
        host: Who was asked, if that is known.
    """
    refused_here = host in _THIS_MACHINE and "refused" in reason
    nobody = refused_here or NO_SERVER.search(reason) is not None
    return StoreUnavailableError(
        f"Could not {doing}: {_shortened(reason) or 'the connection broke'}.",
        remedy=_AGAIN,
        is_absent=nobody,
    )


def _busy(answer: Answer, what: str) -> StoreError:
    wait_s = asked_wait_s(answer.headers)
    if wait_s is None:
        return StoreUnavailableError(f"{what} the hub is busy.", remedy=_AGAIN)
    return StoreUnavailableError(
        f"{what} the hub asks to be left alone for {wait_s:.0f} s.",
        remedy="Run it again after that time.",
        wait_s=wait_s,
    )


def _shortened(reason: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in reason.strip().partition("\n")[0])
    return without_userinfo(line)[:_LONGEST_REASON].rstrip(". ")
