"""Data sets on the Hugging Face Hub as a store. The only file that imports huggingface_hub.

A repository there is a git repository with large files beside it, so a write is a commit, and a
hub takes few of them. What is staged goes to the hub's storage at once, and into the repository
with the next `swap`: a push of up to a hundred shards is one commit.

Not for models and spaces, and never for another branch than main.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from sojourn.errors import (
    AccessDeniedError,
    MissingPackageError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    check_expected,
    check_key,
    check_prefix,
)
from sojourn.stores.hub_refusals import Answer, hub_refusal, unreachable
from sojourn.stores.huggingface_credentials import find_huggingface_credentials
from sojourn.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from huggingface_hub import CommitOperationAdd, HfApi

    from sojourn.progress import Progress
    from sojourn.stores.base import Body

# https://huggingface.co/docs/hub/storage-limits, seen 2026-11: no file above 500 GB, no folder
# with more than 10,000 files, and 50 to 100 files in a commit, for it has to be done in 60 s.
_MAX_OBJECT_BYTES = 500 * 10**9
_MAX_FOLDER_ENTRIES = 10_000
_MAX_FILES_IN_COMMIT = 100
# https://huggingface.co/docs/hub/repositories-getting-started, seen 2026-11: a push with a larger
# file that is not kept beside the repository is rejected.
_MAX_SMALL_FILE_BYTES = 10 * MIB
# Up to here, files wait in memory for the commit, which then asks once how to send all of them.
_MAX_WAITING_BYTES = 256 * 1024

# The hub makes it with each repository: which files are large. It is no object of ours.
_HIDDEN_KEYS = frozenset({".gitattributes"})
_REPO_TYPE = "dataset"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")

_CONNECT_S = 4.0
# No byte for this long means that the connection is dead.
_SILENCE_S = 12.0
_SILENCE_WHILE_SENDING_S = 90.0
# How often a commit is tried anew on top of what others committed meanwhile.
_ATTEMPTS_TO_COMMIT = 8

_BEYOND = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
# What the hub answers to a commit on top of one that is not the newest any more.
_MOVED_ON = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)


def open_huggingface(
    owner: str,
    name: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = _SILENCE_S,
) -> HuggingFaceStore:
    """Return the store in a data set repository of the hub; made, private, when first written to.

    Args:
        owner: A user or an organization.
        name: Of the data set.
        environment: Where HF_ENDPOINT is looked up, the address of another hub. huggingface_hub
            finds the token itself: HF_TOKEN, Colab's secret of that name, `hf auth login`.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: owner or name cannot be one.
        AccessDeniedError: what is found as a token cannot be one.
        MissingPackageError: huggingface_hub is not installed.
    """
    for part in (owner, name):
        if not _NAME.fullmatch(part) or ".." in part or "--" in part:
            # What stands there may be a secret, so it is not repeated.
            raise StoreError(
                "That cannot be the name of an owner or a data set on the hub.",
                remedy="Write hf://datasets/OWNER/NAME.",
            )
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingPackageError(
            "hf:// addresses need the package huggingface_hub.",
            remedy="Run `pip install 'sojourn[hf]'`.",
        ) from error
    # The client reads the token itself, and a file of it that others can read as well.
    find_huggingface_credentials(environment)
    _check_token()
    _mute_what_is_known()
    endpoint = environment.get("HF_ENDPOINT", "").rstrip("/") or None
    if endpoint is not None:
        _check_endpoint(endpoint)
    api = HfApi(endpoint=endpoint, library_name="sojourn")
    return HuggingFaceStore(api, f"{owner}/{name}", silence_s=silence_s)


class HuggingFaceStore:
    """A data set repository, at the head of its main branch."""

    def __init__(self, api: HfApi, repo: str, *, silence_s: float = _SILENCE_S) -> None:
        self._api = api
        self._repo = repo
        # Connect, read, write; a request that waits for others of this process is not given up.
        self._timeout = (_CONNECT_S, silence_s, _SILENCE_WHILE_SENDING_S, None)
        # Where the hub's storage has a file: a signed address, good for an hour or so.
        self._places: dict[str, str] = {}
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._staged: dict[str, CommitOperationAdd] = {}
        self._folders: dict[str, set[str]] = {}
        self._is_made = False

    @property
    def url(self) -> str:
        """How a person names the store."""
        return f"hf://datasets/{self._repo}"

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""
        return Capabilities(
            max_object_bytes=_MAX_OBJECT_BYTES, max_folder_entries=_MAX_FOLDER_ENTRIES
        )

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        check_key(key)
        with _telling(f"read {self.url}/{key}"):
            return self._fetch(self._address(key), key)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object, fewer bytes where it ends sooner."""
        check_key(key)
        with _telling(f"read {self.url}/{key}"):
            if size_bytes == 0:
                self._size_bytes(key)
                return b""
            wanted = _Range(first=offset, size_bytes=size_bytes)
            known = self._places.get(key)
            if known is not None:
                found = self._fetch_signed(known, key, wanted)
                if found is not None:
                    return found
            return self._fetch(self._address(key), key, wanted)

    def put(self, key: str, body: Body) -> None:
        """Create or replace the object, in a commit of its own."""
        with _telling(f"write {self.url}/{key}"):
            operation = self._sent(key, body)
            self._commit([operation])

    def stage(self, key: str, body: Body) -> None:
        """Send the object; it is in the repository with the next `swap`, or the next hundredth."""
        with _telling(f"write {self.url}/{key}"):
            operation = self._sent(key, body)
            with self._lock:
                self._staged[key] = operation
                if len(self._staged) < _MAX_FILES_IN_COMMIT - 1:
                    return
                full = self._take_staged()
            self._commit_or_keep(full)

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        """Replace the object if nobody changed it, in one commit with all that was staged."""
        with _telling(f"write {self.url}/{key}"):
            operation = self._sent(key, body)
            with self._lock:
                staged = self._take_staged()
            try:
                self._commit([*staged.values(), operation], guarded=(key, expected))
            except BaseException:
                self._keep(staged)
                raise

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        check_prefix(prefix)
        for entry in self._entries(prefix.rstrip("/"), recursive=True):
            size_bytes = getattr(entry, "size", None)
            if size_bytes is not None and entry.path not in _HIDDEN_KEYS:
                large = getattr(entry, "lfs", None)
                yield StoredObject(
                    key=entry.path,
                    size_bytes=size_bytes,
                    digest=f"sha256:{large.sha256}" if large else None,
                    version=entry.blob_id,
                )

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        check_key(key)
        try:
            with _telling(f"look up {self.url}/{key}"):
                return self._size_bytes(key)
        except ObjectNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Remove the object if it is there, in a commit of its own."""
        from huggingface_hub import CommitOperationDelete

        check_key(key)
        if self.find(key) is None:
            return
        try:
            with _telling(f"delete {self.url}/{key}"):
                self._commit([CommitOperationDelete(key, is_folder=False)])
        except ObjectNotFoundError:
            return
        self._places.pop(key, None)

    # Reading

    def _address(self, key: str, revision: str = "main") -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(
            self._repo, key, repo_type=_REPO_TYPE, revision=revision, endpoint=self._api.endpoint
        )

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers

        # Packed on the way, a range would be one of the packed bytes.
        return {
            **build_hf_headers(library_name="sojourn"),
            "Accept-Encoding": "identity",
        }

    def _size_bytes(self, key: str) -> int:
        found = self._api.get_hf_file_metadata(url=self._address(key), timeout=_SILENCE_S)
        if found.size is None:
            raise StoreError(
                f"The hub does not say how long {self.url}/{key} is.", remedy="Try it again later."
            )
        return found.size

    def _fetch(self, address: str, key: str, wanted: _Range | None = None) -> bytes:
        """Return what the hub has under an address, wherever that leads to."""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        headers = self._headers() | (wanted.headers if wanted else {})
        # What follows a redirect to another server does not get the token: httpx sees to that.
        with get_session().stream(
            "GET", address, headers=headers, timeout=self._timeout, follow_redirects=True
        ) as response:
            if response.status_code == _BEYOND and wanted is not None:
                return b""
            hf_raise_for_status(response)
            self._remember(key, address, str(response.url))
            return _read(response, wanted)

    def _fetch_signed(self, address: str, key: str, wanted: _Range) -> bytes | None:
        """Return a part by the address that the hub signed for it; None if it has expired."""
        from huggingface_hub.utils import get_session

        headers = {"Accept-Encoding": "identity"} | wanted.headers
        with get_session().stream(
            "GET", address, headers=headers, timeout=self._timeout, follow_redirects=False
        ) as response:
            if response.status_code == _BEYOND:
                return b""
            if response.status_code in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.OK):
                return _read(response, wanted)
        self._places.pop(key, None)
        return None

    def _remember(self, key: str, asked: str, found: str) -> None:
        """Keep the address that a large file was found under: the next part needs no redirect."""
        if urlsplit(asked).netloc != urlsplit(found).netloc:
            self._places[key] = found

    def _entries(self, folder: str, *, recursive: bool) -> Iterator[Any]:
        """Yield the client's entries of what is below a folder; folders have no `size`."""
        try:
            with _telling(f"list {self.url}/{folder}"):
                yield from self._api.list_repo_tree(
                    self._repo, folder or None, repo_type=_REPO_TYPE, recursive=recursive
                )
        except ObjectNotFoundError:
            return

    # Writing

    def _sent(self, key: str, body: Body) -> CommitOperationAdd:
        """Send a file to the hub's storage unless it is small; return what commits it."""
        from huggingface_hub import CommitOperationAdd

        check_key(key)
        size_bytes = body_size_bytes(body)
        self._check_size(key, size_bytes)
        self._make()
        self._check_room(key)
        # What the client takes by its code, an io.BufferedIOBase, is no BinaryIO to type checkers.
        content = cast("BinaryIO", _File(body, in_memory=size_bytes <= _MAX_SMALL_FILE_BYTES))
        operation = CommitOperationAdd(key, content)
        if size_bytes > _MAX_WAITING_BYTES:
            self._send(operation)
            if operation.path_or_fileobj is content and size_bytes > _MAX_SMALL_FILE_BYTES:
                raise StoreError(
                    f"{self.url} would keep {key} as a small file, which may have up to "
                    f"{format_bytes(_MAX_SMALL_FILE_BYTES)}.",
                    remedy="Remove what its .gitattributes says about such files.",
                )
        return operation

    def _send(self, operation: CommitOperationAdd) -> None:
        self._api.preupload_lfs_files(
            self._repo,
            [operation],
            repo_type=_REPO_TYPE,
            # A .gitignore in the repository would silently leave files out.
            gitignore_content="",
        )

    def _check_size(self, key: str, size_bytes: int) -> None:
        if size_bytes > _MAX_OBJECT_BYTES:
            raise StoreError(
                f"The hub takes files of up to {format_bytes(_MAX_OBJECT_BYTES)}, and {key} has "
                f"{format_bytes(size_bytes)}.",
                remedy="Split the file.",
            )

    def _check_room(self, key: str) -> None:
        """Check that the folder takes one more file, and count it."""
        folder, _, name = key.rpartition("/")
        with self._lock:
            if folder not in self._folders:
                below = self._entries(folder, recursive=False)
                self._folders[folder] = {entry.path.rpartition("/")[2] for entry in below}
            names = self._folders[folder]
            if name not in names and len(names) >= _MAX_FOLDER_ENTRIES:
                raise StoreError(
                    f"{self.url}/{folder} holds {len(names)} files, and the hub takes no more "
                    "in a folder.",
                    remedy="Push to a data set of another name.",
                )
            names.add(name)

    def _make(self) -> None:
        """Make the repository, private, if there is none."""
        from huggingface_hub.errors import HfHubHTTPError

        with self._lock:
            if self._is_made:
                return
            try:
                self._api.repo_info(self._repo, repo_type=_REPO_TYPE, timeout=_SILENCE_S)
            except HfHubHTTPError as error:
                if error.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
                self._api.create_repo(self._repo, repo_type=_REPO_TYPE, private=True, exist_ok=True)
            self._is_made = True

    def commit(self, *, message: str, progress: Progress) -> None:  # noqa: ARG002 - the verb's
        """Commit what was staged and went with no `swap`; each put is seen when it returns."""
        with _telling(f"write to {self.url}"):
            with self._lock:
                staged = self._take_staged()
            if staged:
                self._commit_or_keep(staged)

    def room_bytes(self) -> int | None:
        """Return None: the hub does not say."""
        return None

    def _take_staged(self) -> dict[str, CommitOperationAdd]:
        staged, self._staged = self._staged, {}
        return staged

    def _keep(self, staged: dict[str, CommitOperationAdd]) -> None:
        """Stage again what could not be committed, less what was staged anew meanwhile."""
        with self._lock:
            self._staged = staged | self._staged

    def _commit_or_keep(self, staged: dict[str, CommitOperationAdd]) -> None:
        try:
            self._commit(staged.values())
        except BaseException:
            self._keep(staged)
            raise

    def _commit(
        self, operations: Iterable[Any], *, guarded: tuple[str, bytes | None] | None = None
    ) -> None:
        """Commit, on top of what others committed meanwhile.

        Args:
            operations: What is added and deleted.
            guarded: A key and what it has to hold still.

        Raises:
            ConflictError: it holds something else, or others commit without a pause.
        """
        operations = tuple(operations)
        with self._committing:
            for _ in range(_ATTEMPTS_TO_COMMIT):
                parent = self._checked_head(*guarded) if guarded else None
                if self._is_committed(operations, parent):
                    self._forget_places(operations)
                    return
        raise StoreUnavailableError(
            f"Others commit to {self.url} all the time.", remedy="Push again when they are done."
        )

    def _is_committed(self, operations: tuple[Any, ...], parent: str | None) -> bool:
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._api.create_commit(
                self._repo,
                operations,
                commit_message=_message(operations),
                repo_type=_REPO_TYPE,
                parent_commit=parent,
            )
        except HfHubHTTPError as error:
            if error.response.status_code in _MOVED_ON:
                return False
            raise
        return True

    def _forget_places(self, operations: tuple[Any, ...]) -> None:
        for operation in operations:
            self._places.pop(operation.path_in_repo, None)

    def _checked_head(self, key: str, expected: bytes | None) -> str:
        """Return the newest commit if the object holds what is expected there."""
        head = self._api.repo_info(self._repo, repo_type=_REPO_TYPE).sha
        if head is None:
            raise StoreError(f"{self.url} has no commit.", remedy="Make it anew on the hub.")
        try:
            with _telling(f"read {self.url}/{key}"):
                found: bytes | None = self._fetch(self._address(key, head), key)
        except ObjectNotFoundError:
            found = None
        check_expected(self, key, found, expected)
        return head


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """A part of a file, in bytes."""

    first: int
    size_bytes: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Range": f"bytes={self.first}-{self.first + self.size_bytes - 1}"}


