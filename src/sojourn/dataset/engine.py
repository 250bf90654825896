"""What packs the shards of a push: the threads of this machine, or others that do the same.

Whatever packs a group of entries makes the same bytes of it, so who did it cannot be seen.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from sojourn.dataset.archive import ShardArchive
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.packing import PackedShard, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from types import TracebackType

    from sojourn.dataset.listing import Entry
    from sojourn.dataset.manifest import Member, Shard
    from sojourn.dataset.sending import Sender
    from sojourn.dataset.shards import Sizes
    from sojourn.dataset.source import Source

# Each holds a frame, packed and not, and a file that is read: more would fill half a GB.
_MOST_PACKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Entries that follow one another, and become one shard.

    Attributes:
        index: Of the shard.
        entries: At least one.
        sizes: How large frames are made.
        as_tables: Keep tables as columns where that is exact.
    """

    index: int
    entries: tuple[Entry, ...]
    sizes: Sizes
    as_tables: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedGroup:
    """A shard that is on its way to the store, or there; and what it holds."""

    shard: Shard
    members: tuple[Member, ...]


class Engine(Protocol):
    """Packs groups and sends their shards. Leave it to wait for what is under way."""

    @property
    def sent_shards(self) -> int:
        """How many shards were sent so far."""
        ...

    @property
    def sent_bytes(self) -> int:
        """How many bytes were sent so far."""
        ...

    def pack(self, group: Group) -> Future[PackedGroup]:
        """Pack and send a group, now or later; may wait while much is under way."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ThreadEngine:
    """Packs with all cores of this machine, one shard after another, sending the last meanwhile.

    Args:
        source: Where the files are.
        sender: Sends shards.
        advance: Takes how many bytes of files were dealt with, and how many files.
    """

    def __init__(
        self, source: Source, sender: Sender, *, advance: Callable[[int, int], None]
    ) -> None:
        self._source = source
        self._sender = sender
        self._advance = advance
        self._packers = min(_MOST_PACKERS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._packers, "pack")

    @property
    def sent_shards(self) -> int:
        """How many shards were sent so far."""
        return self._sender.sent_shards

    @property
    def sent_bytes(self) -> int:
        """How many bytes were sent so far."""
        return self._sender.sent_bytes

    def pack(self, group: Group) -> Future[PackedGroup]:
        """Pack a group now, and begin to send it."""
        done: Future[PackedGroup] = Future()
        done.set_result(
            pack_group(
                group,
                self._source,
                self._sender,
                pool=self._pool,
                ahead=self._packers + 1,
                advance=self._advance,
            )
        )
        return done

    def __enter__(self) -> Self:
        self._sender.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._sender.__exit__(kind, error, trace)
        finally:
            self._pool.shutdown(cancel_futures=True)


def pack_group(
    group: Group,
    source: Source,
    sender: Sender,
    *,
    pool: Executor,
    ahead: int,
    advance: Callable[[int, int], None],
) -> PackedGroup:
    """Pack a group into a scratch file, and begin to send that.

    Args:
        group: What is packed.
        source: Where its files are.
        sender: Sends the shard, and closes the scratch file.
        pool: Reads, parses and compresses.
        ahead: How many files, and how many frames, may be in memory at once.
        advance: Takes how many bytes of files were dealt with, and how many files.

    Raises:
        UsageError: there is no room for the shard, or a file cannot be read.
        IntegrityError: a file changed meanwhile.
        StoreError: an earlier shard could not be sent.
    """
    sender.wait_for_room()
    archive = ShardArchive(
        source,
        shard=group.index,
        frame_bytes=group.sizes.frame_bytes,
        as_tables=group.as_tables,
        pool=pool,
        ahead=ahead,
        advance=advance,
    )
    with local_disk(f"write to {tempfile.gettempdir()}"):
        # It has no name, so that nothing of it is left however this process ends.
        file = tempfile.TemporaryFile(prefix="sojourn-")  # noqa: SIM115 - the sender closes it
        try:
            packed = pack(archive.frames(group.entries), file, pool=pool, ahead=ahead)
        except BaseException:
            file.close()
            raise
    shard = replace(packed.shard, segments=archive.segments)
    sender.send(PackedShard(shard=shard, file=packed.file))
    return PackedGroup(shard=shard, members=archive.members)
