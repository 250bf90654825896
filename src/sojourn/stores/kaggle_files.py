"""The files of the versions of a Kaggle data set: listed, and read by range.

A file is asked for by name; Kaggle answers with a signed address, which is used for all parts of it
until it expires. What Kaggle hands out as `NAME.zip` is unpacked on the way. Where single files are
not to be had, or a version that others made has very many, the version is read as the one archive
that Kaggle makes of it: also by range, so that nothing is fetched that is not asked for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from sojourn.errors import ObjectNotFoundError, StoreUnavailableError
from sojourn.stores.kaggle_busy import come_back_later
from sojourn.stores.kaggle_transfer import ExpiredAddressError
from sojourn.stores.kaggle_versions import INDEX_NAME
from sojourn.stores.zipped import RemoteZip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sojourn.stores.kaggle_answers import Download
    from sojourn.stores.kaggle_api import KaggleApi
    from sojourn.stores.kaggle_transfer import Transfer

T = TypeVar("T")

# With more files than this a call of the API for each costs more than reading from one archive.
_FEW_FILES = 50

# A version, and the name of a file in it; None stands for all of it as one archive.
_FileId: TypeAlias = "tuple[int, str | None]"


class VersionFiles:
    """Files by version and name. May be used from several threads at once.

    Args:
        api: Is asked for listings and addresses.
        transfer: Fetches.
        name: What the data set is called in errors.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        api: KaggleApi,
        transfer: Transfer,
        *,
        name: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._api = api
        self._transfer = transfer
        self._name = name
        self._sleep = sleep
        self._lock = threading.Lock()
        self._archive_lock = threading.Lock()
        self._listings: dict[int, dict[str, int]] = {}
        self._downloads: dict[_FileId, Download] = {}
        self._archives: dict[_FileId, RemoteZip] = {}
        self._only_as_archive: set[int] = set()

    def sizes(self, version: int) -> Mapping[str, int]:
        """Return how large each file of a version is, in bytes, by name."""
        known = self._listings.get(version)
        if known is None:
            known = come_back_later(
                lambda: {file.name: file.size_bytes for file in self._api.files(version)},
                sleep=self._sleep,
            )
            self._listings[version] = known
        return known

    def find(self, name: str, *, version: int) -> int | None:
        """Return the size of a file that need not be listed, in bytes; None if it is not there."""
        try:
            download = self._download((version, name))
        except ObjectNotFoundError:
            return None
        if download.is_zipped:
            return self._archive((version, name)).sizes()[_inner(name)]
        return self._fetching((version, name), self._size_at)

    def read_whole(self, name: str, *, version: int) -> bytes:
        """Return a whole file.

        Raises:
            ObjectNotFoundError: the version has no such file.
        """
        zipped = self._zipped(name, version)
        if zipped is not None:
            archive, inner = zipped
            return archive.read(inner, offset=0, size_bytes=archive.sizes()[inner])
        return self._fetching((version, name), self._transfer.fetch_whole)

    def read(self, name: str, *, version: int, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file, fewer bytes where it ends sooner.

        Raises:
            ObjectNotFoundError: the version has no such file.
        """
        zipped = self._zipped(name, version)
        if zipped is not None:
            archive, inner = zipped
            return archive.read(inner, offset=offset, size_bytes=size_bytes)
        return self._part((version, name), offset, size_bytes)

    def _zipped(self, name: str, version: int) -> tuple[RemoteZip, str] | None:
        """Return the archive to read a file from, and what it is called there, if there is one."""
        whole: _FileId = (version, None)
        if self._prefers_archive(version) and (found := self._whole_version(whole, name)):
            return found, name
        try:
            is_zipped = self._download((version, name)).is_zipped
        except ObjectNotFoundError:
            # It may be there, and not to be had by itself.
            if name not in self.sizes(version):
                raise
            found = self._whole_version(whole, name)
            if found is None:
                raise
            return found, name
        return (self._archive((version, name)), _inner(name)) if is_zipped else None

    def _prefers_archive(self, version: int) -> bool:
        listed = self._listings.get(version, {})
        return len(listed) > _FEW_FILES and INDEX_NAME not in listed

    def _whole_version(self, whole: _FileId, name: str) -> RemoteZip | None:
        try:
            archive = self._archive(whole)
        except ObjectNotFoundError:
            return None
        return archive if name in archive.sizes() else None

    def _archive(self, file_id: _FileId) -> RemoteZip:
        with self._archive_lock:
            known = self._archives.get(file_id)
            if known is None:
                known = RemoteZip(
                    lambda offset, size_bytes: self._part(file_id, offset, size_bytes),
                    size_bytes=self._fetching(file_id, self._size_at),
                    name=f"{self._name}/{file_id[1] or 'all of it'}",
                )
                self._archives[file_id] = known
            return known

    def _part(self, file_id: _FileId, offset: int, size_bytes: int) -> bytes:
        # No part is asked for as one byte: what is not there must still be an error.
        wanted_bytes = max(1, size_bytes)
        data = self._fetching(
            file_id,
            lambda url: self._transfer.fetch(url, offset=offset, size_bytes=wanted_bytes).data,
        )
        return data[:size_bytes]

    def _size_at(self, url: str) -> int:
        return self._transfer.fetch(url, offset=0, size_bytes=1).whole_bytes

    def _download(self, file_id: _FileId) -> Download:
        known = self._downloads.get(file_id)
        if known is None:
            version, name = file_id
            known = come_back_later(
                lambda: self._api.download(name, version=version), sleep=self._sleep
            )
            self._downloads[file_id] = known
        return known

    def _fetching(self, file_id: _FileId, fetch: Callable[[str], T]) -> T:
        """Return what is fetched from a file's address; from a new one if that has expired."""
        used = self._download(file_id)
        try:
            return fetch(used.url)
        except ExpiredAddressError:
            with self._lock:
                if self._downloads.get(file_id) is used:
                    del self._downloads[file_id]
        try:
            return fetch(self._download(file_id).url)
        except ExpiredAddressError as error:
            self._downloads.pop(file_id, None)
            raise StoreUnavailableError(
                f"The address that Kaggle gave for {file_id[1] or 'all'} of {self._name} leads "
                "nowhere.",
                remedy="Run it again.",
            ) from error


def _inner(name: str) -> str:
    """Return what a file is called in the archive that Kaggle hands out for it alone."""
    return name.rpartition("/")[2]
