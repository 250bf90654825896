"""Fetch and decode frames, and say which members' bytes are where in them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import zstandard

from sojourn.dataset.digests import digest_like
from sojourn.dataset.manifest import repair_shards
from sojourn.dataset.unpacked import UnpackedShards
from sojourn.errors import IntegrityError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.stores.base import Store

# What plain zstd allows, so what any writer of this format may use.
_MAX_WINDOW_BYTES = 1 << 27
# A frame that is made anew is decoded at once, in the same process.
_FASTEST = -5


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """A frame: index of its shard, and index in it."""

    shard: int
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The part of a member's bytes that one frame holds.

    Attributes:
        member: Whose bytes.
        at: Where in the member they begin.
        start: Where in the decoded frame they begin.
        size_bytes: How many.
    """

    member: Member
    at: int
    start: int
    size_bytes: int


class Layout:
    """Where everything is: offsets that a manifest implies."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._raw_starts = [_starts(f.raw_bytes for f in s.frames) for s in manifest.shards]
        self._starts = [_starts(f.size_bytes for f in s.frames) for s in manifest.shards]

    def offset_in_shard(self, frame: FrameId) -> int:
        """Return where in the shard's object a frame begins."""
        return self._starts[frame.shard][frame.frame]

    def raw_span(self, frame: FrameId) -> tuple[int, int]:
        """Return where in the shard's archive a frame begins, and how many bytes it holds."""
        raw_bytes = self._manifest.shards[frame.shard].frames[frame.frame].raw_bytes
        return self._raw_starts[frame.shard][frame.frame], raw_bytes

    def pieces(self, member: Member) -> Iterator[tuple[FrameId, Piece]]:
        """Yield the frames that hold a file's bytes, with the part that is there, in order.

        None holds those of a file that is kept as columns.
        """
        if member.table is not None:
            return
        at = 0
        for frame_id, start, size_bytes in self.spans(
            member.shard, offset=member.offset, size_bytes=member.size_bytes
        ):
            yield frame_id, Piece(member=member, at=at, start=start, size_bytes=size_bytes)
            at += size_bytes

    def spans(
        self, shard: int, *, offset: int, size_bytes: int
    ) -> Iterator[tuple[FrameId, int, int]]:
        """Yield the frames that hold some bytes of an archive: which, from where in it, how many.

        Args:
            shard: Index of the shard.
            offset: Where the bytes begin in its archive.
            size_bytes: How many there are.
        """
        starts = self._raw_starts[shard]
        frames = self._manifest.shards[shard].frames
        end = offset + size_bytes
        index = bisect_right(starts, offset) - 1
        while offset < end:
            start = offset - starts[index]
            here_bytes = min(frames[index].raw_bytes - start, end - offset)
            yield FrameId(shard, index), start, here_bytes
            offset += here_bytes
            index += 1


def _starts(sizes: Iterator[int]) -> list[int]:
    return list(accumulate(sizes, initial=0))[:-1]


class Frames(Protocol):
    """What fetches the frames of a data set. Every verb may be called from several threads."""

    def fetch(self, frame_id: FrameId) -> bytes:
        """Return a decoded frame.

        Raises:
            IntegrityError: the store holds something else than the manifest says.
        """
        ...

    def fetch_packed(self, frame_id: FrameId) -> bytes:
        """Return a frame as it is in the store."""
        ...

    def decode(self, frame_id: FrameId, data: bytes) -> bytes:
        """Return what a frame holds, given as it is in the store."""
        ...

    def is_streamed(self, frame_id: FrameId) -> bool:
        """Tell whether a frame is better taken by `stream`; it then holds one file, whole."""
        ...

    def stream(self, frame_id: FrameId) -> Iterator[bytes]:
        """Yield what a frame holds, in pieces."""
        ...