class _File(io.BufferedIOBase):
    """What is put, as the kind of file that the hub's client takes and sends by plain HTTP.

    Bytes, and files with a path, it would send by Xet, whose servers nothing else speaks to.
    """

    def __init__(self, body: Body, *, in_memory: bool) -> None:
        """Keep the body; one in memory is read now, and may be closed before it is sent."""
        if isinstance(body, bytes):
            self._body: BinaryIO = io.BytesIO(body)
        else:
            self._body = io.BytesIO(body.read()) if in_memory else body

    def read(self, size: int | None = -1, /) -> bytes:
        return self._body.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        return self._body.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _read(response: Any, wanted: _Range | None) -> bytes:
    """Return the body; of a whole file that came instead of a part, that part."""
    if wanted is None or response.status_code == HTTPStatus.PARTIAL_CONTENT:
        return bytes(response.read())
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= wanted.first + wanted.size_bytes:
            break
    return bytes(data[wanted.first : wanted.first + wanted.size_bytes])


def _message(operations: tuple[Any, ...]) -> str:
    what = operations[0].path_in_repo
    return f"{what} and {len(operations) - 1} more" if len(operations) > 1 else what


@contextmanager
def _telling(doing: str) -> Iterator[None]:
    """Turn what the hub's client raises into our errors."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        raise _refusal(error, doing) from error
    except (_connection_error(), OSError, ValueError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        # Sending in threads, the client wraps what went wrong.
        wrapped = error.__cause__ if isinstance(error, RuntimeError) else None
        raise _told(wrapped or error, doing) from error


def _told(error: BaseException, doing: str) -> StoreError:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return _refusal(error, doing)
    if isinstance(error, OfflineModeIsEnabled):
        return StoreError(f"Could not {doing}: HF_HUB_OFFLINE is set.", remedy="Unset it.")
    # An answer that is no JSON is that of something on the way.
    kinds = (_connection_error(), ConnectionError, TimeoutError, json.JSONDecodeError)
    broke = isinstance(error, kinds)
    # Another thread's failed connection closes the client that all share.
    if broke or "client has been closed" in str(error):
        return unreachable(str(error), doing=doing)
    return StoreError(f"Could not {doing}: {error}.", remedy="Run it again when that is mended.")


def _refusal(error: Any, doing: str) -> StoreError:
    response = error.response
    answer = Answer(
        status=response.status_code,
        headers=dict(response.headers),
        reason=error.server_message or "",
    )
    return hub_refusal(answer, doing=doing)


def _connection_error() -> type[Exception]:
    """Return the root of what the HTTP library raises: httpx or httpx2, as the hub's client has it.

    Raises:
        AssertionError: the client's own error does not derive from it any more.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for base in HfHubHTTPError.__mro__:
        if base.__name__ == "HTTPError":
            return base
    raise AssertionError("HfHubHTTPError is an HTTPError")


