"""A Hugging Face Hub on this machine, for tests: what huggingface_hub asks for, and no more.

Data set repositories with commits on `main`, and beside them a storage of its own address for
large files, to which signed addresses lead. Drive it with the real client: HF_ENDPOINT is `url`.
What it answers follows the client's source (huggingface_hub 2.4.0) and the hub's documentation; it
has never been compared with the hub itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from sojourn.testing.web import Listener, Trouble, first_trouble, parse_range
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPO = r"/api/datasets/([^/]+/[^/]+)"
_ATTRIBUTES = b"*.zst filter=lfs diff=lfs merge=lfs -text\n"
# What the hub's own .gitattributes has for data sets, of what the tests send.
_LARGE_NAMES = re.compile(r".*\.(zst|tar|zip|gz|bin|arrow|parquet)")
_MAX_SMALL_FILE_BYTES = 10 * MIB
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


@contextmanager
def running_hub_server() -> Iterator[HubServer]:
    """Run a hub without repositories until the end of the `with`."""
    hub = HubServer()
    with (
        Listener(("127.0.0.1", 0), partial(_HubHandler, hub)) as front,
        Listener(("127.0.0.1", 0), partial(_StorageHandler, hub)) as storage,
    ):
        hub.url = f"http://127.0.0.1:{front.server_address[1]}"
        hub.storage_url = f"http://127.0.0.1:{storage.server_address[1]}"
        with front.running(), storage.running():
            yield hub


class _Refusal(Exception):  # noqa: N818 - an answer, and no error of the server's
    def __init__(
        self, status: int, error: str, *, code: str = "", commit: str = "", url: str = ""
    ) -> None:
        super().__init__(error)
        self.body = {"error": error} | ({"url": url} if url else {})
        self.status = status
        self.headers = {"X-Error-Code": code} if code else {}
        self.headers |= {"X-Error-Message": error}
        self.headers |= {"X-Repo-Commit": commit} if commit else {}


class _Handler(BaseHTTPRequestHandler):
    """What the hub and its storage have in common."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    place = ""

    def __init__(self, hub: HubServer, *rest: object) -> None:
        self._hub = hub
        self._trouble: Trouble | None = None
        self.body = b""
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.body = self._read_body()
        parts = urlsplit(self.path)
        self.path_only = unquote(parts.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self._hub.lock:
            self._trouble = first_trouble(self._hub.troubles, self.command, self.path_only)
        trouble = self._trouble
        if trouble is not None and trouble.hang_up:
            self._note(0)
            self.close_connection = True
            return
        try:
            self._check_trouble()
            self.answer()
        except _Refusal as refusal:
            extra = dict(trouble.headers) if trouble is not None else {}
            self._send(
                refusal.status,
                json.dumps(refusal.body).encode(),
                {"Content-Type": "application/json"} | refusal.headers | extra,
            )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _check_trouble(self) -> None:
        if self._trouble is not None and self._trouble.status is not None:
            raise _Refusal(self._trouble.status, self._trouble.says)

    def answer(self) -> None:
        """Answer the request, or raise a refusal."""
        raise NotImplementedError

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    @property
    def token(self) -> str:
        """The token that the request came with."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _send_json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(
            200, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {})
        )

    def _send_file(self, data: bytes, headers: dict[str, str]) -> None:
        wanted = parse_range(self.headers.get("Range", ""), len(data))
        if wanted is None:
            self._send(200, data, headers)
        elif wanted.start >= wanted.stop:
            self._send(416, b"", {})
        else:
            there = f"bytes {wanted.start}-{wanted.stop - 1}/{len(data)}"
            self._send(206, data[wanted.start : wanted.stop], headers | {"Content-Range": there})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        arriving = body
        if self._trouble is not None and self._trouble.status is None:
            arriving = self._trouble.spoil(body)
        self._note(len(arriving) if self.command != "HEAD" else 0)
        self.send_response_only(status, HTTPStatus(status).phrase)
        usual = {"Date": self.date_time_string(), "Content-Length": str(len(body))}
        for name, value in (usual | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(arriving)
        if len(arriving) < len(body):
            self.close_connection = True

    def _note(self, sent_bytes: int) -> None:
        request = HubRequest(
            method=self.command,
            place=self.place,
            path=self.path_only,
            received_bytes=len(self.body),
            sent_bytes=sent_bytes,
            token=self.token,
        )
        with self._hub.lock:
            self._hub.requests.append(request)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _StorageHandler(_Handler):
    """The storage of large files: signed addresses lead here, and tokens must not."""

    place = "storage"

    def answer(self) -> None:
        oid = self.path_only.rpartition("/")[2]
        if self.token:
            raise _Refusal(400, "Only one auth mechanism allowed")
        if int(self.query.get("signature", "0")) <= self._hub.gone_signatures:
            raise _Refusal(403, "Request has expired")
        if self.command == "PUT":
            self._put(oid)
        elif self.command == "POST":
            self._complete(oid)
        elif oid not in self._hub.storage:
            raise _Refusal(404, "The specified key does not exist.")
        else:
            self._send_file(self._hub.storage[oid], {"ETag": f'"{oid}"'})

    def _put(self, oid: str) -> None:
        part = self.query.get("part")
        digest = hashlib.sha256(self.body).hexdigest()
        if part is None and digest != oid:
            raise _Refusal(400, "The SHA256 you specified did not match what we received.")
        with self._hub.lock:
            self._hub.storage[oid if part is None else f"{oid}.{part}"] = self.body
        self._send(200, b"", {"ETag": f'"{digest}"'})

    def _complete(self, oid: str) -> None:
        count = len(json.loads(self.body)["parts"])
        with self._hub.lock:
            pieces = [self._hub.storage.pop(f"{oid}.{number + 1}") for number in range(count)]
        if hashlib.sha256(b"".join(pieces)).hexdigest() != oid:
            raise _Refusal(400, "The SHA256 you specified did not match what we received.")
        with self._hub.lock:
            self._hub.storage[oid] = b"".join(pieces)
        self._send_json({})


class _HubHandler(_Handler):
    """The hub itself."""

    place = "hub"

    def answer(self) -> None:
        if self.token and self.token not in (self._hub.token, self._hub.reader_token):
            raise _Refusal(401, "Invalid credentials in Authorization header")
        for method, pattern, verb in _ROUTES:
            found = re.fullmatch(pattern, self.path_only)
            if found and self.command in method.split():
                verb(self, *found.groups())
                return
        raise _Refusal(404, "Sorry, we can't find the page you are looking for.")

    def create(self) -> None:
        wanted = json.loads(self.body)
        owner = wanted.get("organization") or self._hub.owner
        name = f"{owner}/{wanted['name']}"
        self._check_writer(owner)
        with self._hub.lock:
            if name in self._hub.repos:
                there = f"{self._hub.url}/datasets/{name}"
                raise _Refusal(409, "You already created this dataset repo", url=there)
            self._hub.make_repo(name, private=wanted.get("visibility") == "private")
        self._send_json({"url": f"{self._hub.url}/datasets/{name}", "name": name})

    def info(self, name: str) -> None:
        repo = self._visible(name)
        self._send_json(
            {"_id": "0", "id": name, "sha": repo.head, "private": repo.private, "tags": []}
        )

    def tree(self, name: str, revision: str, folder: str | None) -> None:
        files = self._files(name, unquote(revision))
        prefix = f"{unquote(folder)}/" if folder else ""
        entries = [
            _tree_entry(path, file)
            for path, file in sorted(files.items())
            if path.startswith(prefix)
        ]
        if prefix and not entries:
            raise _Refusal(404, "folder does not exist", code="EntryNotFound")
        if self.query.get("recursive", "").lower() != "true":
            entries = _one_level(entries, prefix)
        first = int(self.query.get("cursor", "0"))
        last = first + self._hub.page_entries
        link = {}
        if last < len(entries):
            asked = self.path.partition("?")[0]
            recursive = self.query.get("recursive", "false")
            link = {
                "Link": f'<{self._hub.url}{asked}?recursive={recursive}&cursor={last}>; rel="next"'
            }
        self._send_json(entries[first:last], link)

    def preupload(self, name: str, _revision: str) -> None:
        repo = self._writable(name)
        files = []
        for asked in json.loads(self.body)["files"]:
            path, size = asked["path"], asked["size"]
            large = bool(_LARGE_NAMES.fullmatch(path)) or size > _MAX_SMALL_FILE_BYTES
            known = repo.files.get(path)
            files.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if large else "regular",
                    "shouldIgnore": False,
                    "oid": known.oid if known else None,
                }
            )
        self._send_json({"files": files})

    def batch(self, name: str) -> None:
        self._writable(name)
        asked = json.loads(self.body)["objects"]
        objects = [self._upload_of(item["oid"], item["size"]) for item in asked]
        self._send_json({"transfer": "basic", "objects": objects})

    def _upload_of(self, oid: str, size: int) -> dict[str, Any]:
        item: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self._hub.storage:
            return item
        signed = f"{self._hub.storage_url}/objects/{oid}?signature={self._hub.signature()}"
        upload: dict[str, Any] = {"href": signed}
        part_bytes = self._hub.part_bytes
        if part_bytes is not None and size > part_bytes:
            parts = {str(n + 1): f"{signed}&part={n + 1}" for n in range(-(-size // part_bytes))}
            upload["header"] = {"chunk_size": str(part_bytes), **parts}
        verify = {"href": f"{self._hub.url}/api/lfs-verify/{oid}"}
        return item | {"actions": {"upload": upload, "verify": verify}}

    def verify(self, oid: str) -> None:
        if oid not in self._hub.storage:
            raise _Refusal(404, "not in storage")
        self._send_json({})

    def commit(self, name: str, _revision: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        with self._hub.lock:
            repo = self._writable(name)
            parent = lines[0]["value"].get("parentCommit")
            if parent not in (None, repo.head):
                raise _Refusal(412, "A commit has happened since. Please refresh and try again.")
            files = dict(repo.files)
            for line in lines[1:]:
                self._apply(files, line["key"], line["value"])
            oid = repo.commit(files)
        url = f"{self._hub.url}/datasets/{name}/commit/{oid}"
        self._send_json({"success": True, "commitOid": oid, "commitUrl": url})

    def _apply(self, files: dict[str, HubFile], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "deletedFile":
            if files.pop(path, None) is None:
                raise _Refusal(404, "A file with this name doesn't exist", code="EntryNotFound")
        elif key == "lfsFile":
            data = self._hub.storage.get(value["oid"])
            if data is None:
                raise _Refusal(400, "Your push was rejected: an LFS pointer points to no file")
            files[path] = HubFile(data=data, is_large=True)
        else:
            data = base64.b64decode(value["content"])
            if len(data) > _MAX_SMALL_FILE_BYTES:
                raise _Refusal(400, "Files larger than 10 MiB must be stored as large files")
            files[path] = HubFile(data=data, is_large=False)

    def validate(self) -> None:
        missing = "empty or missing yaml metadata in repo card"
        has_card = json.loads(self.body)["content"].startswith("---\n")
        self._send_json({"errors": [], "warnings": [] if has_card else [{"message": missing}]})

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._visible(name)
        files = self._files(name, revision)
        commit = repo.head if revision == "main" else revision
        file = files.get(path)
        if file is None:
            raise _Refusal(404, "Entry not found", code="EntryNotFound", commit=commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{file.oid}"'}
        if not file.is_large:
            self._send_file(file.data, headers)
            return
        signed = f"{self._hub.storage_url}/objects/{file.oid}?signature={self._hub.signature()}"
        headers |= {"X-Linked-Size": str(len(file.data)), "X-Linked-Etag": f'"{file.oid}"'}
        self._send(302, b"", headers | {"Location": signed})

    def _visible(self, name: str) -> HubRepo:
        repo = self._hub.repos.get(name)
        is_owner = self.token == self._hub.token
        if repo is None or (repo.private and not is_owner):
            # As the hub does it: who is not logged in is not told which of the two it is.
            raise _Refusal(404 if self.token else 401, "Repository not found", code="RepoNotFound")
        return repo

    def _writable(self, name: str) -> HubRepo:
        repo = self._visible(name)
        self._check_writer(name.partition("/")[0])
        return repo

    def _check_writer(self, owner: str) -> None:
        if not self.token:
            raise _Refusal(401, "Invalid username or password.")
        if self.token != self._hub.token or owner != self._hub.owner:
            raise _Refusal(403, "You don't have the rights to create or write to this dataset")

    def _files(self, name: str, revision: str) -> dict[str, HubFile]:
        files = self._visible(name).at(revision)
        if files is None:
            raise _Refusal(404, "Invalid rev id", code="RevisionNotFound")
        return files


def _tree_entry(path: str, file: HubFile) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file",
        "oid": file.oid[:40],
        "size": len(file.data),
        "path": path,
    }
    if file.is_large:
        entry["lfs"] = {"oid": file.oid, "size": len(file.data), "pointerSize": 134}
    return entry


def _one_level(entries: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """Return the entries right below a folder, with folders for what is further down."""
    level: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name, _, below = entry["path"].removeprefix(prefix).partition("/")
        folder = {"type": "directory", "oid": "0" * 40, "size": 0, "path": prefix + name}
        level[name] = folder if below else entry
    return list(level.values())


_ROUTES = (
    ("POST", r"/api/repos/create", _HubHandler.create),
    ("GET", _REPO + r"(?:/revision/main)?", _HubHandler.info),
    ("GET", _REPO + r"/tree/([^/]+)(?:/(.+))?", _HubHandler.tree),
    ("POST", _REPO + r"/preupload/(.+)", _HubHandler.preupload),
    ("POST", _REPO + r"/commit/(.+)", _HubHandler.commit),
    ("POST", r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _HubHandler.batch),
    ("POST", r"/api/lfs-verify/(.+)", _HubHandler.verify),
    ("POST", r"/api/validate-yaml", _HubHandler.validate),
    ("GET HEAD", r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _HubHandler.resolve),
)
