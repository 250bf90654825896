"""Send a folder: what changed since the revision in the store, the manifest last.

folder → listing → shards → (the same as in the store? reuse) → packed → sent → manifest

A shard whose members are what they were is neither packed nor sent. One that must be packed, but
is in the store already under its digest (an earlier push was interrupted), is not sent.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from sojourn.dataset.engine import Engine, Group, PackedGroup, ThreadEngine
from sojourn.dataset.excluding import note_leftovers
from sojourn.dataset.localdisk import check_can_be_made
from sojourn.dataset.manifest import (
    SEGMENTS_FOLDER,
    Manifest,
    Member,
    Shard,
    contents_of,
    revision_of,
)
from sojourn.dataset.repository import find_manifest, find_published, publish
from sojourn.dataset.sending import Sender
from sojourn.dataset.shards import Sizes, split_into_shards
from sojourn.dataset.source import FolderSource, Source
from sojourn.dataset.tables import parser_of
from sojourn.errors import ConflictError, StoreError, UsageError
from sojourn.localpath import check_reachable
from sojourn.stores.dryrun import DryRun
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sojourn.dataset.listing import Entry
    from sojourn.progress import Progress, Task
    from sojourn.stores.base import Store

MakeEngine: TypeAlias = "Callable[[Source, Sender, Callable[[int, int], None]], Engine]"

_HASHERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What a push did.

    Attributes:
        url: Where the data set is.
        revision: The revision that the store holds now.
        parent: The one before it; None for the first.
        unchanged: The store held this already; nothing was sent.
        members: Files, folders and links in the revision.
        files: Files among them.
        raw_bytes: Bytes in these files.
        stored_bytes: Bytes in the revision's shards.
        shards_sent: Shards that were sent.
        shards_reused: Shards that the store held.
        sent_bytes: Bytes sent, manifests included.
        tables: CSV, TSV and JSON lines files among the files.
        tables_as_columns: Those of them that are kept as columns.
    """

    url: str
    revision: str
    parent: str | None
    unchanged: bool
    members: int
    files: int
    raw_bytes: int
    stored_bytes: int
    shards_sent: int
    shards_reused: int
    sent_bytes: int
    tables: int
    tables_as_columns: int


def push_folder(
    folder: Path,
    store: Store,
    *,
    message: str,
    now: datetime,
    progress: Progress,
    exclude: Iterable[str] = (),
    sizes: Sizes | None = None,
) -> PushReport:
    """Send a folder of this machine to a store. Arguments as in `push_source`.

    Raises:
        UsageError: the folder or the message cannot be sent, or a glob of `exclude`, of what is
            left out, names nothing.
        StoreError: the store refused.
        IntegrityError: the manifest in the store cannot be used, or a file changed meanwhile.
    """
    _check_message(message)
    _check_apart(folder, store)
    source = FolderSource(folder, exclude)
    return push_source(source, store, message=message, now=now, progress=progress, sizes=sizes)


