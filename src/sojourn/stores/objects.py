"""Folders, memory, S3, Google's and Azure's storage, and web servers as stores, through obstore.

The only file that imports it.
"""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PreconditionError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.localpath import check_reachable
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    check_expected,
    check_key,
    check_prefix,
)
from sojourn.stores.refusals import refusal
from sojourn.stores.waits import ask_wait_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from obstore import PutMode, UpdateVersion
    from obstore.store import ClientConfig, GCSConfig, RetryConfig
    from obstore.store import ObjectStore as Handle

    from sojourn.progress import Progress
    from sojourn.stores.base import Body

# What obstore raises: its own tree, and the built-ins that it uses for common cases.
_REFUSALS = (BaseError, OSError, ValueError, NotImplementedError)

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, as of 2026-01: 10,000 parts,
# objects of up to 50 TB; S3-compatible servers take 5 TB.
_S3_MAX_OBJECT_BYTES = 5 * 10**12
_S3_MAX_PARTS = 9_000
# https://cloud.google.com/storage/quotas, seen 2026-11: 5 TB (newer copies of it: 5 TiB).
_GS_MAX_OBJECT_BYTES = 5 * 10**12
# https://learn.microsoft.com/azure/storage/blobs/scalability-targets, as of 2026-05: 50,000 blocks
# of up to 4,000 MiB.
_AZ_MAX_OBJECT_BYTES = 50_000 * 4_000 << 20
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

_AWS_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_GOOGLE_CREDENTIALS = ("GOOGLE_BEARER_TOKEN",)
_AZURE_CREDENTIALS = (
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
)

# The server says so, or told no version of the object to go by.
_NO_GUARD = re.compile(
    "<Code>NotImplemented<|status code: 501|required for conditional update", re.IGNORECASE
)
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")

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

    def stage(self, key: str, body: Body) -> None:
        """Create or replace the object; it is seen at once."""
        self.put(key, body)

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        """Replace the object if nobody does meanwhile, where the store can tell."""
        check_key(key)
        self._check_writable()
        held, mode = self._held(key)
        check_expected(self, key, held, expected)
        # A folder's files cannot be guarded in a way that every file system knows.
        if self.capabilities.local_folder is not None:
            self.put(key, body)
            return
        try:
            obstore.put(self._to_write(), key, body, mode=mode)
        except (AlreadyExistsError, PreconditionError):
            check_expected(self, key, b"", None)
        except _REFUSALS as error:
            if not _cannot_guard(error):
                raise self._error(error, verb="write", key=key) from error
            self.put(key, body)

    def _held(self, key: str) -> tuple[bytes | None, PutMode]:
        """Return what the object holds, and how to write it if it still does."""
        try:
            found = obstore.get(self._to_read(), key)
            told_by = {"e_tag": found.meta["e_tag"], "version": found.meta["version"]}
            known = {name: value for name, value in told_by.items() if value is not None}
            return bytes(found.bytes()), cast("UpdateVersion", known) if known else "overwrite"
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


