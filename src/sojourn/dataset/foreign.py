"""The manifest of a data set that Sojourn did not make: read off a listing, and off zips in it.

An object of the store stands for a shard, and has frames as a shard has; what a frame is made of is
its *extent*. One of a plain object is a range of its bytes. One of a zip is a range too: that of a
few members one after another, which decode to their contents one after another. So all that reads
by frames reads such data sets as well.

This module holds the records. `foreign_listing` makes the manifest, `foreign_frames` reads the
extents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sojourn.dataset.manifest import Manifest

NO_REVISION = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainExtent:
    """Bytes as they are.

    Attributes:
        offset: Where they begin in the object; from where the member's own bytes begin, if
            `header_at` is given.
        size_bytes: How many.
        ends_object: The object ends with them.
        header_at: Where the header of the zip's member is that they belong to; its length is in
            it. None if they belong to none.
    """

    offset: int
    size_bytes: int
    ends_object: bool = False
    header_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """A member of a zip, as the zip's directory has it.

    Attributes:
        name: Whose it is, for messages.
        raw_name: The bytes of the name, which its own header repeats.
        header_at: Where that header begins in the object.
        room_bytes: From there to the next member, or to the directory.
        packed_bytes: Of its contents, packed.
        size_bytes: Of its contents.
        crc32: Of its contents.
        is_deflated: Whether they are packed; they are as they are, else.
        mode: Permission bits of the file that it becomes.
    """

    name: str
    raw_name: bytes
    header_at: int
    room_bytes: int
    packed_bytes: int
    size_bytes: int
    crc32: int
    is_deflated: bool
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipExtent:
    """Members of a zip that follow one another in it.

    Attributes:
        offset: Where the first one's header begins.
        size_bytes: To the end of the last one.
        entries: They, in order.
        is_streamed: There is one, too large to be decoded in memory.
    """

    offset: int
    size_bytes: int
    entries: tuple[ZipEntry, ...]
    is_streamed: bool = False


Extent: TypeAlias = PlainExtent | ZipExtent


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignManifest(Manifest):
    """What a data set holds that Sojourn did not make. It has no revisions.

    Attributes:
        extents: What each frame of each shard is made of.
        is_object: The address is that of one object, not of a place with objects in it.
    """

    extents: tuple[tuple[Extent, ...], ...]
    is_object: bool = False

    @property
    def unpacks(self) -> bool:
        """Whether files are in zips."""
        return any(
            isinstance(extent, ZipExtent) or extent.header_at is not None
            for of_shard in self.extents
            for extent in of_shard
        )

    def repair(self, url: str) -> str:
        """Return what to do about an object that is damaged."""
        return (
            f"What {url} holds changed meanwhile, or is damaged there: try again, and if that "
            "recurs ask whoever made the data set."
        )
