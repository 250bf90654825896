"""Folders, memory, S3 and web servers as stores, through obstore. The only file that imports it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from sojourn.localpath import check_reachable
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    check_key,
    check_prefix,
)
from sojourn.stores.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Handle

    from sojourn.progress import Progress
    from sojourn.stores.base import Body

# What obstore raises: its own tree, and the built-ins that it uses for common cases.
_REFUSALS = (BaseError, OSError, ValueError, NotImplementedError)

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, as of 2026-01: 10,000 parts,
# objects of up to 50 TB; S3-compatible servers take 5 TB.
_S3_MAX_OBJECT_BYTES = 5 * 10**12
_S3_MAX_PARTS = 9_000
_PART_BYTES = 8 << 20
# Four parts under way: an uplink of 4 Mbit/s still sends each within _SILENCE_WHILE_SENDING_S.
_PARTS_AT_ONCE = 4

_CONNECT = timedelta(seconds=4)
# No byte for this long means that the connection is dead. While a part is sent none comes.
_SILENCE_S = 12.0
_SILENCE_WHILE_SENDING_S = 90.0
_WHOLE_REQUEST = timedelta(minutes=15)
# A server that is not there is told within seconds; longer waits are `Retrying`'s to decide.
_RETRIES = 2
# Shorter than _SILENCE_S: with `Retrying` above, a server that is silent is asked twice.
_RETRY_WINDOW = timedelta(seconds=5)

# obstore's threads are those of the process that imports it.
_HOME_PROCESS = os.getpid()


def was_forked() -> bool:
    """Tell whether this process was forked from one with obstore, which would never answer here."""
    return os.getpid() != _HOME_PROCESS


class ObjectStore:
    """A store over one obstore handle."""

    def __init__(
        self,
        *,
        to_read: Callable[[], Handle],
        to_write: Callable[[], Handle],
        url: str,
        capabilities: Capabilities,
    ) -> None:
        """Keep what is given; nothing is opened yet.

        Args:
            to_read: Returns obstore's store.
            to_write: The same, but makes the place where the objects go if there is none.
            url: How a person names the store.
            capabilities: What it can do.
        """
        self._to_read = to_read
        self._to_write = to_write
        self.url = url
        self.capabilities = capabilities

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        check_key(key)
        try:
            return bytes(obstore.get(self._to_read(), key).bytes())
        except _REFUSALS as error:
            raise self._error(error, verb="read", key=key) from error

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object, fewer bytes where it ends sooner."""
        check_key(key)
        try:
            handle = self._to_read()
            return bytes(obstore.get_range(handle, key, start=offset, length=size_bytes))
        except _REFUSALS as error:
            told = self._error(error, verb="read", key=key)
            if told.retryable:
                raise told from error
            found_bytes = self.find(key)
            # Stores refuse a range that begins at or after the end, each in its own words.
            if found_bytes is not None and (offset >= found_bytes or size_bytes == 0):
                return b""
            raise told from error

    def put(self, key: str, body: Body) -> None:
        """Create or replace the object, in parts where it is large."""
        check_key(key)
        self._check_writable()
        part_bytes = max(_PART_BYTES, body_size_bytes(body) // _S3_MAX_PARTS)
        try:
            obstore.put(
                self._to_write(),
                key,
                body,
                chunk_size=part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except _REFUSALS as error:
            raise self._error(error, verb="write", key=key) from error

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        check_prefix(prefix)
        if not self.capabilities.can_list:
            raise StoreError(
                f"What {self.url} holds cannot be listed: a web server only gives what is named.",
                remedy="Name what is wanted.",
            )
        try:
            for batch in obstore.list(self._to_read(), prefix.rstrip("/") or None):
                for entry in batch:
                    yield StoredObject(key=str(entry["path"]), size_bytes=int(entry["size"]))
        except _REFUSALS as error:
            listing = self._error(error, verb="list", key=prefix)
            # A folder that is not there yet holds nothing.
            if not isinstance(listing, ObjectNotFoundError):
                raise listing from error

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        check_key(key)
        try:
            return int(obstore.head(self._to_read(), key)["size"])
        except _REFUSALS as error:
            looked = self._error(error, verb="look up", key=key)
            if isinstance(looked, ObjectNotFoundError):
                return None
            raise looked from error

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        check_key(key)
        self._check_writable()
        try:
            obstore.delete(self._to_read(), key)
        except _REFUSALS as error:
            deletion = self._error(error, verb="delete", key=key)
            if not isinstance(deletion, ObjectNotFoundError):
                raise deletion from error

    def commit(self, *, message: str, progress: Progress) -> None:
        """Do nothing: each put is seen when it returns."""

    def room_bytes(self) -> int | None:
        """Return None: an object store does not say."""
        return None

    def _check_writable(self) -> None:
        if self.capabilities.read_only:
            raise StoreError(
                f"{self.url} can only be read.",
                remedy="Write to the place that the server serves from: a folder, or s3://.",
            )

    def _error(self, error: Exception, *, verb: str, key: str) -> StoreError:
        if isinstance(error, StoreError):
            return error
        doing = f"{verb} {self.url.rstrip('/')}/{key}"
        told = refusal(str(error), doing=doing)
        if type(told) is not StoreError:
            return told
        # obstore's classes decide where the text said nothing that the table knows.
        if isinstance(error, PermissionError):
            return AccessDeniedError(told.message, remedy=told.remedy)
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            return ObjectNotFoundError(
                f"Could not {doing}: there is no such object.", remedy="Check the address."
            )
        return told


def open_memory() -> ObjectStore:
    """Return a new, empty store that lives as long as this process."""
    memory = MemoryStore()
    return ObjectStore(
        to_read=lambda: memory,
        to_write=lambda: memory,
        url="memory://",
        capabilities=Capabilities(),
    )


def open_folder(folder: Path) -> ObjectStore:
    """Return the store that keeps its objects as files in a folder; made when first written to.

    Raises:
        StoreError: the path is a file, or cannot be looked at.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links
    check_reachable(folder, error=StoreError)
    if folder.exists() and not folder.is_dir():
        raise StoreError(
            f"{folder} is a file, and a store is a folder.",
            remedy="Name a folder, or a path that does not exist yet.",
        )

    def to_read() -> Handle:
        if not folder.is_dir():
            raise ObjectNotFoundError(
                f"There is no folder {folder}.", remedy="Check the path of the store."
            )
        return LocalStore(folder)

    def to_write() -> Handle:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)

    return ObjectStore(
        to_read=to_read,
        to_write=to_write,
        url=str(folder),
        capabilities=Capabilities(local_folder=folder.resolve()),
    )


def open_s3(
    bucket: str,
    prefix: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = _SILENCE_S,
) -> ObjectStore:
    """Return the store in an S3 bucket, below a prefix that may be empty.

    Args:
        bucket: The bucket's name.
        prefix: Without slashes at its ends.
        environment: Where the address of the server is looked up, and where what cannot be a
            credential is refused. obstore reads the credentials itself, from the AWS_ variables
            of the process or from the machine's or container's role.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: the address, or a credential, cannot be one.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        _check_endpoint(endpoint)
    _check_credentials(environment)
    url = f"s3://{bucket}/{prefix}".rstrip("/")
    # Only an endpoint that is itself given as http:// is spoken to in the clear.
    allow_http = endpoint.startswith("http://")
    try:
        reader = _s3_handle(bucket, prefix, allow_http=allow_http, silence_s=silence_s)
        writer = _s3_handle(
            bucket, prefix, allow_http=allow_http, silence_s=_SILENCE_WHILE_SENDING_S
        )
    except _REFUSALS as error:
        raise refusal(str(error), doing=f"open {url}") from error
    return ObjectStore(
        to_read=lambda: reader,
        to_write=lambda: writer,
        url=url,
        capabilities=Capabilities(max_object_bytes=_S3_MAX_OBJECT_BYTES),
    )


def open_http(url: str, *, silence_s: float = _SILENCE_S) -> ObjectStore:
    """Return the store that a web server gives out below an address; it can only be read.

    Args:
        url: `http://` or `https://`, without credentials, query and fragment.
        silence_s: After how many seconds without a byte the server is given up.

    Raises:
        StoreError: the address cannot be one.
    """
    url = url.rstrip("/")
    try:
        # An https:// address is not left for one in the clear, wherever the server sends to.
        options = _client_options(allow_http=url.startswith("http://"), silence_s=silence_s)
        handle = HTTPStore.from_url(url, client_options=options, retry_config=_retry_config())
    except _REFUSALS as error:
        raise refusal(str(error), doing=f"open {url}") from error
    return ObjectStore(
        to_read=lambda: handle,
        to_write=lambda: handle,
        url=url,
        capabilities=Capabilities(read_only=True, can_list=False),
    )


def _s3_handle(bucket: str, prefix: str, *, allow_http: bool, silence_s: float) -> S3Store:
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options=_client_options(allow_http=allow_http, silence_s=silence_s),
        retry_config=_retry_config(),
    )


def _client_options(*, allow_http: bool, silence_s: float) -> ClientConfig:
    return {
        "allow_http": allow_http,
        # With HTTP/2 all requests would share one connection, and its speed.
        "http1_only": True,
        "connect_timeout": _CONNECT,
        "read_timeout": timedelta(seconds=silence_s),
        "timeout": _WHOLE_REQUEST,
    }


def _retry_config() -> RetryConfig:
    return {
        "max_retries": _RETRIES,
        "retry_timeout": _RETRY_WINDOW,
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=1),
            "base": 2,
        },
    }


def _check_endpoint(endpoint: str) -> None:
    """Check the address of an S3 server, on which obstore would end the process.

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
            "AWS_ENDPOINT_URL is not the address of a server.",
            remedy="Set it to https://HOST or https://HOST:PORT, without credentials, "
            "or unset it for AWS itself.",
        )


def _check_credentials(environment: Mapping[str, str]) -> None:
    """Check that credentials can stand in a request's headers; obstore would end the process."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if not environment.get(name, "").isprintable():
            raise AccessDeniedError(
                f"{name} holds a line break or another control character.",
                remedy="Set it again, without what surrounds the value.",
            )