def open_folder(
    folder: Path, *, check: Callable[[], None] | None = None, lists_slowly: bool = False
) -> ObjectStore:
    """Return the store that keeps its objects as files in a folder; made when first written to.

    Args:
        folder: Which folder.
        check: Called before each use; raises a `StoreError` where the folder is not what it was.
        lists_slowly: Objects are to be looked up by name.

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
        if check is not None:
            check()
        if not folder.is_dir():
            raise ObjectNotFoundError(
                f"There is no folder {folder}.", remedy="Check the path of the store."
            )
        return LocalStore(folder)

    def to_write() -> Handle:
        if check is not None:
            check()
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)

    return ObjectStore(
        to_read=to_read,
        to_write=to_write,
        url=str(folder),
        capabilities=Capabilities(local_folder=folder.resolve(), lists_slowly=lists_slowly),
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
        _check_endpoint(endpoint, variable="AWS_ENDPOINT_URL")
    _check_printable(environment, _AWS_CREDENTIALS)
    url = f"s3://{bucket}/{prefix}".rstrip("/")
    # Only an endpoint that is itself given as http:// is spoken to in the clear.
    allow_http = endpoint.startswith("http://")
    return _open_buckets(
        lambda silence_s: _s3_handle(bucket, prefix, allow_http=allow_http, silence_s=silence_s),
        url=url,
        silence_s=silence_s,
        capabilities=Capabilities(max_object_bytes=_S3_MAX_OBJECT_BYTES),
    )


def open_gs(
    bucket: str,
    prefix: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = _SILENCE_S,
) -> ObjectStore:
    """Return the store in a bucket of Google Cloud Storage, below a prefix that may be empty.

    Args:
        bucket: The bucket's name.
        prefix: Without slashes at its ends.
        environment: Where STORAGE_EMULATOR_HOST is looked up, the address of an emulator, which is
            asked without credentials; and where what cannot be a credential is refused. obstore
            reads the credentials itself: a service account's key, those of `gcloud auth
            application-default login`, or the machine's own.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: the address, or a credential, cannot be one.
    """
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"  # as Google's own libraries take it
    if emulator:
        _check_endpoint(emulator, variable="STORAGE_EMULATOR_HOST")
    _check_printable(environment, _GOOGLE_CREDENTIALS)

    def handle(silence_s: float) -> Handle:
        options = _client_options(allow_http=emulator.startswith("http://"), silence_s=silence_s)
        config: GCSConfig = {"service_account_key": _nobodys_key(emulator)} if emulator else {}
        return GCSStore(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config=_retry_config(),
        )

    return _open_buckets(
        handle,
        url=f"gs://{bucket}/{prefix}".rstrip("/"),
        silence_s=silence_s,
        capabilities=Capabilities(max_object_bytes=_GS_MAX_OBJECT_BYTES),
    )


def open_az(
    container: str,
    prefix: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = _SILENCE_S,
) -> ObjectStore:
    """Return the store in a container of Azure Blob Storage, below a prefix that may be empty.

    Args:
        container: The container's name.
        prefix: Without slashes at its ends.
        environment: Where AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ENDPOINT and
            AZURE_STORAGE_USE_EMULATOR are looked up, and where what cannot be a credential is
            refused. obstore reads the credentials itself: the AZURE_ variables, `az login`, or
            the machine's own.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: the address, or a credential, cannot be one.
        AccessDeniedError: no account is named.
    """
    emulated = environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    endpoint = environment.get("AZURE_STORAGE_ENDPOINT", "")
    if endpoint:
        _check_endpoint(endpoint, variable="AZURE_STORAGE_ENDPOINT")
    _check_printable(environment, _AZURE_CREDENTIALS)
    if not emulated and not environment.get("AZURE_STORAGE_ACCOUNT_NAME"):
        raise AccessDeniedError(
            f"az://{container} does not say whose container that is.",
            remedy="Set AZURE_STORAGE_ACCOUNT_NAME to the storage account, and "
            "AZURE_STORAGE_ACCOUNT_KEY to a key of it unless `az login` was run.",
        )

    def handle(silence_s: float) -> Handle:
        allow_http = emulated or endpoint.startswith("http://")
        return AzureStore(
            container,
            prefix=prefix or None,
            client_options=_client_options(allow_http=allow_http, silence_s=silence_s),
            retry_config=_retry_config(),
        )

    return _open_buckets(
        handle,
        url=f"az://{container}/{prefix}".rstrip("/"),
        silence_s=silence_s,
        capabilities=Capabilities(max_object_bytes=_AZ_MAX_OBJECT_BYTES),
    )


def _nobodys_key(emulator: str) -> str:
    """Return the key of a service account that asks an emulator and needs no token to do so.

    `skip_signature` would not do: writes ask the machine's own account for a token all the same.
    """
    return json.dumps(
        {
            "gcs_base_url": emulator,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
    )


def _open_buckets(
    handle: Callable[[float], Handle], *, url: str, silence_s: float, capabilities: Capabilities
) -> ObjectStore:
    """Return a store with a handle to read with and a more patient one to write with."""
    try:
        reader, writer = handle(silence_s), handle(_SILENCE_WHILE_SENDING_S)
    except _REFUSALS as error:
        raise refusal(str(error), doing=f"open {url}") from error
    return ObjectStore(
        to_read=lambda: reader, to_write=lambda: writer, url=url, capabilities=capabilities
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
        ask_wait_s=ask_wait_s,
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


def _check_endpoint(endpoint: str, *, variable: str) -> None:
    """Check the address of a server, on which obstore would end the process.

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
            "or unset it for the service itself.",
        )


def _check_printable(environment: Mapping[str, str], names: Sequence[str]) -> None:
    """Check that credentials can stand in a request's headers; obstore would end the process."""
    for name in names:
        if not environment.get(name, "").isprintable():
            raise AccessDeniedError(
                f"{name} holds a line break or another control character.",
                remedy="Set it again, without what surrounds the value.",
            )