class FrameSource:
    """Decoded frames of one data set. May be used from several threads at once."""

    def __init__(self, store: Store, manifest: Manifest, layout: Layout) -> None:
        self._store = store
        self._manifest = manifest
        self._layout = layout
        self._unpacked = UnpackedShards(store, manifest)

    def is_unpacked(self, shard: int) -> bool:
        """Tell whether a shard was found unpacked so far."""
        return self._unpacked.is_known(shard)

    def find_unpacked(self, shard: int) -> bool:
        """Tell whether a shard, which is not there as one object, is there unpacked."""
        return self._unpacked.is_known(shard) or self._unpacked.look_for(shard)

    def fetch(self, frame_id: FrameId) -> bytes:
        """Return a decoded frame.

        Raises:
            IntegrityError: the store holds something else than the manifest says.
        """
        return self.decode(frame_id, self.fetch_packed(frame_id))

    def fetch_packed(self, frame_id: FrameId) -> bytes:
        """Return a frame as it is in the store; made anew where the store unpacked the shard.

        Raises:
            IntegrityError: the store holds less than the manifest says.
        """
        shard = self._manifest.shards[frame_id.shard]
        frame = shard.frames[frame_id.frame]
        if self._unpacked.is_known(frame_id.shard):
            return self._made_anew(frame_id)
        try:
            data = self._store.get_range(
                shard.key,
                offset=self._layout.offset_in_shard(frame_id),
                size_bytes=frame.size_bytes,
            )
        except ObjectNotFoundError as error:
            if not self._unpacked.look_for(frame_id.shard):
                raise _missing(self._store, shard.key) from error
            return self._made_anew(frame_id)
        if len(data) != frame.size_bytes:
            raise damaged(self._store, shard.key, "it ends too early")
        return data

    def _made_anew(self, frame_id: FrameId) -> bytes:
        start, raw_bytes = self._layout.raw_span(frame_id)
        raw = self._unpacked.read(frame_id.shard, offset=start, size_bytes=raw_bytes)
        return zstandard.ZstdCompressor(level=_FASTEST).compress(raw)

    def decode(self, frame_id: FrameId, data: bytes) -> bytes:
        """Return what a frame holds.

        Raises:
            IntegrityError: it does not hold what the manifest says.
        """
        shard = self._manifest.shards[frame_id.shard]
        return _decode(data, shard.frames[frame_id.frame].raw_bytes, self._store, shard.key)

    def is_streamed(self, frame_id: FrameId) -> bool:  # noqa: ARG002
        """Tell that none is: they are written small enough to be decoded in memory."""
        return False

    def stream(self, frame_id: FrameId) -> Iterator[bytes]:
        """Yield what a frame holds, in one piece."""
        yield self.fetch(frame_id)


def check_digest(
    store: Store, manifest: Manifest, member: Member, data: bytes | memoryview
) -> None:
    """Check a whole file's bytes.

    Raises:
        IntegrityError: they are not what was pushed.
    """
    check_found_digest(store, manifest, member, digest_like(member.digest, data))


def check_found_digest(store: Store, manifest: Manifest, member: Member, found: str | None) -> None:
    """Check the digest that a whole file's bytes were found to have.

    Raises:
        IntegrityError: it is not that of what was pushed.
    """
    if found != member.digest:
        key = manifest.shards[member.shard].key
        raise IntegrityError(
            f"The object {key} in {store.url} is damaged: {member.path!r} does not match its "
            "digest.",
            remedy=manifest.repair(store.url),
        )


def damaged(store: Store, key: str, why: str) -> IntegrityError:
    """Return the error for a shard that does not hold what the manifest says."""
    return IntegrityError(
        f"The object {key} in {store.url} is damaged: {why}.", remedy=repair_shards(store.url)
    )


def _missing(store: Store, key: str) -> IntegrityError:
    return IntegrityError(
        f"The object {key}, which the manifest names, is missing in {store.url}.",
        remedy="Push the folder again, with the files as they were pushed; "
        f"`sojourn verify {store.url}` lists all that is wrong.",
    )


def _decode(data: bytes, raw_bytes: int, store: Store, key: str) -> bytes:
    try:
        # The decoder makes room for what the frame claims to hold; so the claim is read first.
        claimed_bytes = zstandard.frame_content_size(data)
        if claimed_bytes != raw_bytes:
            raise damaged(store, key, "a frame does not hold what the manifest says")
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return decoder.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise damaged(store, key, "a frame cannot be decoded") from error