def push_source(
    source: Source,
    store: Store,
    *,
    message: str,
    now: datetime,
    progress: Progress,
    sizes: Sizes | None = None,
    make_engine: MakeEngine | None = None,
) -> PushReport:
    """Send what a source holds to a store.

    Args:
        source: What is sent.
        store: Where to. A `DryRun` store tells what would be sent.
        message: A line for whoever reads the manifest.
        now: The instant that the manifest shows, in UTC.
        progress: Is told how many bytes of files are dealt with.
        sizes: How large shards are made.
        make_engine: Makes what packs, of source, sender and what takes progress; the threads of
            this machine if None.

    Raises:
        UsageError: what is to be sent, or the message, cannot be.
        StoreError: the store refused.
        IntegrityError: the manifest in the store cannot be used, or a file changed meanwhile.
    """
    _check_message(message)
    _check_writable(store)
    entries = source.entries()
    note_leftovers(entries, progress)
    earlier = find_manifest(store)
    if store.capabilities.local_folder is not None:
        check_can_be_made(store.capabilities.local_folder)
    total_bytes = sum(entry.size_bytes for entry in entries)
    room_bytes = store.room_bytes()
    if _may_not_fit(entries, total_bytes, room_bytes, store):
        with progress.task("measure", total=total_bytes) as task:
            measured = _Push(source, DryRun(store), earlier)
            measured.send_shards(entries, sizes or Sizes(), _threads, task)
        _check_room(measured.sent_bytes, room_bytes, store)
    pushed = _Push(source, store, earlier)
    with progress.task("push", total=total_bytes) as task:
        pushed.send_shards(entries, sizes or Sizes(), make_engine or _threads, task)
    manifest = _manifest(pushed, message=message, now=now)
    unchanged = earlier is not None and manifest.revision == earlier.revision
    sent_bytes = pushed.sent_bytes
    if unchanged and pushed.sent_shards:
        store.publish(message="shards that were missing", progress=progress)
    if not unchanged:
        sent_bytes += _publish(store, manifest, earlier, progress=progress)
    return PushReport(
        url=store.url,
        revision=manifest.revision,
        parent=manifest.parent,
        unchanged=unchanged,
        members=len(manifest.members),
        files=len(manifest.files),
        raw_bytes=manifest.raw_bytes,
        stored_bytes=manifest.stored_bytes,
        shards_sent=pushed.sent_shards,
        shards_reused=len(manifest.shards) - pushed.sent_shards,
        sent_bytes=sent_bytes,
        tables=sum(parser_of(member.path) is not None for member in manifest.files),
        tables_as_columns=sum(member.table is not None for member in manifest.files),
    )


class _Push:
    """The shards and members of one push, as they come to be."""

    def __init__(self, source: Source, store: Store, earlier: Manifest | None) -> None:
        self._source = source
        self._earlier = _by_outline(earlier) if earlier else {}
        self._store = store
        self._sender = Sender(store)
        self.before = earlier
        self.shards: list[Shard] = []
        self.members: list[Member] = []
        self.sent_shards = 0
        self.sent_bytes = 0

    def send_shards(
        self, entries: tuple[Entry, ...], sizes: Sizes, make_engine: MakeEngine, task: Task
    ) -> None:
        # A folder of that name of the user's own is to come out of the archive as it is.
        as_tables = not any(e.path.split("/")[0] == SEGMENTS_FOLDER for e in entries)
        engine = make_engine(self._source, self._sender, _advance(task))
        packed: list[Future[PackedGroup]] = []
        with ThreadPoolExecutor(_HASHERS, "compare") as pool, engine:
            for index, group in enumerate(_groups(entries, sizes, self._store)):
                known = self._reused(group, index, pool)
                if known is not None:
                    task.advance(
                        sum(e.size_bytes for e in group), files=sum(e.kind == "file" for e in group)
                    )
                    packed.append(known)
                else:
                    packed.append(
                        engine.pack(
                            Group(index=index, entries=group, sizes=sizes, as_tables=as_tables)
                        )
                    )
        for future in packed:
            self.shards.append(future.result().shard)
            self.members += future.result().members
        self.sent_shards, self.sent_bytes = engine.sent_shards, engine.sent_bytes

    def _reused(
        self, group: tuple[Entry, ...], index: int, pool: ThreadPoolExecutor
    ) -> Future[PackedGroup] | None:
        """Return a shard of the earlier revision if the group's files are what it holds."""
        known = self._earlier.get(_outline(group))
        if known is None or not self._sender.is_stored(known[0]):
            return None
        shard, members = known
        files = [member for member in members if member.kind == "file"]
        if list(pool.map(self._source.digest, [m.path for m in files])) != [
            m.digest for m in files
        ]:
            return None
        found: Future[PackedGroup] = Future()
        here = tuple(replace(member, shard=index) for member in members)
        found.set_result(PackedGroup(shard=shard, members=here))
        return found


def _advance(task: Task) -> Callable[[int, int], None]:
    return lambda amount, files: task.advance(amount, files=files)


def _check_message(message: str) -> None:
    try:
        message.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The message {message!r} is not in UTF-8.",
            remedy="Write it in UTF-8, or leave it out.",
        ) from error


def _check_apart(folder: Path, store: Store) -> None:
    check_reachable(folder)
    kept_in = store.capabilities.local_folder
    if kept_in is not None and kept_in.is_relative_to(folder.resolve()):
        raise UsageError(
            f"The store {store.url} is inside of {folder}, the folder that is sent.",
            remedy="Name a store outside of the folder.",
        )


