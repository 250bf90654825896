"""Check every digest: of a store's objects, or of a folder's files against a manifest."""

from __future__ import annotations

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.digests import can_be_made
from sojourn.dataset.foreign import ForeignManifest
from sojourn.dataset.frames import FrameId, FrameSource, Layout, Piece
from sojourn.dataset.localdisk import local_disk
from sojourn.dataset.manifest import DIGEST_PREFIX
from sojourn.dataset.segments import SegmentSource
from sojourn.dataset.source import file_digest
from sojourn.dataset.verifying_tables import TableChecks
from sojourn.errors import IntegrityError, UsageError
from sojourn.localpath import check_reachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sojourn.dataset.manifest import Manifest, Member, Shard
    from sojourn.progress import Progress, Task
    from sojourn.stores.base import Store

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is not what the manifest says: an object's key or a member's path."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a check found.

    Attributes:
        url: The store.
        folder: The folder that was checked against it; None if the store itself was.
        revision: Which revision; empty if it was not pushed with Sojourn.
        checked_bytes: Bytes that were read.
        checked_files: Files that were checked.
        problems: All that is wrong, in the manifest's order.
    """

    url: str
    folder: Path | None
    revision: str
    checked_bytes: int
    checked_files: int
    problems: tuple[Problem, ...]

    @property
    def summary(self) -> str:
        """How many things are wrong, in a sentence."""
        count = len(self.problems)
        what = self.folder or self.url
        things = "thing does" if count == 1 else "things do"
        revision = f"revision {self.revision}" if self.revision else "what is there"
        return f"{count} {things} not match {revision} in {what}."

    @property
    def remedy(self) -> str:
        """What puts it right."""
        if self.folder is not None:
            return f"Run `sojourn pull {self.url} {self.folder}`."
        return "Delete the objects that are named, then push the folder again."


def verify_store(manifest: Manifest, store: Store, *, progress: Progress) -> VerifyReport:
    """Read every shard of a revision and check its digest and those of its files.

    Raises:
        StoreError: the store cannot be read.
        UsageError: there are no digests.
    """
    if isinstance(manifest, ForeignManifest):
        raise UsageError(
            f"{store.url} was not pushed with Sojourn, so it has no digests to check it by.",
            remedy="`sojourn pull` checks what it has: sizes, and the CRC-32 of files in zips. To "
            f"have digests, send it elsewhere: `sojourn push {store.url} STORE`.",
        )
    checks = _ShardChecks(manifest, store)
    indexes = range(len(manifest.shards))
    with (
        progress.task("verify", total=manifest.stored_bytes) as task,
        ThreadPoolExecutor(_AT_ONCE, "verify") as pool,
    ):
        found = list(pool.map(lambda index: list(checks.problems(index, task)), indexes))
    return VerifyReport(
        url=store.url,
        folder=None,
        revision=manifest.revision,
        checked_bytes=manifest.stored_bytes,
        checked_files=len(manifest.files),
        problems=tuple(problem for of_shard in found for problem in of_shard),
    )


def verify_folder(
    manifest: Manifest, store: Store, folder: Path, *, progress: Progress
) -> VerifyReport:
    """Compare a folder with a revision: kinds, digests, links. What else is there is ignored.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    check_reachable(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", remedy="Name the folder to check.")
    if not all(can_be_made(member.digest) for member in manifest.files):
        raise UsageError(
            f"{store.url} was not pushed with Sojourn, and gives no digests of its files, so a "
            "folder cannot be compared with them.",
            remedy=f"`sojourn pull {store.url} DIR` into a new folder, and compare the two.",
        )

    def check(member: Member) -> Problem | None:
        with local_disk(f"read {folder / member.path}"):
            wrong = _wrong_in_folder(folder / member.path, member)
        task.advance(member.size_bytes, files=member.kind == "file")
        return Problem(name=member.path, problem=wrong) if wrong else None

    with (
        progress.task("verify", total=manifest.raw_bytes) as task,
        ThreadPoolExecutor(_AT_ONCE, "verify") as pool,
    ):
        found = list(pool.map(check, manifest.members))
    return VerifyReport(
        url=store.url,
        folder=folder,
        revision=manifest.revision,
        checked_bytes=manifest.raw_bytes,
        checked_files=len(manifest.files),
        problems=tuple(problem for problem in found if problem is not None),
    )


def _wrong_in_folder(path: Path, member: Member) -> str | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    checks = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "link": stat.S_ISLNK}
    if not checks[member.kind](status.st_mode):
        return f"not a {member.kind}"
    if member.kind == "link" and str(path.readlink()) != member.target:
        return "the link points elsewhere"
    if member.kind == "file" and status.st_size != member.size_bytes:
        return f"{status.st_size} bytes instead of {member.size_bytes}"
    if member.kind == "file" and file_digest(path, like=member.digest) != member.digest:
        return "its contents differ"
    return None


class _ShardChecks:
    """Reads a shard frame by frame, each once, hashing it and the files in it as they pass."""

    def __init__(self, manifest: Manifest, store: Store) -> None:
        self._manifest = manifest
        self._store = store
        layout = Layout(manifest)
        self._frames = FrameSource(store, manifest, layout)
        self._segments = SegmentSource(store, manifest, layout, self._frames)
        self._tables: dict[int, list[Member]] = {}
        self._pieces: dict[FrameId, list[Piece]] = {}
        for member in sorted(manifest.files, key=lambda m: (m.shard, m.offset)):
            for frame_id, piece in layout.pieces(member):
                self._pieces.setdefault(frame_id, []).append(piece)
            if member.table is not None:
                self._tables.setdefault(member.shard, []).append(member)

    def problems(self, index: int, task: Task) -> Iterator[Problem]:
        shard = self._manifest.shards[index]
        found_bytes = self._store.find(shard.key)
        if found_bytes is None and self._frames.find_unpacked(index):
            yield from self._read(index, shard, task)
        elif found_bytes is None:
            yield Problem(name=shard.key, problem="missing")
        elif found_bytes != shard.size_bytes:
            wrong = f"{found_bytes} bytes instead of {shard.size_bytes}"
            yield Problem(name=shard.key, problem=wrong)
        else:
            yield from self._read(index, shard, task)

    def _read(self, index: int, shard: Shard, task: Task) -> Iterator[Problem]:
        of_shard, of_file = hashlib.sha256(), hashlib.sha256()
        tables = TableChecks(self._segments, self._tables.get(index, ()))
        for number, frame in enumerate(shard.frames):
            frame_id = FrameId(index, number)
            try:
                data = self._frames.fetch_packed(frame_id)
                raw = self._frames.decode(frame_id, data)
            except IntegrityError as error:
                yield Problem(name=shard.key, problem=error.message)
                return
            of_shard.update(data)
            task.advance(frame.size_bytes)
            view = memoryview(raw)
            for piece in self._pieces.get(frame_id, ()):
                if piece.at == 0:
                    of_file = hashlib.sha256()
                of_file.update(view[piece.start : piece.start + piece.size_bytes])
                complete = piece.at + piece.size_bytes == piece.member.size_bytes
                if complete and DIGEST_PREFIX + of_file.hexdigest() != piece.member.digest:
                    yield Problem(name=piece.member.path, problem="its contents differ")
            tables.take(frame_id, view)
        # Of a shard that the store unpacked only what is in it can be checked.
        if (
            not self._frames.is_unpacked(index)
            and DIGEST_PREFIX + of_shard.hexdigest() != shard.digest
        ):
            yield Problem(name=shard.key, problem="it does not match its digest")
        else:
            for member, wrong in tables.problems():
                yield Problem(name=member.path, problem=wrong)
