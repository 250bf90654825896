"""The manifest of a data set that Sojourn did not make, from the store's listing.

Each object is a file. Where there are only zips, and at most what describes them, their members are
the files: of one zip at the top, of several each below its zip's name.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.digests import VERSION_PREFIX, format_crc32
from sojourn.dataset.foreign import (
    NO_REVISION,
    Extent,
    ForeignManifest,
    PlainExtent,
    ZipEntry,
    ZipExtent,
)
from sojourn.dataset.manifest import MANIFEST_KEY, Frame, Member, Shard, path_order
from sojourn.dataset.source import folders_above
from sojourn.dataset.zip_directory import read_zip_directory
from sojourn.errors import IntegrityError, ObjectNotFoundError
from sojourn.stores.base import check_key
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.stores.base import Store, StoredObject

_RANGE_BYTES = 8 * MIB
# Members of a zip that lie together are fetched together, up to this much packed, and unpacked.
_GROUP_BYTES = 8 * MIB
_GROUP_RAW_BYTES = 16 * MIB
_DIRECTORIES_AT_ONCE = 8
_ZIP = ".zip"
# What a push leaves that was interrupted before its first revision was published.
_SHARD = re.compile(r"shards/[0-9a-f]{64}\.tar\.zst")
# What stands beside a data set's zip, and says what it is: on the hub there always is one.
_DESCRIPTION = re.compile(
    r"(readme|licen[cs]e|citation|\.gitattributes|dataset-metadata|croissant)(\.\w+)?",
    re.IGNORECASE,
)
_VERSION_DIGITS = 32
_MOST_NAMED = 5
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


def find_foreign(store: Store) -> ForeignManifest | None:
    """Return the manifest of what a store holds; None if it holds nothing that is a data set.

    Raises:
        ObjectNotFoundError: all of it belongs to data sets that were pushed to places below.
        StoreError: the store refused, an object's name is no path, or a zip needs what is not
            known here.
        IntegrityError: two files have one name, or a zip cannot be used.
    """
    objects = sorted(store.list(), key=lambda found: path_order(found.key))
    for found in objects:
        check_key(found.key)  # what leads outside of a folder is no name in it either
    objects = _without_folder_marks(objects)
    if not objects or any(_SHARD.fullmatch(found.key) for found in objects):
        return None
    _check_not_pushed_below(store, [found.key for found in objects])
    zips = [found for found in objects if _is_zip(found.key)]
    others = [found for found in objects if not _is_zip(found.key)]
    if not zips or not all(_DESCRIPTION.fullmatch(found.key) for found in others):
        return _manifest(store, _plain_parts(store, objects, first=0))
    unpacked = _parts_of_zips(store, zips)
    there = {member.path for member in unpacked.members}
    beside = [found for found in others if found.key not in there]
    return _manifest(store, unpacked + _plain_parts(store, beside, first=len(zips)))


def _check_not_pushed_below(store: Store, keys: list[str]) -> None:
    """Check that the objects are not those of pushed data sets, whose shards are no files."""
    manifests = {key.rpartition("/")[0] for key in keys if key.endswith(f"/{MANIFEST_KEY}")}
    sharded = {key[: found.start() - 1] for key in keys if (found := _SHARD.search(key))}
    folders = sorted(manifests & sharded)
    if folders and all(not manifests.isdisjoint(folders_above(key)) for key in keys):
        shown = ", ".join(folders[:_MOST_NAMED]) + (", …" if len(folders) > _MOST_NAMED else "")
        raise ObjectNotFoundError(
            f"There is no data set in {store.url} itself, but in places below it: {shown}.",
            remedy=f"Name one of them: {store.url.rstrip('/')}/{folders[0]}",
        )


def _without_folder_marks(objects: list[StoredObject]) -> list[StoredObject]:
    """Leave out the empty objects with which some tools mark a folder."""
    folders = {above for found in objects for above in folders_above(found.key)}
    return [o for o in objects if not (o.size_bytes == 0 and o.key.rstrip("/") in folders)]


def _is_zip(key: str) -> bool:
    return key.lower().endswith(_ZIP)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a manifest is made of: shards, what their frames are, and files in them."""

    shards: list[Shard]
    extents: list[list[Extent]]
    members: list[Member]

    def __add__(self, other: _Parts) -> _Parts:
        return _Parts(
            shards=self.shards + other.shards,
            extents=self.extents + other.extents,
            members=self.members + other.members,
        )


def _plain_parts(store: Store, objects: list[StoredObject], *, first: int) -> _Parts:
    """Return objects as they are; the first of them is the shard of that number."""
    extents = [_plain(found.size_bytes) for found in objects]
    shards = [
        _shard(found, pieces, [piece.size_bytes for piece in pieces])
        for found, pieces in zip(objects, extents, strict=True)
    ]
    members = [
        Member(
            path=found.key,
            kind="file",
            mode=_FILE_MODE,
            shard=index,
            size_bytes=found.size_bytes,
            digest=found.digest or _version(store, found),
        )
        for index, found in enumerate(objects, start=first)
    ]
    return _Parts(shards=shards, extents=extents, members=members)


