"""From what a person types to a store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sojourn.errors import StoreError, UsageError
from sojourn.localpath import local_path
from sojourn.stores.base import check_key

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.stores.base import Presentation, Store

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ONE_SLASH = re.compile(r"(s3|kaggle|file|https?):", re.IGNORECASE)
# Stores that show each data set on a page of its own.
_WITH_PAGES = frozenset({"kaggle"})
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KNOWN = (
    "kaggle://OWNER/DATASET, s3://BUCKET/PREFIX, https://HOST/PATH, file:///PATH, or a plain path"
)


def open_store(url: str | Path, *, presentation: Presentation | None = None) -> Store:
    """Return the store at an address; transient failures are tried again.

    It is read in forked processes, too. Nothing is contacted or made yet. Credentials come from
    where the store's own tools look.

    Args:
        url: The address.
        presentation: How a data set that is yet to be made there is shown.

    Raises:
        StoreError: the address is of no known kind, or malformed.
        UsageError: such a store shows nothing.
    """
    from sojourn.stores.forking import ForkSafe
    from sojourn.stores.retrying import Retrying

    return Retrying(ForkSafe(open_bare_store(url, presentation=presentation)))


def open_bare_store(url: str | Path, *, presentation: Presentation | None = None) -> Store:
    """Return the store at an address itself, which tries once. See `open_store`."""
    url = os.fspath(url)
    address = _ADDRESS.fullmatch(url)
    if presentation is not None and (address is None or address[1].lower() not in _WITH_PAGES):
        raise UsageError(
            f"{url} has no page with a title, a licence and readers.",
            remedy="Leave out --title, --license and --public.",
        )
    if address is None:
        return _open_path(url)
    scheme, rest = address[1].lower(), address[2]
    if scheme == "s3":
        return _open_s3(rest)
    if scheme == "kaggle":
        return _open_kaggle(rest, presentation)
    if scheme == "file":
        return _open_file(rest)
    if scheme in ("http", "https"):
        return _open_web(f"{scheme}://{rest}")
    raise StoreError(f"There is no store of kind {scheme}://.", remedy=f"Known are {_KNOWN}.")


def is_address(text: str | Path) -> bool:
    """Tell whether a text is an address with a scheme, such as s3://…, and no plain path."""
    return _ADDRESS.fullmatch(os.fspath(text)) is not None


def last_component(store: Store) -> str:
    """Return the last part of a store's address: what a pull names its folder after."""
    return store.url.rstrip("/").rpartition("/")[2]


def _open_path(path: str) -> Store:
    from sojourn.stores.objects import open_folder

    if not path or _ONE_SLASH.match(path):
        raise StoreError(f"{path!r} is not the address of a store.", remedy=f"Write {_KNOWN}.")
    return open_folder(local_path(path, error=StoreError))


def _open_file(rest: str) -> Store:
    from sojourn.stores.objects import open_folder

    if not rest.startswith("/"):
        raise StoreError(
            "A file:// address holds an absolute path and no host.", remedy="Write file:///PATH."
        )
    folder = unquote(rest, errors="surrogateescape")
    return open_folder(local_path(folder, error=StoreError))


def _open_s3(rest: str) -> Store:
    from sojourn.stores.objects import open_s3

    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        # What stands there may be a secret, so it is not repeated.
        raise StoreError(
            "An s3:// address holds a bucket and a prefix, no credentials and no port.",
            remedy="Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL instead.",
        )
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(
            f"{bucket!r} cannot be the name of a bucket.", remedy="Write s3://BUCKET/PREFIX."
        )
    prefix = prefix.strip("/")
    if prefix:
        check_key(prefix)
    return open_s3(bucket, prefix, environment=os.environ)


def _open_kaggle(rest: str, presentation: Presentation | None) -> Store:
    from sojourn.stores.kaggle import open_kaggle

    return open_kaggle(rest, environment=os.environ, presentation=presentation)


def _open_web(url: str) -> Store:
    from sojourn.stores.objects import open_http

    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or "?" in url or "#" in url or not url.isprintable() or "\\" in url:
        # What stands there may be a secret, so it is not repeated.
        raise StoreError(
            "An https:// address holds a host and a path, no credentials and nothing after ? or #.",
            remedy="Write https://HOST/PATH. What needs credentials is read through s3://.",
        )
    return open_http(url)
