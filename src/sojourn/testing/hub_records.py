"""What the hub of the tests holds: repositories with commits, large files, and what was asked."""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.testing.web import Trouble

_ATTRIBUTES = b"*.zst filter=lfs diff=lfs merge=lfs -text\n"
_OWNER_TOKEN = "hf_ownerTokenForTests"  # noqa: S105 - it opens nothing
_READER_TOKEN = "hf_readerTokenForTests"  # noqa: S105 - it opens nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRequest:
    """A request that came.

    Attributes:
        method: HTTP's.
        place: "hub" or "storage".
        path: Decoded, without what is after the question mark.
        received_bytes: Of its body.
        sent_bytes: Of the answer's body.
        token: What it was authorized with.
    """

    method: str
    place: str
    path: str
    received_bytes: int
    sent_bytes: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file in a repository; the data of a large one is in the storage, under its SHA-256."""

    data: bytes
    is_large: bool

    @property
    def oid(self) -> str:
        """The digest that git, or the storage, knows it by."""
        if self.is_large:
            return hashlib.sha256(self.data).hexdigest()
        header = f"blob {len(self.data)}\0".encode()
        return hashlib.sha1(header + self.data, usedforsecurity=False).hexdigest()


@dataclass(slots=True, kw_only=True)
class HubRepo:
    """A data set repository.

    Attributes:
        private: Only its owner sees it.
        commits: Identifier and files of each commit, the newest last.
    """

    private: bool
    commits: list[tuple[str, dict[str, HubFile]]] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The newest commit."""
        return self.commits[-1][0]

    @property
    def files(self) -> dict[str, HubFile]:
        """The files of the newest commit."""
        return self.commits[-1][1]

    def commit(self, files: dict[str, HubFile]) -> str:
        """Make a commit with these files and no others; return its identifier."""
        oid = secrets.token_hex(20)
        self.commits.append((oid, files))
        return oid

    def at(self, revision: str) -> dict[str, HubFile] | None:
        """Return the files of a commit, or of `main`."""
        if revision == "main":
            return self.files
        return dict(self.commits).get(revision)


@dataclass(slots=True, kw_only=True)
class HubServer:
    """A hub that is running.

    Attributes:
        url: Its address, for HF_ENDPOINT.
        storage_url: Where large files are.
        owner: The name of the user who may write below it.
        token: That user's token.
        reader_token: The token of another user.
        repos: By OWNER/NAME.
        storage: Large files by SHA-256, committed or not.
        troubles: What goes wrong with the requests to come.
        requests: All that came so far.
        page_entries: So many entries are on a page of a listing.
        part_bytes: Larger files are sent in parts of this size; None: no file is.
        gone_signatures: Signed addresses made before this one have expired.
    """

    url: str = ""
    storage_url: str = ""
    owner: str = "me"
    token: str = _OWNER_TOKEN
    reader_token: str = _READER_TOKEN
    repos: dict[str, HubRepo] = field(default_factory=dict)
    storage: dict[str, bytes] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    requests: list[HubRequest] = field(default_factory=list)
    page_entries: int = 1000
    part_bytes: int | None = None
    gone_signatures: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _signatures: int = 0

    def make_repo(self, name: str, *, private: bool = True) -> HubRepo:
        """Make a repository as the hub does: with one commit and a .gitattributes."""
        repo = HubRepo(private=private)
        repo.commit({".gitattributes": HubFile(data=_ATTRIBUTES, is_large=False)})
        self.repos[name] = repo
        return repo

    def signature(self) -> str:
        """Return what makes an address in the storage a good one."""
        with self.lock:
            self._signatures += 1
            return str(self._signatures)

    def expire_signatures(self) -> None:
        """Let all addresses that were signed so far lead nowhere."""
        self.gone_signatures = self._signatures

    def received_bytes(self, place: str) -> int:
        """Return how many bytes of bodies came to the "hub" or the "storage" so far."""
        return sum(r.received_bytes for r in self.requests if r.place == place)

    def commits_made(self) -> int:
        """Return how many commits were asked for so far."""
        return sum(r.method == "POST" and "/commit/" in r.path for r in self.requests)
