"""How kagglesdk's session is held: limits of time, and redirects that are shown, not followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from collections.abc import Callable

# kagglesdk sets none of its own, and would wait for ever. Kaggle answers a version of many files
# slowly: 5 s to connect, and 120 s without a byte.
_TIMEOUT_S = (5.0, 120.0)


def set_limits(http_client: Any) -> None:
    """Give the SDK's session limits of time, and let it show redirects instead of following them.

    The session has no public name; where it is not found, all still works, only without limits
    and with a request more for each file.
    """
    import requests.adapters

    class Patient(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *rest: Any, **options: Any) -> Any:
            options["timeout"] = options.get("timeout") or _TIMEOUT_S
            return super().send(request, *rest, **options)

    session = getattr(http_client, "_session", None)
    if session is not None:
        for scheme in ("https://", "http://"):
            session.mount(scheme, Patient(pool_maxsize=16))
        session.max_redirects = 0


def redirected_to(call: Callable[[], Any]) -> str:
    """Return the address that a call is redirected to."""
    import requests

    try:
        response = call()
    except requests.TooManyRedirects as error:
        response = error.response
        assert response is not None  # noqa: S101 - for mypy; requests gives it with this error
        location = response.headers["Location"]
        response.close()
        return urljoin(response.url, location)
    response.close()
    return str(response.url)
