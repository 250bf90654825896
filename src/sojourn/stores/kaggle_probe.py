"""What Kaggle does with what it is sent, tried out with a tiny private data set of its own.

It makes `OWNER/sojourn-probe-…`, looks, and deletes that: nothing else is ever deleted.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from sojourn.errors import ObjectNotFoundError, StoreError
from sojourn.stores.kaggle_versions import unpacked_folders
from sojourn.stores.probing import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.progress import Progress
    from sojourn.stores.base import Store
    from sojourn.stores.kaggle_api import KaggleApi
    from sojourn.stores.kaggle_files import VersionFiles
    from sojourn.stores.kaggle_transfer import Transfer

PREFIX = "sojourn-probe-"

_INNER = "inside/of-it.txt"
_CONTENT = b"a file in an archive\n"
_LINE = b"0123456789,abcdef\n"
_PLAIN = "probe/plain.csv"
_SHARD = "probe/shard.tar.zst"
_LATER = "probe/later.txt"
# Large enough that a part is not all of it, small enough for any link.
_PLAIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KaggleProbe:
    """A trial.

    Attributes:
        store: The data set that is made and deleted.
        api: Asks about it.
        files: Reads its versions.
        transfer: Fetches.
    """

    store: Store
    api: KaggleApi
    files: VersionFiles
    transfer: Transfer

    def run(self, progress: Progress) -> tuple[Finding, ...]:
        """Make the data set, look, and delete it, however that ends.

        Raises:
            StoreError: Kaggle refused, or could not be reached.
        """
        try:
            findings = self._look(progress)
        except StoreError as error:
            deleted = self._delete()
            if deleted.ok:
                raise
            raise StoreError(
                f"{error.message} And {deleted.name} {deleted.detail}",
                remedy=f"{error.remedy} {deleted.remedy}",
            ) from error
        except BaseException:
            self._delete()
            raise
        return (*findings, self._delete())

    def _look(self, progress: Progress) -> list[Finding]:
        archives = _archives()
        plain = (_LINE * (_PLAIN_BYTES // len(_LINE) + 1))[:_PLAIN_BYTES]
        for key, data in {**archives, _PLAIN: plain}.items():
            self.store.put(key, data)
        self.store.publish(message="a trial by sojourn", progress=progress)
        first = self._version()
        names = self.files.sizes(first)
        findings = [self._how_archive_is_kept(key, names) for key in archives]
        findings += [self._how_files_come(first), self._whether_parts_come(first, plain)]
        self.store.put(_LATER, b"in the second version\n")
        self.store.publish(message="a second version", progress=progress)
        return [*findings, self._whether_versions_stay(plain)]

    def _version(self) -> int:
        remote = self.api.dataset()
        return remote.version if remote else 0

    def _how_archive_is_kept(self, key: str, names: Mapping[str, int]) -> Finding:
        ending = key.partition(".")[2]
        name = f"archives .{ending}" + (" (what a push sends)" if key == _SHARD else "")
        folder = next((f for f in unpacked_folders(key) if f"{f}/{_INNER}" in names), None)
        if key in names:
            return Finding(name=name, ok=True, detail="kept as they are sent")
        if folder is not None:
            return Finding(name=name, ok=True, detail=f"unpacked into {folder}/")
        found = ", ".join(sorted(n for n in names if n.endswith("of-it.txt"))) or "nothing"
        return Finding(
            name=name,
            ok=key != _SHARD,
            detail=f"neither kept nor unpacked where sojourn looks; there is: {found}",
            remedy="Please report this line to sojourn's authors.",
        )

    def _how_files_come(self, version: int) -> Finding:
        zipped = self.api.download(_PLAIN, version=version).is_zipped
        detail = f"come as NAME.zip, from {_PLAIN_BYTES} bytes on or less" if zipped else "as sent"
        return Finding(name="single files", ok=True, detail=detail)

    def _whether_parts_come(self, version: int, plain: bytes) -> Finding:
        part = self.files.read(_PLAIN, version=version, offset=1000, size_bytes=100)
        address = self.api.download(_PLAIN, version=version)
        md5 = self.transfer.fetch(address.url, offset=0, size_bytes=100).md5
        ok = part == plain[1000:1100]
        return Finding(
            name="parts of files",
            ok=ok,
            detail=("right" if ok else "wrong") + ("; with an MD5" if md5 else "; without an MD5"),
            remedy="" if ok else "Please report this line to sojourn's authors.",
        )

    def _whether_versions_stay(self, plain: bytes) -> Finding:
        try:
            ok = self.store.get(_PLAIN) == plain
        except ObjectNotFoundError:
            ok = False
        return Finding(
            name="earlier versions",
            ok=ok,
            detail="can be read by number" if ok else "cannot be read once there is a newer one",
            remedy="" if ok else "Push each revision under a name of its own.",
        )

    def _delete(self) -> Finding:
        name = "the trial's data set"
        try:
            self.api.delete()
        except StoreError as error:
            if not self._is_gone():
                return Finding(
                    name=name,
                    ok=False,
                    detail=f"was not deleted: {error.message}",
                    remedy=f"Delete it on {self.api.page}/settings.",
                )
        return Finding(name=name, ok=True, detail="was deleted")

    def _is_gone(self) -> bool:
        try:
            return self.api.dataset() is None
        except StoreError:
            return False


def _archives() -> dict[str, bytes]:
    """Return one archive of each kind, by name, all with the same file in them."""
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(_INNER, _CONTENT)
    with tarfile.open(fileobj=tarred, mode="w") as tarball:
        entry = tarfile.TarInfo(_INNER)
        entry.size = len(_CONTENT)
        tarball.addfile(entry, io.BytesIO(_CONTENT))
    tar = tarred.getvalue()
    return {
        _SHARD: zstandard.ZstdCompressor().compress(tar),
        "probe/tarball.tar": tar,
        "probe/zipped.zip": zipped.getvalue(),
    }
