"""One data set repository of the Hugging Face Hub, asked through its own client.

The only file that imports huggingface_hub. It knows requests and commits; what a store makes of
them, and what the hub takes, is `huggingface`'s.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit

from sojourn.errors import (
    AccessDeniedError,
    MissingPackageError,
    ObjectNotFoundError,
    StoreError,
)
from sojourn.stores.endpoints import check_endpoint
from sojourn.stores.hub_bodies import ByteRange, SentFile, read_body
from sojourn.stores.hub_refusals import Answer, hub_refusal, unreachable
from sojourn.stores.huggingface_credentials import find_huggingface_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    from sojourn.stores.base import Body

Addition: TypeAlias = "CommitOperationAdd"
"""What adds a file in a commit."""

_REPO_TYPE = "dataset"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")

_CONNECT_S = 4.0
# No byte for this long means that the connection is dead.
SILENCE_S = 12.0
_SILENCE_WHILE_SENDING_S = 90.0

_BEYOND = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
# What the hub answers to a commit on top of one that is not the newest any more.
_MOVED_ON = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)


def open_hub_repo(
    owner: str, name: str, *, environment: Mapping[str, str], silence_s: float
) -> HubRepository:
    """Return a repository as whoever runs this sees it. Nothing is contacted yet.

    Args:
        owner: A user or an organization.
        name: Of the data set.
        environment: Where HF_ENDPOINT is looked up, the address of another hub.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: owner, name or HF_ENDPOINT cannot be one.
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
        check_endpoint(endpoint, variable="HF_ENDPOINT", service="huggingface.co")
    api = HfApi(endpoint=endpoint, library_name="sojourn")
    return HubRepository(api, f"{owner}/{name}", silence_s=silence_s)


class HubRepository:
    """A data set repository. May be used from several threads at once.

    What the client raises comes out as it is: callers put `telling` around what they do.
    """

    def __init__(self, api: HfApi, repo: str, *, silence_s: float = SILENCE_S) -> None:
        self._api = api
        self._repo = repo
        # Connect, read, write; a request that waits for others of this process is not given up.
        self._timeout = (_CONNECT_S, silence_s, _SILENCE_WHILE_SENDING_S, None)
        # Where the hub's storage has a file: a signed address, good for an hour or so.
        self._places: dict[str, str] = {}

    @property
    def url(self) -> str:
        """How a person names it."""
        return f"hf://datasets/{self._repo}"

    # Reading

    def size_bytes(self, key: str) -> int:
        """Return how large a file is."""
        found = self._api.get_hf_file_metadata(url=self._address(key), timeout=SILENCE_S)
        if found.size is None:
            raise StoreError(
                f"The hub does not say how long {self.url}/{key} is.", remedy="Try it again later."
            )
        return found.size

    def fetch(self, key: str, *, revision: str = "main") -> bytes:
        """Return a file whole, as it is in a commit."""
        return self._fetch(self._address(key, revision), key)

    def fetch_part(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file, fewer bytes where it ends sooner."""
        wanted = ByteRange(first=offset, size_bytes=size_bytes)
        known = self._places.get(key)
        if known is not None:
            found = self._fetch_signed(known, key, wanted)
            if found is not None:
                return found
        return self._fetch(self._address(key), key, wanted)

    def entries(self, folder: str, *, recursive: bool) -> Iterator[Any]:
        """Yield the client's entries of what is below a folder; folders have no `size`."""
        try:
            with telling(f"list {self.url}/{folder}"):
                yield from self._api.list_repo_tree(
                    self._repo, folder or None, repo_type=_REPO_TYPE, recursive=recursive
                )
        except ObjectNotFoundError:
            return

    def head(self) -> str:
        """Return the newest commit."""
        head = self._api.repo_info(self._repo, repo_type=_REPO_TYPE).sha
        if head is None:
            raise StoreError(f"{self.url} has no commit.", remedy="Make it anew on the hub.")
        return head

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

    def _fetch(self, address: str, key: str, wanted: ByteRange | None = None) -> bytes:
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
            return read_body(response, wanted, address=f"{self.url}/{key}")

    def _fetch_signed(self, address: str, key: str, wanted: ByteRange) -> bytes | None:
        """Return a part by the address that the hub signed for it; None if it has expired."""
        from huggingface_hub.utils import get_session

        headers = {"Accept-Encoding": "identity"} | wanted.headers
        with get_session().stream(
            "GET", address, headers=headers, timeout=self._timeout, follow_redirects=False
        ) as response:
            if response.status_code == _BEYOND:
                return b""
            if response.status_code in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.OK):
                return read_body(response, wanted, address=f"{self.url}/{key}")
        self._places.pop(key, None)
        return None

    def _remember(self, key: str, asked: str, found: str) -> None:
        """Keep the address that a large file was found under: the next part needs no redirect."""
        if urlsplit(asked).netloc != urlsplit(found).netloc:
            self._places[key] = found

    # Writing

    def make(self) -> None:
        """Make the repository, private, if there is none."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._api.repo_info(self._repo, repo_type=_REPO_TYPE, timeout=SILENCE_S)
        except HfHubHTTPError as error:
            if error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
            self._api.create_repo(self._repo, repo_type=_REPO_TYPE, private=True, exist_ok=True)

    def addition(self, key: str, body: Body, *, in_memory: bool) -> Addition:
        """Return what adds a file in a commit; one in memory is read now."""
        from huggingface_hub import CommitOperationAdd

        # What the client takes by its code, an io.BufferedIOBase, is no BinaryIO to type checkers.
        return CommitOperationAdd(key, cast("BinaryIO", SentFile(body, in_memory=in_memory)))

    def removal(self, key: str) -> CommitOperationDelete:
        """Return what removes a file in a commit."""
        from huggingface_hub import CommitOperationDelete

        return CommitOperationDelete(key, is_folder=False)

    def send(self, operation: Addition) -> bool:
        """Send a file to the hub's storage; tell whether that took it, as it does large ones."""
        content = operation.path_or_fileobj
        self._api.preupload_lfs_files(
            self._repo,
            [operation],
            repo_type=_REPO_TYPE,
            # A .gitignore in the repository would silently leave files out.
            gitignore_content="",
        )
        return operation.path_or_fileobj is not content

    def commit(self, operations: Sequence[Any], *, parent: str | None) -> bool:
        """Commit additions and removals; tell whether it was done.

        Args:
            operations: At least one.
            parent: Only on top of this commit; None: on top of whatever is the newest.
        """
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
        for operation in operations:
            self._places.pop(operation.path_in_repo, None)
        return True


def _message(operations: Sequence[Any]) -> str:
    what: str = operations[0].path_in_repo
    return f"{what} and {len(operations) - 1} more" if len(operations) > 1 else what


@contextmanager
def telling(doing: str) -> Iterator[None]:
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
        return unreachable(str(error), doing=doing, host=_host_of(error))
    return StoreError(f"Could not {doing}: {error}.", remedy="Run it again when that is mended.")


def _host_of(error: Any) -> str:
    """Return who was asked in a request that failed; empty if that is not known."""
    try:
        return str(error.request.url.host)
    except (AttributeError, RuntimeError):  # httpx raises the second where there was no request
        return ""


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
