"""Send a folder: what changed since the revision in the store, the manifest last.

folder → listing → shards → (the same as in the store? reuse) → packed → sent → manifest

A shard whose members are what they were is neither packed nor sent. One that must be packed, but
is in the store already under its digest (an earlier push was interrupted), is not sent.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sojourn.dataset.listing import list_folder
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.manifest import (
    Manifest,
    Member,
    Shard,
    contents_of,
    revision_of,
)
from sojourn.dataset.packing import pack
from sojourn.dataset.repository import find_manifest, publish
from sojourn.dataset.sending import Sender
from sojourn.dataset.shards import Sizes, file_digest, raw_frames, split_into_shards
from sojourn.errors import StoreError, UsageError
from sojourn.localpath import check_reachable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from sojourn.dataset.listing import Entry
    from sojourn.progress import Progress, Task
    from sojourn.stores.base import Store

# More compress no faster than one reader reads.
_MOST_PACKERS = 8


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


def push_folder(
    folder: Path,
    store: Store,
    *,
    message: str,
    now: datetime,
    progress: Progress,
    sizes: Sizes | None = None,
) -> PushReport:
    """Send a folder to a store.

    Args:
        folder: What is sent.
        store: Where to. A `DryRun` store tells what would be sent.
        message: A line for whoever reads the manifest.
        now: The instant that the manifest shows, in UTC.
        progress: Is told how many bytes of files are dealt with.
        sizes: How large shards are made.

    Raises:
        UsageError: the folder or the message cannot be sent.
        StoreError: the store refused.
        IntegrityError: the manifest in the store cannot be used, or a file changed meanwhile.
    """
    _check_message(message)
    _check_apart(folder, store)
    entries = list_folder(folder)
    earlier = find_manifest(store)
    pushed = _Push(folder, store, earlier, sizes or Sizes())
    with progress.task("push", total=sum(e.size_bytes for e in entries)) as task:
        pushed.send_shards(entries, task)
    manifest = _manifest(pushed, message=message, now=now)
    unchanged = earlier is not None and manifest.revision == earlier.revision
    sent_bytes = pushed.sender.sent_bytes
    if not unchanged and not _is_published(store, manifest, earlier):
        sent_bytes += publish(store, manifest)
    return PushReport(
        url=store.url,
        revision=manifest.revision,
        parent=manifest.parent,
        unchanged=unchanged,
        members=len(manifest.members),
        files=len(manifest.files),
        raw_bytes=manifest.raw_bytes,
        stored_bytes=manifest.stored_bytes,
        shards_sent=pushed.sender.sent_shards,
        shards_reused=len(manifest.shards) - pushed.sender.sent_shards,
        sent_bytes=sent_bytes,
    )


class _Push:
    """The shards and members of one push, as they come to be."""

    def __init__(self, folder: Path, store: Store, earlier: Manifest | None, sizes: Sizes) -> None:
        self._folder = folder
        self._sizes = sizes
        self._earlier = _by_outline(earlier) if earlier else {}
        self._packers = min(_MOST_PACKERS, os.cpu_count() or 1)
        self.before = earlier
        self.sender = Sender(store)
        self.shards: list[Shard] = []
        self.members: list[Member] = []

    def send_shards(self, entries: tuple[Entry, ...], task: Task) -> None:
        with ExitStack() as stack:
            # Left in the reverse order: first the sender waits for what it sends.
            pool = ThreadPoolExecutor(self._packers, "pack")
            stack.callback(pool.shutdown, cancel_futures=True)
            stack.enter_context(self.sender)
            for group in split_into_shards(entries, self._sizes):
                if not self._reuse(group, pool, task):
                    self._pack_and_send(group, pool, task)

    def _reuse(self, group: tuple[Entry, ...], pool: ThreadPoolExecutor, task: Task) -> bool:
        """Take over a shard of the earlier revision if the group's files are what it holds."""
        known = self._earlier.get(_outline(group))
        if known is None or not self.sender.is_stored(known[0]):
            return False
        shard, members = known
        paths = [self._folder / m.path for m in members if m.kind == "file"]
        with local_disk(f"read {self._folder}"):
            digests = list(pool.map(file_digest, paths))
        if digests != [m.digest for m in members if m.kind == "file"]:
            return False
        index = len(self.shards)
        self.members += [replace(member, shard=index) for member in members]
        self.shards.append(shard)
        task.advance(sum(e.size_bytes for e in group), files=len(paths))
        return True

    def _pack_and_send(
        self, group: tuple[Entry, ...], pool: ThreadPoolExecutor, task: Task
    ) -> None:
        def add(member: Member) -> None:
            self.members.append(member)
            task.advance(0, files=member.kind == "file")

        self.sender.wait_for_room()
        frames = raw_frames(
            group,
            self._folder,
            shard=len(self.shards),
            frame_bytes=self._sizes.frame_bytes,
            add=add,
            advance=task.advance,
        )
        spool = f"write to {tempfile.gettempdir()}"
        with local_disk(spool):
            # It has no name, so that nothing of it is left however this process ends.
            file = tempfile.TemporaryFile(prefix="sojourn-")  # noqa: SIM115 - the sender closes it
            try:
                packed = pack(frames, file, pool=pool, ahead=self._packers + 1)
            except BaseException:
                file.close()
                raise
        self.shards.append(packed.shard)
        self.sender.send(packed)


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
    if store.capabilities.read_only:
        raise StoreError(f"{store.url} can only be read.", remedy="Push to another store.")


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


def _is_published(store: Store, manifest: Manifest, earlier: Manifest | None) -> bool:
    """Tell whether another push of the same content published this very revision meanwhile.

    Two pushes that end in the same instant still meet; then the later one counts, and both are
    whole and kept under `revisions/`.

    Raises:
        StoreError: the store holds neither this revision nor the one that this push began from.
    """
    current = find_manifest(store)
    if current is not None and current.revision == manifest.revision:
        return True
    if current is not None and (earlier is None or current.revision != earlier.revision):
        raise StoreError(
            f"Somebody else pushed revision {current.revision} to {store.url} meanwhile, so this "
            "push was not published.",
            remedy="Look at what came, then push again; what was sent is not sent again.",
        )
    return False