def _check_token() -> None:
    """Check that the token can stand in a request's head: what refuses it there would show it.

    Raises:
        AccessDeniedError: it cannot.
    """
    from huggingface_hub.utils import build_hf_headers

    token = build_hf_headers().get("authorization", "")
    if not (token.isascii() and token.isprintable()):
        raise AccessDeniedError(
            "The token for the hub holds a character that no token has.",
            remedy="Set HF_TOKEN again, without what surrounds the value, or run `hf auth login`.",
        )


def _check_endpoint(endpoint: str) -> None:
    """Check the address of a hub. It is not repeated: it may hold a secret.

    Raises:
        StoreError: it is none.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in endpoint or any(c.isspace() for c in endpoint):
        raise StoreError(
            "HF_ENDPOINT is not the address of a server.",
            remedy="Set it to https://HOST, without credentials, or unset it for huggingface.co.",
        )


class _KnownToUs(logging.Filter):
    """Drops one line: that files which are no paths are sent by HTTP, and not by Xet."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "binary IO buffer is not supported by Xet" not in record.getMessage()


def _mute_what_is_known() -> None:
    """Silence what the hub's client warns of and the reader can do nothing about.

    The README of a data set has no metadata block, on purpose; and how the client hands files to
    its HTTP library is its own affair.
    """
    warnings.filterwarnings("ignore", message="Warnings while validating metadata in README.md")
    warnings.filterwarnings("ignore", "Use 'content=<...>' to upload", DeprecationWarning)
    logger = logging.getLogger("huggingface_hub._commit_api")
    if not any(isinstance(known, _KnownToUs) for known in logger.filters):
        logger.addFilter(_KnownToUs())
