"""Shards that a store unpacked on its own: the bytes of their archives, put together again.

Some stores unpack archives that are sent to them. Then the files of `shards/NAME.tar.zst` are below
a folder of its name, with or without its endings. Readers go by where in an archive a file's bytes
are, so the archive is made anew for them, as far as they look: files and segments are in their
places, and between them there are zeros instead of tar's headers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.manifest import SEGMENTS_FOLDER, segment_name
from sojourn.errors import IntegrityError, ObjectNotFoundError

if TYPE_CHECKING:
    from sojourn.dataset.manifest import Manifest
    from sojourn.stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file of an archive: its name there, and where its bytes are."""

    name: str
    offset: int
    size_bytes: int


class UnpackedShards:
    """The unpacked shards of one data set. May be used from several threads at once."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._lock = threading.Lock()
        self._folders: dict[int, str] = {}
        self._files: dict[int, tuple[_File, ...]] = {}

    def is_known(self, shard: int) -> bool:
        """Tell whether a shard was found unpacked."""
        return shard in self._folders

    def look_for(self, shard: int) -> bool:
        """Look whether a shard is there unpacked, and remember it if so."""
        with self._lock:
            if self._look_for(shard):
                return True
            if self._files_of(shard):
                return False
            # Of one that holds empty folders only nothing can be there; the others tell.
            if not any(self._look_for(other) for other in range(len(self._manifest.shards))):
                return False
            self._files[shard], self._folders[shard] = (), ""
            return True

    def _look_for(self, shard: int) -> bool:
        if shard in self._folders:
            return True
        files = self._files_of(shard)
        for folder in _folders(self._manifest.shards[shard].key) if files else ():
            if self._store.find(f"{folder}/{files[0].name}") is not None:
                self._files[shard] = files
                self._folders[shard] = folder
                return True
        return False

    def read(self, shard: int, *, offset: int, size_bytes: int) -> bytes:
        """Return bytes of a shard's archive, with zeros for all that is not a file's.

        Raises:
            IntegrityError: a file is missing, or shorter than the manifest says.
        """
        raw = bytearray(size_bytes)
        for file in self._files[shard]:
            start = max(offset, file.offset)
            wanted_bytes = min(offset + size_bytes, file.offset + file.size_bytes) - start
            if wanted_bytes > 0:
                key = f"{self._folders[shard]}/{file.name}"
                at = start - offset
                raw[at : at + wanted_bytes] = self._part(key, start - file.offset, wanted_bytes)
        return bytes(raw)

    def _part(self, key: str, offset: int, size_bytes: int) -> bytes:
        try:
            data = self._store.get_range(key, offset=offset, size_bytes=size_bytes)
        except ObjectNotFoundError:
            data = b""
        if len(data) != size_bytes:
            raise IntegrityError(
                f"{key} in {self._store.url}, unpacked of a shard, is missing or too short.",
                remedy="Push the folder again under another name.",
            )
        return data

    def _files_of(self, shard: int) -> tuple[_File, ...]:
        files = [
            _File(name=member.path, offset=member.offset, size_bytes=member.size_bytes)
            for member in self._manifest.files
            if member.shard == shard and member.table is None
        ]
        for segment in self._manifest.shards[shard].segments:
            name = f"{SEGMENTS_FOLDER}/{segment_name(segment.digest)}"
            files.append(_File(name=name, offset=segment.offset, size_bytes=segment.size_bytes))
        return tuple(files)


def _folders(key: str) -> list[str]:
    """Return the folders that a store may unpack an archive into."""
    folder, slash, name = key.rpartition("/")
    stem = name.removesuffix(".zst")
    names = dict.fromkeys([name, stem, stem.removesuffix(".tar")])
    return [f"{folder}{slash}{name}" for name in names]
