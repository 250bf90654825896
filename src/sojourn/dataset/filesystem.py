"""Data sets as a file system of fsspec: `sojourn://train/A.csv`, read only.

    pandas.read_csv("sojourn://train/A.csv", storage_options={"address": "s3://bucket/leaks"})
    fsspec.filesystem("sojourn", address="s3://bucket/leaks").ls("train")

Known to fsspec by the entry point `sojourn` of the group `fsspec.specs`. Only fsspec imports this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from fsspec.spec import AbstractFileSystem

from sojourn.dataset.finding import find_dataset
from sojourn.dataset.globs import near
from sojourn.dataset.names import composed
from sojourn.errors import NoSuchFileError, ReadOnlyError, UsageError

if TYPE_CHECKING:
    from sojourn.dataset.dataset import Dataset


class SojournFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """One revision of a data set. The folder that was pushed is its root.

    Args:
        address: Where the data set is: `s3://BUCKET/PREFIX`, `file:///PATH` or a plain path.
        revision: An earlier one; the newest if None.
        **options: Of fsspec's own.

    Raises:
        UsageError: there is no address, or no such revision.
        StoreError: the store holds no data set, refused, or could not be reached.
        IntegrityError: the manifest cannot be used.
    """

    protocol = "sojourn"
    root_marker = ""

    def __init__(self, address: str = "", *, revision: str | None = None, **options: Any) -> None:
        super().__init__(address=address, revision=revision, **options)
        if not address:
            raise UsageError(
                "A file system of Sojourn needs to know where the data set is.",
                remedy='Give its address: `storage_options={"address": "s3://BUCKET/PREFIX"}`, or '
                '`fsspec.filesystem("sojourn", address=…)`.',
            )
        self.dataset = find_dataset(address, revision=revision)
        self._entries, self._folders = _tree(self.dataset)
        self._composed = {composed(name): name for name in self._entries if not name.isascii()}

    @property
    def fsid(self) -> str:
        """What tells this file system from others: the address and the revision."""
        return f"sojourn:{self.dataset.url}@{self.dataset.revision}"

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Return name, type, size in bytes and, of a file, its digest.

        Raises:
            NoSuchFileError: there is nothing of that name.
        """
        path = self._strip_protocol(path)
        if path not in self._entries:
            path = self._composed.get(composed(path), path)
        if path not in self._entries:
            raise NoSuchFileError(
                f"There is nothing called {path!r} in {self.dataset.url}.",
                remedy=near(path, [name for name in self._entries if name], listing="`ls`"),
            )
        return dict(self._entries[path])

    def ls(
        self,
        path: str,
        detail: bool = True,  # noqa: FBT001, FBT002 - fsspec's signature
        **_options: Any,
    ) -> list[Any]:
        """Return what is in a folder, or the file itself: records as of `info`, or names.

        Raises:
            NoSuchFileError: there is nothing of that name.
        """
        entry = self.info(path)
        is_folder = entry["type"] == "directory"
        names = self._folders.get(entry["name"], ()) if is_folder else [entry["name"]]
        entries = [self.info(name) for name in names]
        return entries if detail else [found["name"] for found in entries]

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_options: Any
    ) -> bytes:
        """Return a file's bytes, or those from `start` to before `end`.

        As in a slice, a negative number counts from the end.

        Raises:
            NoSuchFileError: there is no such file.
            IntegrityError: the store holds something else than was pushed.
        """
        name = self._strip_protocol(path)
        if start is None and end is None:
            return self.dataset.read_bytes(name)
        first, last, _ = slice(start, end).indices(self.info(name)["size"])
        with self.dataset.open(name) as file:
            file.seek(first)
            return file.read(max(0, last - first))

    def refuse(self, *what: Any, **_options: Any) -> NoReturn:
        """Refuse what fsspec has for changing something.

        Raises:
            ReadOnlyError: always.
        """
        raise ReadOnlyError(
            f"{self.dataset.url} is read only, so nothing is changed at {what[0] if what else ''}.",
            remedy="Change the folder that was pushed, and push it again.",
        )

    mkdir = makedirs = rmdir = touch = refuse
    pipe_file = put_file = cp_file = mv = rm = rm_file = _rm = refuse

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BinaryIO:
        if mode != "rb":
            self.refuse(path)
        name = self._strip_protocol(path)
        if self.info(name)["type"] == "directory":
            raise IsADirectoryError(f"{name!r} in {self.dataset.url} is a folder.")
        return self.dataset.open(name)


def _tree(dataset: Dataset) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return what there is by name, and the names in each folder. Links to files are files."""
    entries: dict[str, dict[str, Any]] = {"": {"name": "", "type": "directory", "size": 0}}
    for folder in dataset.manifest.members:
        if folder.kind == "folder":
            entries[folder.path] = {"name": folder.path, "type": "directory", "size": 0}
    for name in dataset.files():
        member = dataset.member(name)
        entries[name] = {
            "name": name,
            "type": "file",
            "size": member.size_bytes,
            "digest": member.digest,
        }
    folders: dict[str, list[str]] = {}
    for name in sorted(entries):
        if name:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    return entries, folders
