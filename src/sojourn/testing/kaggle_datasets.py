"""What the Kaggle server of the tests keeps: users, blobs, and data sets with their versions."""

from __future__ import annotations

import base64
import threading
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from sojourn.testing.archives import contents_of_archive
from sojourn.testing.kaggle_records import Blob, Dataset, Refused, Version
from sojourn.testing.kaggle_storage import Storage

# What a page of a listing holds at most.
_LARGEST_PAGE = 200
_CREATED = "2026-01-01T00:00:00Z"


class Datasets:
    """All that the server keeps, and how it treats what it gets.

    Attributes:
        tokens: User names by access token.
        keys: Keys by user name.
        unpacks: Endings of files that are unpacked when a version is made, such as ".zip".
        unpacks_into: A folder named after the archive without its ending, one with its whole
            name, or the folder that it is in.
        zips_files_from_bytes: Single files from this size on come as `NAME.zip`; None: never.
        quota_bytes: What an account's private data sets may hold; None: as much as it likes.
        quota_is_silent: A data set over the quota is said to be made, and is not there.
        pending_polls: How often a new version is said not to be ready.
        fails: New versions end as failed.
        absent_status: What is answered where there is no such data set: 404 or 403.
        drops_folders: Folders of new versions are dropped without a word.
        single_files: If False, single files cannot be downloaded, only whole versions.
    """

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder)
        self._lock = threading.RLock()
        self._numbers = count()
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._archives: dict[tuple[str, str, int], Path] = {}
        self._zipped: dict[Path, Path] = {}
        self.blobs: dict[str, Blob] = {}
        self.tokens = {"KGAT_me": "me"}
        self.keys = {"me": "0123456789abcdef"}
        self.unpacks: frozenset[str] = frozenset()
        self.unpacks_into: Literal["stem", "name", "here"] = "stem"
        self.zips_files_from_bytes: int | None = None
        self.quota_bytes: int | None = None
        self.quota_is_silent = False
        self.pending_polls = 1
        self.fails = False
        self.absent_status = 404
        self.single_files = True
        self.drops_folders = False

    def forget_all(self) -> None:
        """Remove all data sets, and what was uploaded."""
        with self._lock:
            for kept in (self._datasets, self._archives, self._zipped, self.blobs):
                kept.clear()
            self.storage.forget_all()

    def settle(self, *, unpacks: frozenset[str]) -> None:
        """Do now what Kaggle does in its own time: unpack archives, make one of each version.

        For measuring: neither is waited for by whoever sends or fetches.
        """
        with self._lock:
            self.unpacks = unpacks
            for found in self._datasets.values():
                for number, version in enumerate(found.versions, 1):
                    version.files = self._unpacked(version.files)
                    self._archives.pop((found.owner, found.slug, number), None)
                    self.storage.md5_of(self._archive(found, number))
                    for path in version.files.values():
                        self.storage.md5_of(path)

    def user_of(self, authorization: str | None) -> str | None:
        """Return whose credentials these are; None if there are none."""
        if not authorization:
            return None
        kind, _, value = authorization.partition(" ")
        if kind == "Bearer" and value in self.tokens:
            return self.tokens[value]
        if kind == "Basic":
            name, _, key = base64.b64decode(value).decode().partition(":")
            if self.keys.get(name) == key:
                return name
        raise Refused(401, "Unauthenticated")

    def get(self, owner: str, slug: str) -> Dataset | None:
        """Return a data set; None if there is none."""
        return self._datasets.get((owner, slug))

    def all_names(self) -> list[tuple[str, str]]:
        """Return owner and slug of each data set."""
        return list(self._datasets)

    def add(self, owner: str, slug: str, files: dict[str, bytes], *, private: bool = True) -> None:
        """Make a new version of these files, without any client; the data set if there is none."""
        with self._lock:
            found = self._datasets.setdefault(
                (owner, slug),
                Dataset(
                    owner=owner, slug=slug, title=slug, license="", private=private, description=""
                ),
            )
            kept = {}
            for name, data in files.items():
                kept[name] = self.storage.new_path()
                kept[name].write_bytes(data)
            found.versions.append(Version(files=kept, notes="", polls_until_ready=0))

    def start_upload(self, user: str | None, asked: dict[str, Any]) -> Blob:
        """Make room for a file."""
        if user is None:
            raise Refused(401, "Unauthenticated")
        with self._lock:
            path = self.storage.new_path()
            path.touch()
            blob = Blob(
                token=f"blob/{next(self._numbers)}",
                name=asked["name"],
                owner=user,
                size_bytes=int(asked.get("contentLength", 0)),
                path=path,
            )
            self.blobs[blob.token] = blob
            return blob

    def answer(self, method: str, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what a call gives."""
        answers = {
            "CreateDataset": self._create,
            "CreateDatasetVersion": self._create_version,
            "GetDataset": self._describe,
            "GetDatasetStatus": self._status,
            "GetDatasetMetadata": self._metadata,
            "UpdateDatasetMetadata": self._update_metadata,
            "ListDatasetFiles": self._list_files,
            "ListDatasets": self._list,
            "DeleteDataset": self._delete,
            "IntrospectToken": self._introspect,
        }
        if method not in answers:
            raise Refused(404, f"There is no method {method}.")
        with self._lock:
            return answers[method](user, asked)

    def file_to_download(self, user: str | None, asked: dict[str, Any]) -> tuple[str, str]:
        """Return where in the storage a file is, and what it is called there."""
        with self._lock:
            found = self._readable(user, asked)
            number = self._version_number(found, asked)
            version = found.versions[number - 1]
            name = asked.get("fileName") or ""
            if not name:
                return self.storage.give_out(self._archive(found, number)), "archive.zip"
            if not self.single_files or name not in version.files:
                raise Refused(404, "Not found")
            path = version.files[name]
            limit_bytes = self.zips_files_from_bytes
            if limit_bytes is None or path.stat().st_size < limit_bytes:
                return self.storage.give_out(path), name
            if path not in self._zipped:
                self._zipped[path] = self.storage.archive({PurePosixPath(name).name: path})
            return self.storage.give_out(self._zipped[path]), f"{name}.zip"

    def _archive(self, found: Dataset, number: int) -> Path:
        key = (found.owner, found.slug, number)
        if key not in self._archives:
            self._archives[key] = self.storage.archive(found.versions[number - 1].files)
        return self._archives[key]

    def _readable(self, user: str | None, asked: dict[str, Any]) -> Dataset:
        found = self._datasets.get((asked["ownerSlug"], asked["datasetSlug"]))
        if found is None:
            raise Refused(self.absent_status, "Permission 'datasets.get' was denied")
        readers = {found.owner, *(person["username"] for person in found.collaborators)}
        if found.private and user not in readers:
            raise Refused(403, "Permission 'datasets.get' was denied")
        if not found.versions:
            raise Refused(404, "Not found")
        return found

    def _version_number(self, found: Dataset, asked: dict[str, Any]) -> int:
        number = int(asked.get("datasetVersionNumber") or self._current(found))
        if not 1 <= number <= len(found.versions) or found.versions[number - 1].deleted:
            raise Refused(404, "Not found")
        return number

    def _current(self, found: Dataset) -> int:
        ready = [n for n, v in enumerate(found.versions, 1) if v.polls_until_ready <= 0]
        return max(ready, default=len(found.versions))

    def _create(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        owner, slug = asked.get("ownerSlug") or user, asked["slug"]
        if user is None or owner != user:
            raise Refused(403, "You may not create data sets there.")
        if (owner, slug) in self._datasets:
            return {"status": "error", "error": f"The slug {slug} is taken.", "errorCode": 409}
        made = Dataset(
            owner=str(owner),
            slug=slug,
            title=asked["title"],
            license=asked.get("licenseName") or "unknown",
            private=bool(asked.get("isPrivate")),
            description=asked.get("description") or "",
        )
        return self._append(made, asked, notes="Initial release", owner=user)

    def _create_version(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        if user != found.owner:
            raise Refused(403, "You may not write there.")
        body = asked.get("body", asked)
        if body.get("deleteOldVersions"):
            for version in found.versions:
                version.deleted = True
        return self._append(found, body, notes=body.get("versionNotes") or "", owner=user)

    def _append(
        self, found: Dataset, body: dict[str, Any], *, notes: str, owner: str
    ) -> dict[str, Any]:
        files: dict[str, Path] = {}
        self._collect(body, "", files, owner)
        version = Version(files=files, notes=notes, polls_until_ready=self.pending_polls)
        page = f"https://www.kaggle.com/datasets/{found.owner}/{found.slug}"
        if self._is_over_quota(found, version):
            if not self.quota_is_silent:
                return {"status": "error", "error": "You have exceeded your private data quota."}
            return {"ref": f"/{found.owner}/{found.slug}", "url": page, "status": "ok", "error": ""}
        found.versions.append(version)
        found.failed = self.fails
        self._datasets[found.owner, found.slug] = found
        return {"ref": f"/{found.owner}/{found.slug}", "url": page, "status": "ok", "error": ""}

    def _is_over_quota(self, found: Dataset, version: Version) -> bool:
        if self.quota_bytes is None or not found.private:
            return False
        of_owner = [s for s in self._datasets.values() if s.owner == found.owner and s.private]
        held_bytes = sum(s.versions[-1].size_bytes for s in of_owner if s is not found)
        return held_bytes + version.size_bytes > self.quota_bytes

    def _collect(self, body: dict[str, Any], at: str, files: dict[str, Path], owner: str) -> None:
        for file in body.get("files") or []:
            blob = self.blobs.get(file["token"])
            if blob is None or blob.owner != owner or not blob.is_complete:
                raise Refused(400, "A file's token is not valid.")
            # Kaggle keeps no folders but those that are named: a name's own path is dropped.
            name = at + blob.name.rpartition("/")[2]
            files |= self._unpacked({name: blob.path})
        for folder in [] if self.drops_folders else body.get("directories") or []:
            self._collect(folder, f"{at}{folder['name']}/", files, owner)

    def _unpacked(self, files: dict[str, Path]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for name, path in files.items():
            ending = next((e for e in self._endings() if name.endswith(e)), None)
            if ending is None:
                found[name] = path
            else:
                self._unpack(path, name, ending, found)
        return found

    def _endings(self) -> list[str]:
        return sorted(self.unpacks, key=len, reverse=True)

    def _unpack(self, path: Path, name: str, ending: str, files: dict[str, Path]) -> None:
        into = {
            "stem": f"{name.removesuffix(ending)}/",
            "name": f"{name}/",
            "here": name[: name.rfind("/") + 1],
        }[self.unpacks_into]
        for inner, content in contents_of_archive(path, ending):
            files[into + inner] = self.storage.keep(content)

    def _describe(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        return self._summary(self._readable(user, asked))

    def _summary(self, found: Dataset) -> dict[str, Any]:
        current = self._current(found)
        return {
            "ref": f"{found.owner}/{found.slug}",
            "title": found.title,
            "isPrivate": found.private,
            "licenseName": found.license,
            "description": found.description,
            "totalBytes": found.versions[current - 1].size_bytes,
            "currentVersionNumber": current,
            "versions": [
                {"versionNumber": n, "versionNotes": v.notes, "creationDate": _CREATED}
                for n, v in enumerate(found.versions, 1)
                if not v.deleted
            ],
        }

    def _status(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        newest = found.versions[-1]
        if newest.polls_until_ready > 0:
            newest.polls_until_ready -= 1
            return {"status": "BLOBS_RECEIVED"}
        return {"status": "FAILED" if found.failed else "READY"}

    def _metadata(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        info = {
            "datasetId": 1,
            "datasetSlug": found.slug,
            "ownerUser": found.owner,
            "title": found.title,
            "description": found.description,
            "isPrivate": found.private,
            "licenses": [{"name": found.license}],
            "collaborators": found.collaborators,
        }
        return {"info": info}

    def _update_metadata(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        if user != found.owner:
            raise Refused(403, "You may not write there.")
        settings = asked["settings"]
        strangers = [
            person["username"]
            for person in settings.get("collaborators") or []
            if person["username"] not in {*self.tokens.values(), *self.keys}
        ]
        if strangers:
            return {"errors": [f"There is no user {strangers[0]}."]}
        # All of it is replaced, by what is given and by nothing.
        found.title = settings.get("title") or ""
        found.description = settings.get("description") or ""
        found.private = bool(settings.get("isPrivate"))
        found.license = next((one["name"] for one in settings.get("licenses") or []), "unknown")
        found.collaborators = settings.get("collaborators") or []
        return {"errors": []}

    def _list_files(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        version = found.versions[self._version_number(found, asked) - 1]
        first = int(asked.get("pageToken") or 0)
        end = first + min(int(asked.get("pageSize") or 20), _LARGEST_PAGE)
        files = sorted(version.files.items())
        return {
            "datasetFiles": [
                {"name": name, "totalBytes": path.stat().st_size, "creationDate": _CREATED}
                for name, path in files[first:end]
            ],
            "nextPageToken": str(end) if end < len(files) else "",
        }

    def _list(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        mine = [s for s in self._datasets.values() if s.owner == user and s.versions]
        if "PRIVATE" in asked.get("group", ""):
            mine = [s for s in mine if s.private]
        page = int(asked.get("page") or 1)
        found = [] if page > 1 else mine
        return {"datasets": [self._summary(one) for one in found], "nextPageToken": ""}

    def _delete(self, user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        found = self._readable(user, asked)
        if user != found.owner:
            raise Refused(403, "You may not write there.")
        del self._datasets[found.owner, found.slug]
        return {"error": ""}

    def _introspect(self, _user: str | None, asked: dict[str, Any]) -> dict[str, Any]:
        name = self.tokens.get(asked["token"])
        if name is None:
            raise Refused(403, "Forbidden")
        return {"active": True, "username": name}
