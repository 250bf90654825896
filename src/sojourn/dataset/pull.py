"""Get a data set, or a part of it, into a folder: verified, whole files only, what differs only.

manifest → selection → changes → frames, side by side → pieces of files → verified → renamed
"""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from sojourn.dataset.choosing import choose_changes, find_others
from sojourn.dataset.digests import Digester
from sojourn.dataset.foreign_frames import frames_of
from sojourn.dataset.frames import FrameId, Layout, Piece, check_found_digest
from sojourn.dataset.globs import matches, select
from sojourn.dataset.known_files import KnownFiles, wait_until_settled
from sojourn.dataset.links import led_to
from sojourn.dataset.localdisk import check_space, local_disk
from sojourn.dataset.manifest import MANIFEST_KEY, SHARDS_PREFIX
from sojourn.dataset.names import check_names
from sojourn.dataset.segments import SegmentId, SegmentSource, segment_ids
from sojourn.dataset.source import file_digest, folders_above
from sojourn.dataset.staging import staging_folder
from sojourn.errors import UsageError
from sojourn.localpath import check_reachable
from sojourn.progress import NoProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sojourn.columns import Segment
    from sojourn.dataset.choosing import Changes
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.progress import Progress, Task
    from sojourn.stores.base import Store

# Requests under way at once; each holds a frame as it is in the store, 8 MiB or a segment of 16,
# and a copy or two while it arrives.
_AT_ONCE = 8
# Frames that are decoded and written at once; each takes as much again, and more for text.
_DECODED_AT_ONCE = 2
# Large members of zips that are unpacked at once; each has four ranges of 8 MiB under way.
_STREAMED_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a pull did.

    Attributes:
        url: Where the data set is.
        folder: Where it is now.
        revision: Which revision; empty if it was not pushed with Sojourn.
        files: Files that were asked for.
        raw_bytes: Bytes in these files.
        files_fetched: Files that were not there, or differed.
        fetched_bytes: Bytes that were fetched for them, compressed.
        other_files: Files in the folder that the set does not hold; they were left alone.
        overwritten: Files that were there with other contents than a pull had given them.
        first_others: The first few, by name, of the files that the set does not hold.
    """

    url: str
    folder: Path
    revision: str
    files: int
    raw_bytes: int
    files_fetched: int
    fetched_bytes: int
    other_files: int
    overwritten: tuple[str, ...] = ()
    first_others: tuple[str, ...] = ()


def pull_manifest(
    manifest: Manifest,
    store: Store,
    folder: Path,
    *,
    include: tuple[str, ...] = (),
    overwrite: bool = True,
    progress: Progress,
) -> PullReport:
    """Make a folder hold the members of a revision that globs name; all if there are none.

    Args:
        manifest: Of the revision.
        store: Where it is.
        folder: What is to hold it.
        include: The globs.
        overwrite: If False, files whose contents came from no pull are not replaced: refused.
        progress: Where to report to.

    Raises:
        UsageError: a glob names nothing, or the folder cannot be written to or has no room; or
            something would be overwritten that must not.
        StoreError: the store cannot be read.
        IntegrityError: what the store holds is not what the manifest says.
    """
    _check_apart(folder, store)
    _check_no_store(folder, manifest)
    members = _selection(manifest, include)
    known = KnownFiles.of(folder)
    changes = choose_changes(folder, members, known, progress=progress)
    if changes.overwritten and not overwrite:
        raise _would_overwrite(folder, store, [member.path for member in changes.overwritten])
    others = find_others(folder, manifest.members)
    needed_bytes = sum(member.size_bytes for member in changes.fetch)
    check_space(folder, needed_bytes=needed_bytes, files=len(changes.fetch))
    with local_disk(f"write to {folder}"):
        check_names((member.path for member in members), folder)
        _prepare(folder, changes)
        shown: Progress = progress if changes.fetch else NoProgress()
        with staging_folder(folder) as staging, shown.task("pull", total=needed_bytes) as task:
            fetching = _Fetching(manifest, store, folder, staging, task)
            try:
                fetching.run(changes.fetch)
            except BaseException:
                # Those that are in place need not be fetched again.
                known.note(fetching.installed)
                raise
            _make_links(folder, staging, changes.links)
        _set_modes(folder, changes)
    if changes.fetch:
        # So that they are known again: not read by the next pull, and not taken for the user's own.
        wait_until_settled()
    known.note((*changes.fetch, *changes.kept))
    files = [member for member in members if member.kind == "file"]
    return PullReport(
        url=store.url,
        folder=folder,
        revision=manifest.revision,
        files=len(files),
        raw_bytes=sum(member.size_bytes for member in files),
        files_fetched=len(changes.fetch),
        fetched_bytes=fetching.fetched_bytes,
        other_files=others.count,
        first_others=others.first,
        overwritten=tuple(member.path for member in changes.overwritten),
    )


def _would_overwrite(folder: Path, store: Store, paths: list[str]) -> UsageError:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return UsageError(
        f"{folder} is there already, and {paths[0]}{more} in it would be overwritten, whose "
        "contents came from no pull.",
        remedy=f"Name the folder to say that it is meant: `sojourn pull {store.url} {folder}`; or "
        "another one.",
    )


def _check_apart(folder: Path, store: Store) -> None:
    check_reachable(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder} is a file, and a data set goes into a folder.",
            remedy=f"Name a folder: `sojourn pull {store.url} DIR`.",
        )
    kept_in = store.capabilities.local_folder
    if kept_in is not None and folder.resolve().is_relative_to(kept_in):
        raise UsageError(
            f"{folder} is where the store {store.url} keeps its objects.",
            remedy=f"Name another folder: `sojourn pull {store.url} DIR`.",
        )


def _check_no_store(folder: Path, manifest: Manifest) -> None:
    """Check that a folder is not where another data set is kept, among whose objects files come."""
    holds_data_set = (folder / MANIFEST_KEY).is_file() and (folder / SHARDS_PREFIX).is_dir()
    if holds_data_set and all(member.path != MANIFEST_KEY for member in manifest.members):
        raise UsageError(
            f"{folder} is a store: it holds a data set that was pushed there.",
            remedy="Name another folder.",
        )


def _selection(manifest: Manifest, include: tuple[str, ...]) -> tuple[Member, ...]:
    """Return the members that the globs name, where links among them lead, and their folders."""
    paths = [member.path for member in manifest.members]
    links = {m.path: m.target for m in manifest.members if m.target is not None}
    wanted = set(select(paths, include))
    for glob in include:
        _check_takes_files(manifest, glob)
    wanted |= led_to(wanted, links, paths)
    for path in tuple(wanted):
        above = path.rpartition("/")[0]
        while above and above not in wanted:
            wanted.add(above)
            above = above.rpartition("/")[0]
    return tuple(member for member in manifest.members if member.path in wanted)


def _check_takes_files(manifest: Manifest, glob: str) -> None:
    """Check that a glob does not stop at folders, of whose files none would be taken."""
    named = {member.path for member in manifest.members if matches(member.path, glob)}
    if any(member.path in named for member in manifest.members if member.kind != "folder"):
        return
    for member in manifest.files:
        if not named.isdisjoint(folders_above(member.path)):
            raise UsageError(
                f"{glob!r} names folders, and none of the files in them.",
                remedy=f"Write {glob + '/'!r} to take all that is in them.",
            )


def _prepare(folder: Path, changes: Changes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in changes.in_the_way:
        path.unlink()
    for path in changes.empty_in_the_way:
        path.rmdir()
    for member in changes.folders:
        path = folder / member.path
        path.mkdir(exist_ok=True)
        mode = stat.S_IMODE(path.lstat().st_mode)
        # One that was pushed read-only gets its own mode back when all is in it.
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            path.chmod(mode | stat.S_IRWXU)


def _make_links(folder: Path, staging: Path, links: tuple[Member, ...]) -> None:
    for number, member in enumerate(links):
        link = staging / f"link-{number}"
        link.symlink_to(member.target or "")
        link.replace(folder / member.path)


def _set_modes(folder: Path, changes: Changes) -> None:
    # Folders last and inmost first: one that may not be written to must be complete by then.
    for member in (*changes.other_modes, *reversed(changes.folders)):
        path = folder / member.path
        if stat.S_IMODE(path.lstat().st_mode) != member.mode:
            path.chmod(member.mode)


class _Fetching:
    """Fetches frames side by side; each is decoded and written by the thread that fetched it."""

    def __init__(
        self, manifest: Manifest, store: Store, folder: Path, staging: Path, task: Task
    ) -> None:
        self._manifest = manifest
        self._store = store
        self._folder = folder
        self._staging = staging
        self._task = task
        self._layout = Layout(manifest)
        self._frames = frames_of(store, manifest, self._layout)
        self._segments = SegmentSource(store, manifest, self._layout, self._frames)
        self._numbers = count()
        self._lock = threading.Lock()
        self._decoding = threading.Semaphore(_DECODED_AT_ONCE)
        self._streaming = threading.Semaphore(_STREAMED_AT_ONCE)
        self._stopped = False
        self._parts: dict[str, _Part] = {}
        self.fetched_bytes = 0
        self.installed: list[Member] = []

    def run(self, files: tuple[Member, ...]) -> None:
        by_frame: dict[FrameId, list[Piece]] = {}
        by_segment: dict[SegmentId, list[tuple[Member, int]]] = {}
        for member in files:
            pieces, segments = list(self._layout.pieces(member)), segment_ids(member)
            for frame_id, piece in pieces:
                by_frame.setdefault(frame_id, []).append(piece)
            for index, segment_id in enumerate(segments):
                by_segment.setdefault(segment_id, []).append((member, index))
            if len(pieces) + len(segments) > 1:
                self._parts[member.path] = _Part(self._new_path(), left_bytes=member.size_bytes)
            elif not pieces and not segments:
                self._write_whole(member, ())
        with ThreadPoolExecutor(_AT_ONCE, "fetch") as pool:
            fetched = [pool.submit(self._fetch, *item) for item in sorted(by_frame.items())]
            fetched += [pool.submit(self._fetch_tables, *item) for item in by_segment.items()]
            try:
                for future in wait(fetched, return_when=FIRST_EXCEPTION).done:
                    future.result()
            finally:
                self._stopped = True
                pool.shutdown(cancel_futures=True)

    def _fetch(self, frame_id: FrameId, pieces: list[Piece]) -> None:
        if self._stopped:
            return
        if self._frames.is_streamed(frame_id):
            with self._streaming:
                self._write_whole(pieces[0].member, self._while_wanted(frame_id))
            self._count_fetched(self._packed_bytes(frame_id))
            return
        data = self._frames.fetch_packed(frame_id)
        self._count_fetched(len(data))
        with self._decoding:
            raw = self._frames.decode(frame_id, data)
            del data
            self._write_pieces(memoryview(raw), pieces)

    def _while_wanted(self, frame_id: FrameId) -> Iterator[bytes]:
        for data in self._frames.stream(frame_id):
            if self._stopped:
                raise _StoppedError
            yield data

    def _packed_bytes(self, frame_id: FrameId) -> int:
        return self._manifest.shards[frame_id.shard].frames[frame_id.frame].size_bytes

    def _write_pieces(self, raw: memoryview, pieces: list[Piece]) -> None:
        for piece in pieces:
            if self._stopped:
                return
            content = raw[piece.start : piece.start + piece.size_bytes]
            if piece.member.path in self._parts:
                self._write_part(piece.member, piece.at, (content,))
            else:
                self._write_whole(piece.member, (content,))

    def _fetch_tables(self, segment_id: SegmentId, parts: list[tuple[Member, int]]) -> None:
        if self._stopped:
            return
        packed = self._segments.fetch_packed(segment_id)
        self._count_fetched(sum(map(len, packed)))
        with self._decoding:
            # Each file that is written of it is held against its own digest.
            segment = self._segments.decode(segment_id, packed, trusts=True)
            packed.clear()
            self._write_tables(segment, parts)

    def _write_tables(self, segment: Segment, parts: list[tuple[Member, int]]) -> None:
        for member, index, text in self._segments.texts(segment, parts):
            if self._stopped:
                return
            if member.path in self._parts and member.table is not None:
                at = sum(part.text_bytes for part in member.table.parts[:index])
                self._write_part(member, at, text)
            else:
                self._write_whole(member, text)

    def _count_fetched(self, fetched_bytes: int) -> None:
        with self._lock:
            self.fetched_bytes += fetched_bytes

    def _write_whole(self, member: Member, content: Iterable[bytes | memoryview]) -> None:
        path = self._new_path()
        digester = Digester(member.digest)
        # Python's own files ask the system for thrice as much, ten thousands of times.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for data in content:
                digester.update(data)
                _write(descriptor, data)
                self._task.advance(len(data))
            os.fchmod(descriptor, member.mode)
        finally:
            os.close(descriptor)
        self._check_digest(member, digester.digest())
        self._install(member, path)

    def _write_part(self, member: Member, at: int, content: tuple[bytes | memoryview, ...]) -> None:
        part = self._parts[member.path]
        descriptor = os.open(part.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.lseek(descriptor, at, os.SEEK_SET)
            for data in content:
                _write(descriptor, data)
        finally:
            os.close(descriptor)
        size_bytes = sum(map(len, content))
        self._task.advance(size_bytes)
        with self._lock:
            part.left_bytes -= size_bytes
            complete = part.left_bytes == 0
        if complete:
            self._check_digest(member, file_digest(part.path, like=member.digest))
            part.path.chmod(member.mode)
            self._install(member, part.path)

    def _check_digest(self, member: Member, found: str | None) -> None:
        check_found_digest(self._store, self._manifest, member, found)

    def _install(self, member: Member, path: Path) -> None:
        path.replace(self._folder / member.path)
        self._task.advance(0, files=1)
        with self._lock:
            self.installed.append(member)

    def _new_path(self) -> Path:
        return self._staging / f"file-{next(self._numbers)}"


def _write(descriptor: int, content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:
        # A disk that fills up takes a part, and refuses the next.
        left = left[os.write(descriptor, left) :]


class _StoppedError(Exception):
    """Another file could not be brought, so this one is not either. Whoever waits has the other."""


@dataclass(slots=True)
class _Part:
    """A file that comes in several frames: where it grows, and how many bytes are missing."""

    path: Path
    left_bytes: int
