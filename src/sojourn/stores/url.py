"""From what a person types to a store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import unquote, urlsplit

from sojourn.errors import StoreError, UsageError
from sojourn.localpath import local_path
from sojourn.stores.base import check_key

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.progress import Progress
    from sojourn.stores.base import Presentation, Store
    from sojourn.stores.objects import Service

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ONE_SLASH = re.compile(r"(s3|gs|az|hf|kaggle|file|https?):", re.IGNORECASE)
# What is in buckets, and the variables that say who may use them.
_BUCKETS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS to the file with a service account's key",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
# datasets/OWNER/NAME
_HUB_PARTS = 3
# Stores that show each data set on a page of its own.
_WITH_PAGES = frozenset({"kaggle"})
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KNOWN = (
    "kaggle://OWNER/DATASET, hf://datasets/OWNER/NAME, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, "
    "az://CONTAINER/PREFIX, https://HOST/PATH, file:///PATH, or a plain path"
)


def open_store(
    url: str | Path,
    *,
    presentation: Presentation | None = None,
    progress: Progress | None = None,
) -> Store:
    """Return the store at an address; transient failures are tried again.

    It is read in forked processes, too. Nothing is contacted or made yet. Credentials come from
    where the store's own tools look.

    Args:
        url: The address.
        presentation: How a data set that is yet to be made there is shown.
        progress: Is told when something is tried again that takes longer than a second.

    Raises:
        StoreError: the address is of no known kind, or malformed.
        UsageError: such a store shows nothing.
    """
    from sojourn.stores.forking import ForkSafe
    from sojourn.stores.retrying import Retrying

    store = open_bare_store(url, presentation=presentation)
    # The client of the hub may be used on both sides of a fork.
    is_hub = os.fspath(url).lower().startswith("hf:")
    return Retrying(store if is_hub else ForkSafe(store), progress=progress)


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
    if scheme in _BUCKETS:
        return _open_bucket(cast("Service", scheme), rest)
    if scheme == "hf":
        return _open_huggingface(rest)
    if scheme == "kaggle":
        return _open_kaggle(rest, presentation)
    if scheme == "file":
        return _open_file(rest)
    if scheme in ("http", "https"):
        return _open_web(f"{scheme}://{rest}")
    raise StoreError(f"There is no store of kind {scheme}://.", remedy=f"Known are {_KNOWN}.")


def open_object(url: str | Path, *, progress: Progress | None = None) -> Store | None:
    """Return the one object at an address, as a store of its own; None where none can be.

    Whether it is there is not looked at yet. Arguments as in `open_store`.

    Raises:
        StoreError: the address is of no known kind, or malformed.
    """
    from sojourn.stores.one_object import OneObject

    place, slash, key = os.fspath(url).rstrip("/").rpartition("/")
    if is_address(url) and (place.endswith("/") or not slash):
        return None  # a bucket or host alone
    if not is_address(url):
        place = place or ("/" if slash else ".")
    scheme = os.fspath(url).partition(":")[0].lower()
    # In these addresses a percent sign stands for another character.
    key = unquote(key, errors="surrogateescape") if scheme in ("file", "http", "https") else key
    if key in ("", ".", ".."):
        return None
    return OneObject(open_store(place, progress=progress), check_key(key))


def find_local_path(url: str | Path) -> Path | None:
    """Return the path of this machine that an address names; None if it names none of these.

    Raises:
        StoreError: it can be no path.
    """
    address = _ADDRESS.fullmatch(os.fspath(url))
    if address is None:
        return local_path(url, error=StoreError)
    if address[1].lower() != "file":
        return None
    return local_path(unquote(address[2], errors="surrogateescape"), error=StoreError)


def is_address(text: str | Path) -> bool:
    """Tell whether a text is an address with a scheme, such as s3://…, and no plain path."""
    return _ADDRESS.fullmatch(os.fspath(text)) is not None


class _Addressed(Protocol):
    @property
    def url(self) -> str: ...


def last_component(store: _Addressed) -> str:
    """Return the last part of a store's address: what a pull names its folder after.

    A zip's files go into a folder that is called as the zip without its ending.
    """
    name = store.url.rstrip("/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() == ".zip" else name


def _open_path(path: str) -> Store:
    if not path or _ONE_SLASH.match(path):
        raise StoreError(f"{path!r} is not the address of a store.", remedy=f"Write {_KNOWN}.")
    return _open_local(local_path(path, error=StoreError))


def _open_file(rest: str) -> Store:
    if not rest.startswith("/"):
        raise StoreError(
            "A file:// address holds an absolute path and no host.", remedy="Write file:///PATH."
        )
    folder = unquote(rest, errors="surrogateescape")
    return _open_local(local_path(folder, error=StoreError))


def _open_local(folder: Path) -> Store:
    from sojourn.stores.drive import is_on_drive, open_drive
    from sojourn.stores.folders import open_folder

    return open_drive(folder) if is_on_drive(folder) else open_folder(folder)


def _open_bucket(scheme: Service, rest: str) -> Store:
    from sojourn.stores.buckets import open_bucket

    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        # What stands there may be a secret, so it is not repeated.
        raise StoreError(
            f"The address {scheme}:// holds a bucket and a prefix, no credentials and no port.",
            remedy=f"Set {_BUCKETS[scheme]} instead.",
        )
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(
            f"{bucket!r} cannot be the name of a bucket.", remedy=f"Write {scheme}://BUCKET/PREFIX."
        )
    prefix = prefix.strip("/")
    if prefix:
        check_key(prefix)
    return open_bucket(scheme, bucket, prefix, environment=os.environ)


def _open_huggingface(rest: str) -> Store:
    from sojourn.stores.huggingface import open_huggingface

    parts = rest.strip("/").split("/")
    if len(parts) != _HUB_PARTS or parts[0] != "datasets":
        raise StoreError(
            "An hf:// address names a data set on the hub, whole.",
            remedy="Write hf://datasets/OWNER/NAME.",
        )
    return open_huggingface(parts[1], parts[2], environment=os.environ)


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
