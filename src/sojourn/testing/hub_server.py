"""A Hugging Face Hub on this machine, for tests: what huggingface_hub asks for, and no more.

Data set repositories with commits on `main`, and beside them a storage of its own address for
large files, to which signed addresses lead. Drive it with the real client: HF_ENDPOINT is `url`.
What it answers follows the client's source (huggingface_hub 2.4.0) and the hub's documentation; it
has never been compared with the hub itself.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sojourn.testing.hub_answers import HubHandler, HubRefusal, StorageHandler
from sojourn.testing.hub_records import HubFile, HubServer
from sojourn.testing.web import Listener
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.testing.hub_records import HubRepo

_REPO = r"/api/datasets/([^/]+/[^/]+)"
# What the hub's own .gitattributes has for data sets, of what the tests send.
_LARGE_NAMES = re.compile(r".*\.(zst|tar|zip|gz|bin|arrow|parquet)")
_MAX_SMALL_FILE_BYTES = 10 * MIB


@contextmanager
def running_hub_server() -> Iterator[HubServer]:
    """Run a hub without repositories until the end of the `with`."""
    hub = HubServer()
    with (
        Listener(("127.0.0.1", 0), partial(_FrontHandler, hub)) as front,
        Listener(("127.0.0.1", 0), partial(StorageHandler, hub)) as storage,
    ):
        hub.url = f"http://127.0.0.1:{front.server_address[1]}"
        hub.storage_url = f"http://127.0.0.1:{storage.server_address[1]}"
        with front.running(), storage.running():
            yield hub


class _FrontHandler(HubHandler):
    """The hub itself."""

    place = "hub"

    def answer(self) -> None:
        if self.token and self.token not in (self.hub.token, self.hub.reader_token):
            raise HubRefusal(401, "Invalid credentials in Authorization header")
        for method, pattern, verb in _ROUTES:
            found = re.fullmatch(pattern, self.path_only)
            if found and self.command in method.split():
                verb(self, *found.groups())
                return
        raise HubRefusal(404, "Sorry, we can't find the page you are looking for.")

    def create(self) -> None:
        wanted = json.loads(self.body)
        owner = wanted.get("organization") or self.hub.owner
        name = f"{owner}/{wanted['name']}"
        self._check_writer(owner)
        with self.hub.lock:
            if name in self.hub.repos:
                there = f"{self.hub.url}/datasets/{name}"
                raise HubRefusal(409, "You already created this dataset repo", url=there)
            self.hub.make_repo(name, private=wanted.get("visibility") == "private")
        self.send_json({"url": f"{self.hub.url}/datasets/{name}", "name": name})

    def info(self, name: str) -> None:
        repo = self._visible(name)
        self.send_json(
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
            raise HubRefusal(404, "folder does not exist", code="EntryNotFound")
        if self.query.get("recursive", "").lower() != "true":
            entries = _one_level(entries, prefix)
        first = int(self.query.get("cursor", "0"))
        last = first + self.hub.page_entries
        link = {}
        if last < len(entries):
            asked = self.path.partition("?")[0]
            recursive = self.query.get("recursive", "false")
            link = {
                "Link": f'<{self.hub.url}{asked}?recursive={recursive}&cursor={last}>; rel="next"'
            }
        self.send_json(entries[first:last], link)

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
        self.send_json({"files": files})

    def batch(self, name: str) -> None:
        self._writable(name)
        asked = json.loads(self.body)["objects"]
        objects = [self._upload_of(item["oid"], item["size"]) for item in asked]
        self.send_json({"transfer": "basic", "objects": objects})

    def _upload_of(self, oid: str, size: int) -> dict[str, Any]:
        item: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self.hub.storage:
            return item
        signed = f"{self.hub.storage_url}/objects/{oid}?signature={self.hub.signature()}"
        upload: dict[str, Any] = {"href": signed}
        part_bytes = self.hub.part_bytes
        if part_bytes is not None and size > part_bytes:
            parts = {str(n + 1): f"{signed}&part={n + 1}" for n in range(-(-size // part_bytes))}
            upload["header"] = {"chunk_size": str(part_bytes), **parts}
        verify = {"href": f"{self.hub.url}/api/lfs-verify/{oid}"}
        return item | {"actions": {"upload": upload, "verify": verify}}

    def verify(self, oid: str) -> None:
        if oid not in self.hub.storage:
            raise HubRefusal(404, "not in storage")
        self.send_json({})

    def commit(self, name: str, _revision: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        with self.hub.lock:
            repo = self._writable(name)
            parent = lines[0]["value"].get("parentCommit")
            if parent not in (None, repo.head):
                raise HubRefusal(412, "A commit has happened since. Please refresh and try again.")
            files = dict(repo.files)
            for line in lines[1:]:
                self._apply(files, line["key"], line["value"])
            oid = repo.commit(files)
        url = f"{self.hub.url}/datasets/{name}/commit/{oid}"
        self.send_json({"success": True, "commitOid": oid, "commitUrl": url})

    def _apply(self, files: dict[str, HubFile], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "deletedFile":
            if files.pop(path, None) is None:
                raise HubRefusal(404, "A file with this name doesn't exist", code="EntryNotFound")
        elif key == "lfsFile":
            data = self.hub.storage.get(value["oid"])
            if data is None:
                raise HubRefusal(400, "Your push was rejected: an LFS pointer points to no file")
            files[path] = HubFile(data=data, is_large=True)
        else:
            data = base64.b64decode(value["content"])
            if len(data) > _MAX_SMALL_FILE_BYTES:
                raise HubRefusal(400, "Files larger than 10 MiB must be stored as large files")
            files[path] = HubFile(data=data, is_large=False)

    def validate(self) -> None:
        missing = "empty or missing yaml metadata in repo card"
        has_card = json.loads(self.body)["content"].startswith("---\n")
        self.send_json({"errors": [], "warnings": [] if has_card else [{"message": missing}]})

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._visible(name)
        files = self._files(name, revision)
        commit = repo.head if revision == "main" else revision
        file = files.get(path)
        if file is None:
            raise HubRefusal(404, "Entry not found", code="EntryNotFound", commit=commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{file.oid}"'}
        if not file.is_large:
            self.send_file(file.data, headers)
            return
        signed = f"{self.hub.storage_url}/objects/{file.oid}?signature={self.hub.signature()}"
        headers |= {"X-Linked-Size": str(len(file.data)), "X-Linked-Etag": f'"{file.oid}"'}
        self.send(302, b"", headers | {"Location": signed})

    def _visible(self, name: str) -> HubRepo:
        repo = self.hub.repos.get(name)
        is_owner = self.token == self.hub.token
        if repo is None or (repo.private and not is_owner):
            # As the hub does it: who is not logged in is not told which of the two it is.
            raise HubRefusal(
                404 if self.token else 401, "Repository not found", code="RepoNotFound"
            )
        return repo

    def _writable(self, name: str) -> HubRepo:
        repo = self._visible(name)
        self._check_writer(name.partition("/")[0])
        return repo

    def _check_writer(self, owner: str) -> None:
        if not self.token:
            raise HubRefusal(401, "Invalid username or password.")
        if self.token != self.hub.token or owner != self.hub.owner:
            raise HubRefusal(403, "You don't have the rights to create or write to this dataset")

    def _files(self, name: str, revision: str) -> dict[str, HubFile]:
        files = self._visible(name).at(revision)
        if files is None:
            raise HubRefusal(404, "Invalid rev id", code="RevisionNotFound")
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
    ("POST", r"/api/repos/create", _FrontHandler.create),
    ("GET", _REPO + r"(?:/revision/main)?", _FrontHandler.info),
    ("GET", _REPO + r"/tree/([^/]+)(?:/(.+))?", _FrontHandler.tree),
    ("POST", _REPO + r"/preupload/(.+)", _FrontHandler.preupload),
    ("POST", _REPO + r"/commit/(.+)", _FrontHandler.commit),
    ("POST", r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _FrontHandler.batch),
    ("POST", r"/api/lfs-verify/(.+)", _FrontHandler.verify),
    ("POST", r"/api/validate-yaml", _FrontHandler.validate),
    ("GET HEAD", r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _FrontHandler.resolve),
)
