"""Folders, memory, S3, Google's and Azure's storage, and web servers as stores, through obstore.

The only file that imports it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from urllib.parse import quote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PreconditionError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    changed_meanwhile,
    check_key,
    check_prefix,
    needs_write,
)
from sojourn.stores.pages import check_no_page, is_called_page
from sojourn.stores.refusals import refusal
from sojourn.stores.waits import ask_wait_s
from sojourn.stores.whole import check_size, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from obstore import GetResult, PutMode, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as ObstoreStore

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Swap

Handle: TypeAlias = "ObstoreStore"
Service: TypeAlias = Literal["s3", "gs", "az"]

# What obstore raises: its own tree, and the built-ins that it uses for common cases.
_REFUSALS = (BaseError, OSError, ValueError, NotImplementedError)

# S3 takes 10,000 parts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
_MOST_PARTS = 9_000
_PART_BYTES = 8 << 20
# Four parts under way: an uplink of 4 Mbit/s still sends each within _SILENCE_WHILE_SENDING_S.
_PARTS_AT_ONCE = 4

_CONNECT = timedelta(seconds=4)
# No byte for this long means that the connection is dead. While a part is sent none comes.
SILENCE_S = 12.0
_SILENCE_WHILE_SENDING_S = 90.0
_WHOLE_REQUEST = timedelta(minutes=15)
# A server that is not there is told within seconds; longer waits are `Retrying`'s to decide.
_RETRIES = 2
# Shorter than SILENCE_S: with `Retrying` above, a server that is silent is asked twice.
_RETRY_WINDOW = timedelta(seconds=5)

_SERVICES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

# The server says so, or told no version of the object to go by.
_NO_GUARD = re.compile(
    "<Code>NotImplemented<|status code: 501|required for conditional update", re.IGNORECASE
)
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")

# obstore's threads are those of the process that imports it.
_HOME_PROCESS = os.getpid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where a bucket is, and how its service is asked.

    Attributes:
        service: Whose it is, as in addresses.
        name: What it is called there.
        prefix: Of all keys, without slashes at its ends; may be empty.
        max_object_bytes: The largest object that the service takes.
        allow_http: The service may be spoken to in the clear, if its address says so.
        config: What obstore does not find in the variables of the process.
    """

    service: Service
    name: str
    prefix: str
    max_object_bytes: int
    allow_http: bool
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """How a person names it."""
        return f"{self.service}://{self.name}/{self.prefix}".rstrip("/")


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
        ask_wait_s: Callable[[str], float | None] | None = None,
    ) -> None:
        """Keep what is given; nothing is opened yet.

        Args:
            to_read: Returns obstore's store.
            to_write: The same, but makes the place where the objects go if there is none.
            url: How a person names the store.
            capabilities: What it can do.
            ask_wait_s: Tells, for the address of an object that was refused since too many asked,
                for how many seconds to wait: obstore keeps to itself what the server said.
        """
        self._ask_wait_s = ask_wait_s
        self._to_read = to_read
        self._to_write = to_write
        self.url = url
        self.capabilities = capabilities

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        check_key(key)
        try:
            return self._whole(obstore.get(self._to_read(), key), key)
        except _REFUSALS as error:
            raise self._error(error, verb="read", key=key) from error

    def _whole(self, found: GetResult, key: str) -> bytes:
        address = f"{self.url.rstrip('/')}/{key}"
        check_size(int(found.meta["size"]), address=address)
        if self.capabilities.local_folder is not None:
            return bytes(found.bytes())
        # Each piece as soon as it is there: one that is waited for until it is large is never seen
        # to be slow.
        return gather((memoryview(piece) for piece in found.stream(1)), address=address)

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
        part_bytes = max(_PART_BYTES, body_size_bytes(body) // _MOST_PARTS)
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

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Replace the object if nobody does meanwhile, where the store can tell.

        What was put was seen when that returned.
        """
        del message, progress
        if swap is None:
            return
        check_key(swap.key)
        self._check_writable()
        held, mode = self._held(swap.key)
        if needs_write(swap, held=held, url=self.url):
            self._replace(swap, mode)

    def _replace(self, swap: Swap, mode: PutMode) -> None:
        # A folder's files cannot be guarded in a way that every file system knows.
        if self.capabilities.local_folder is not None:
            self.put(swap.key, swap.body)
            return
        try:
            obstore.put(self._to_write(), swap.key, swap.body, mode=mode)
        except (AlreadyExistsError, PreconditionError) as error:
            raise changed_meanwhile(swap.key, url=self.url) from error
        except _REFUSALS as error:
            if not _cannot_guard(error):
                raise self._error(error, verb="write", key=swap.key) from error
            self.put(swap.key, swap.body)

    def _held(self, key: str) -> tuple[bytes | None, PutMode]:
        """Return what the object holds, and how to write it if it still does."""
        try:
            found = obstore.get(self._to_read(), key)
            told_by = {"e_tag": found.meta["e_tag"], "version": found.meta["version"]}
            known = {name: value for name, value in told_by.items() if value is not None}
            data = self._whole(found, key)
            return data, cast("UpdateVersion", known) if known else "overwrite"
        except _REFUSALS as error:
            told = self._error(error, verb="read", key=key)
            if not isinstance(told, ObjectNotFoundError):
                raise told from error
            return None, "create"

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
                    yield StoredObject(
                        key=str(entry["path"]),
                        size_bytes=int(entry["size"]),
                        version=entry["e_tag"],
                    )
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
        if self._ask_wait_s is not None and "status code: 429" in str(error):
            wait_s = self._ask_wait_s(f"{self.url}/{quote(key)}")
            return StoreUnavailableError(told.message, remedy=told.remedy, wait_s=wait_s)
        if type(told) is not StoreError:
            return told
        # obstore's classes decide where the text said nothing that the table knows.
        if isinstance(error, PermissionError):
            return AccessDeniedError(told.message, remedy=told.remedy)
        if isinstance(error, FileNotFoundError) and not _NO_BUCKET.search(str(error)):
            return ObjectNotFoundError(
                f"Could not {doing}: there is no such object.", remedy="Check the address."
            )
        return told


class WebStore(ObjectStore):
    """A store over a web server, which may give out a page where there is no such file."""

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        check_key(key)
        try:
            found = obstore.get(self._to_read(), key)
            data = self._whole(found, key)
        except _REFUSALS as error:
            raise self._error(error, verb="read", key=key) from error
        if is_called_page(key, _attributes(found)):
            check_no_page(data, address=f"{self.url}/{key}")
        return data

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None.

        Raises:
            ObjectNotFoundError: there is a page.
        """
        check_key(key)
        try:
            found = obstore.get(self._to_read(), key, options={"head": True})
            is_called = is_called_page(key, _attributes(found))
            beginning = self._beginning(key) if is_called else b""
        except _REFUSALS as error:
            looked = self._error(error, verb="look up", key=key)
            if isinstance(looked, ObjectNotFoundError):
                return None
            raise looked from error
        check_no_page(beginning, address=f"{self.url}/{key}")
        return int(found.meta["size"])

    def _beginning(self, key: str) -> bytes:
        # Not a range, which some servers do not know: all is asked for, and left at once.
        stream = obstore.get(self._to_read(), key).stream(min_chunk_size=1)
        return bytes(next(iter(stream), b""))


def _attributes(found: GetResult) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in found.attributes.items()}