def _check_writable(store: Store) -> None:
    if store.capabilities.read_only:
        raise StoreError(f"{store.url} can only be read.", remedy="Push to another store.")


def _groups(entries: tuple[Entry, ...], sizes: Sizes, store: Store) -> Sequence[tuple[Entry, ...]]:
    """Return the entries of each shard.

    Raises:
        StoreError: there are more shards than the store has room for in a folder.
    """
    groups = tuple(split_into_shards(entries, sizes))
    limit = store.capabilities.max_folder_entries
    if limit is not None and len(groups) > limit:
        raise StoreError(
            f"{store.url} takes {limit} files in a folder, and this data set would be "
            f"{len(groups)} shards.",
            remedy="Split the folder that is sent, and push each part to a place of its own.",
        )
    return groups


def _may_not_fit(
    entries: Iterable[Entry], total_bytes: int, room_bytes: int | None, store: Store
) -> bool:
    """Tell whether the store could refuse something, going by sizes before compression."""
    limit_bytes = store.capabilities.max_object_bytes
    return (room_bytes is not None and total_bytes > room_bytes) or (
        limit_bytes is not None and any(entry.size_bytes > limit_bytes for entry in entries)
    )


def _check_room(needed_bytes: int, room_bytes: int | None, store: Store) -> None:
    """Check that what was packed for trial has room, before any of it is sent."""
    if room_bytes is not None and needed_bytes > room_bytes:
        raise StoreError(
            f"{store.url} has room for {format_bytes(room_bytes)} more, and what is to be sent "
            f"takes {format_bytes(needed_bytes)}. Nothing was sent.",
            remedy="Free some space there, or push a smaller folder.",
        )


def _threads(source: Source, sender: Sender, advance: Callable[[int, int], None]) -> Engine:
    return ThreadEngine(source, sender, advance=advance)


def _outline(group: Iterable[Entry | Member]) -> bytes:
    """Return what a listing knows of a shard: all but the contents."""
    return "".join(
        f"{e.path}\0{e.kind}\0{e.mode:o}\0{e.size_bytes}\0{e.target or ''}\0" for e in group
    ).encode()


def _by_outline(manifest: Manifest) -> dict[bytes, tuple[Shard, list[Member]]]:
    members: list[list[Member]] = [[] for _ in manifest.shards]
    for member in manifest.members:
        members[member.shard].append(member)
    return {
        _outline(group): (shard, group)
        for shard, group in zip(manifest.shards, members, strict=True)
    }


def _manifest(pushed: _Push, *, message: str, now: datetime) -> Manifest:
    """Return the earlier manifest if this one would say the same, else the new one."""
    earlier = pushed.before
    shards, members = tuple(pushed.shards), tuple(pushed.members)
    if (
        earlier is not None
        and shards == earlier.shards
        and contents_of(members) == contents_of(earlier.members)
    ):
        return earlier
    parent = earlier.revision if earlier else None
    return Manifest(
        revision=revision_of(members, parent=parent),
        parent=parent,
        created=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        message=message,
        shards=shards,
        members=members,
    )


def _publish(
    store: Store, manifest: Manifest, earlier: Manifest | None, *, progress: Progress
) -> int:
    """Publish a manifest in place of the one that the push began from; return the bytes sent.

    Another push of the same content may have published this very revision meanwhile.

    Raises:
        ConflictError: the store holds neither this revision nor the one that this push began from.
    """
    current = find_published(store)
    if current is not None and current.manifest.revision == manifest.revision:
        return 0
    if (current and current.manifest.revision) != (earlier and earlier.revision):
        raise _overtaken(store, current.manifest.revision if current else None)
    try:
        replacing = current.data if current else None
        return publish(store, manifest, replacing=replacing, progress=progress)
    except ConflictError as error:
        winner = find_manifest(store)
        if winner is not None and winner.revision == manifest.revision:
            return 0
        raise _overtaken(store, winner.revision if winner else None) from error


def _overtaken(store: Store, revision: str | None) -> ConflictError:
    what = f"pushed revision {revision} to" if revision else "removed the data set from"
    return ConflictError(
        f"Somebody else {what} {store.url} meanwhile, so this push was not published.",
        remedy="Look at what came, then push again; what was sent is not sent again.",
    )