def _parts_of_zips(store: Store, objects: list[StoredObject]) -> _Parts:
    def directory(found: StoredObject) -> tuple[ZipEntry, ...]:
        return read_zip_directory(store, found.key, found.size_bytes)

    with ThreadPoolExecutor(_DIRECTORIES_AT_ONCE, "directory") as pool:
        directories = list(pool.map(directory, objects))
    parts = _Parts(shards=[], extents=[], members=[])
    for found, entries in zip(objects, directories, strict=True):
        below = f"{found.key[: -len(_ZIP)]}/" if len(objects) > 1 else ""
        parts.members.extend(_members_of_zip(entries, below=below, shard=len(parts.shards)))
        groups = list(_groups(entries))
        pieces = [piece for group in groups for piece in _zipped(group)]
        raw_sizes = [raw_bytes for group in groups for raw_bytes in _raw_sizes(group)]
        parts.shards.append(_shard(found, pieces, raw_sizes))
        parts.extents.append(pieces)
    return parts


def _members_of_zip(entries: Iterable[ZipEntry], *, below: str, shard: int) -> Iterator[Member]:
    offset = 0
    for entry in entries:
        yield Member(
            path=f"{below}{entry.name}",
            kind="file",
            mode=entry.mode,
            shard=shard,
            size_bytes=entry.size_bytes,
            offset=offset,
            digest=format_crc32(entry.crc32),
        )
        offset += entry.size_bytes


def _groups(entries: Iterable[ZipEntry]) -> Iterator[list[ZipEntry]]:
    """Yield members that are fetched together: neighbours, or one that is large."""
    group: list[ZipEntry] = []
    raw_bytes = 0
    for entry in entries:
        raw_bytes += entry.size_bytes
        # What lies between them are the headers of folders.
        packed_bytes = entry.header_at + entry.room_bytes - (group or [entry])[0].header_at
        if group and (packed_bytes > _GROUP_BYTES or raw_bytes > _GROUP_RAW_BYTES):
            yield group
            group, raw_bytes = [], entry.size_bytes
        group.append(entry)
    if group:
        yield group


def _is_large(entry: ZipEntry) -> bool:
    return entry.packed_bytes > _GROUP_BYTES or entry.size_bytes > _GROUP_RAW_BYTES


def _zipped(group: list[ZipEntry]) -> list[Extent]:
    first, last = group[0], group[-1]
    if _is_large(first) and not first.is_deflated:
        return [
            PlainExtent(offset=at, size_bytes=size_bytes, header_at=first.header_at)
            for at, size_bytes in _ranges(first.size_bytes)
        ]
    size_bytes = last.header_at + last.room_bytes - first.header_at
    return [
        ZipExtent(
            offset=first.header_at,
            size_bytes=size_bytes,
            entries=tuple(group),
            is_streamed=_is_large(first),
        )
    ]


def _raw_sizes(group: list[ZipEntry]) -> list[int]:
    if _is_large(group[0]) and not group[0].is_deflated:
        return [size_bytes for _, size_bytes in _ranges(group[0].size_bytes)]
    return [sum(entry.size_bytes for entry in group)]


def _plain(size_bytes: int) -> list[Extent]:
    return [
        PlainExtent(offset=at, size_bytes=here, ends_object=at + here == size_bytes)
        for at, here in _ranges(size_bytes)
    ]


def _ranges(size_bytes: int) -> Iterator[tuple[int, int]]:
    for at in range(0, size_bytes, _RANGE_BYTES):
        yield at, min(_RANGE_BYTES, size_bytes - at)


def _shard(found: StoredObject, extents: list[Extent], raw_sizes: list[int]) -> Shard:
    frames = tuple(
        Frame(size_bytes=extent.size_bytes, raw_bytes=raw_bytes)
        for extent, raw_bytes in zip(extents, raw_sizes, strict=True)
    )
    digest = found.digest or ""
    return Shard(key=found.key, size_bytes=found.size_bytes, digest=digest, frames=frames)


def _version(store: Store, found: StoredObject) -> str | None:
    """Return what tells this object, as it is, from all others; None if the store tells nothing."""
    if not found.version:
        return None
    mark = f"{store.url}\0{found.key}\0{found.version}"
    name = hashlib.sha256(mark.encode(errors="surrogateescape")).hexdigest()
    return f"{VERSION_PREFIX}{name[:_VERSION_DIGITS]}"


def _manifest(store: Store, parts: _Parts) -> ForeignManifest:
    members = {member.path: member for member in parts.members}
    if len(members) < len(parts.members):
        counted = Counter(member.path for member in parts.members)
        raise _clash(store, f"two files are called {counted.most_common(1)[0][0]!r}")
    for path in tuple(members):
        for above in folders_above(path):
            standing = members.setdefault(
                above, Member(path=above, kind="folder", mode=_FOLDER_MODE, shard=0)
            )
            if standing.kind != "folder":
                raise _clash(store, f"{above!r} is a file, and {path!r} is in a folder so called")
    return ForeignManifest(
        revision=NO_REVISION,
        parent=None,
        created="",
        message="",
        shards=tuple(parts.shards),
        members=tuple(sorted(members.values(), key=lambda member: path_order(member.path))),
        extents=tuple(map(tuple, parts.extents)),
    )


def _clash(store: Store, why: str) -> IntegrityError:
    return IntegrityError(
        f"{store.url} cannot be read as a folder: {why}.",
        remedy="Get it with other tools, rename one of them, and push the folder.",
    )
