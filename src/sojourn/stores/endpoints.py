"""Addresses of servers that variables hold: AWS_ENDPOINT_URL, HF_ENDPOINT."""

from __future__ import annotations

from urllib.parse import urlsplit

from sojourn.errors import StoreError


def check_endpoint(endpoint: str, *, variable: str, service: str = "the service itself") -> None:
    """Check the address of a server; obstore would end the process on what is none.

    Args:
        endpoint: What the variable holds.
        variable: Its name.
        service: What is asked where it is not set.

    Raises:
        StoreError: it is none. It is not repeated: it may hold a secret.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in endpoint or any(c.isspace() for c in endpoint):
        raise StoreError(
            f"{variable} is not the address of a server.",
            remedy="Set it to https://HOST or https://HOST:PORT, without credentials, "
            f"or unset it for {service}.",
        )