def _cannot_guard(error: Exception) -> bool:
    """Tell whether the server knows no writes that depend on what is there."""
    if isinstance(error, (NotImplementedError, NotSupportedError)):
        return True
    return _NO_GUARD.search(str(error)) is not None


def open_memory() -> ObjectStore:
    """Return a new, empty store that lives as long as this process."""
    memory = MemoryStore()
    return ObjectStore(
        to_read=lambda: memory,
        to_write=lambda: memory,
        url="memory://",
        capabilities=Capabilities(),
    )


def local_handle(folder: Path) -> Handle:
    """Return obstore's store in a folder that is there."""
    return LocalStore(folder)


def open_http(url: str, *, silence_s: float = SILENCE_S) -> ObjectStore:
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
    return WebStore(
        to_read=lambda: handle,
        to_write=lambda: handle,
        url=url,
        capabilities=Capabilities(read_only=True, can_list=False),
        ask_wait_s=ask_wait_s,
    )


def open_at(bucket: Bucket, *, silence_s: float) -> ObjectStore:
    """Return the store in a bucket, with a handle to read with and a more patient one to write.

    Args:
        bucket: Which one.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: obstore takes none of it.
    """

    def handle(silence_s: float) -> Handle:
        make: Any = _SERVICES[bucket.service]
        made: Handle = make(
            bucket.name,
            prefix=bucket.prefix or None,
            config=dict(bucket.config),
            client_options=_client_options(allow_http=bucket.allow_http, silence_s=silence_s),
            retry_config=_retry_config(),
        )
        return made

    try:
        reader, writer = handle(silence_s), handle(_SILENCE_WHILE_SENDING_S)
    except _REFUSALS as error:
        raise refusal(str(error), doing=f"open {bucket.url}") from error
    return ObjectStore(
        to_read=lambda: reader,
        to_write=lambda: writer,
        url=bucket.url,
        capabilities=Capabilities(max_object_bytes=bucket.max_object_bytes),
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
