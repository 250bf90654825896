"""For how long a server asks to be left alone: what stands in the head of its answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Draft 9 of the IETF's RateLimit header, as the hub sends it: "api";r=0;t=55
# https://huggingface.co/docs/hub/rate-limits, as of 2026-09.
_RATE_LIMIT = re.compile(r";\s*r=0\s*;\s*t=(\d+)")
_ANSWER_WITHIN_S = 4.0
_ASK_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a server asks to be left alone; None if it does not say.

    A date is counted from the server's own clock, which stands in the answer: that of this machine
    may be wrong.
    """
    found = {name.lower(): value.strip() for name, value in headers.items()}
    limit = _RATE_LIMIT.search(found.get("ratelimit", ""))
    if limit:
        return float(limit[1])
    after = found.get("retry-after", "")
    if after.isdigit():
        return float(after)
    until, now = _instant(after), _instant(found.get("date", ""))
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    # HTTP's dates are all in GMT, whether they say so or not.
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def ask_wait_s(address: str) -> float | None:
    """Ask a web server for how long it wants to be left alone; None if it does not say.

    For those whose library keeps the head of a refusal to itself.
    """
    import httpx

    try:
        answer = httpx.head(address, timeout=_ANSWER_WITHIN_S)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return asked_wait_s(answer.headers) if answer.status_code in _ASK_TO_WAIT else None
