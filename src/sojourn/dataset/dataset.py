"""A data set in a store, read without fetching more of it than is asked for."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sojourn.dataset.caching import FrameCache
from sojourn.dataset.formats import parse_table
from sojourn.dataset.frames import FrameSource, Layout, check_digest
from sojourn.dataset.globs import near, select
from sojourn.dataset.links import destination
from sojourn.dataset.pull import PullReport, pull_manifest
from sojourn.errors import UsageError
from sojourn.localpath import local_path
from sojourn.progress import NoProgress
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from sojourn.dataset.formats import Library
    from sojourn.dataset.frames import FrameId
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.progress import Progress
    from sojourn.stores.base import Store

_FRAMES_KEPT = 6
# Tables parsed ahead of the one that is asked for, and frames fetched ahead of these.
_TABLES_AHEAD = 4
_FRAMES_AHEAD = 2
_REQUESTS = 4


class Dataset:
    """One revision of a data set. Get one with `sojourn.open(address)`.

    Names are paths relative to the folder that was pushed. In globs `*` stays within a folder and
    `**` crosses folders. A link to a file is read as that file. Everything that is returned has
    been checked against its digest.
    """

    def __init__(self, manifest: Manifest, store: Store) -> None:
        self.manifest = manifest
        self._store = store
        self._layout = Layout(manifest)
        self._frames = FrameCache(FrameSource(store, manifest, self._layout), keep=_FRAMES_KEPT)
        self._links = {m.path: m.target for m in manifest.members if m.target is not None}
        self._files = _files_by_name(manifest, self._links)

    @property
    def url(self) -> str:
        """Where the data set is."""
        return self._store.url

    @property
    def revision(self) -> str:
        """Which revision this is; it stays that one when somebody pushes another."""
        return self.manifest.revision

    def files(self, glob: str = "**") -> list[str]:
        """Return the names of the files that a glob names, in order; none if it names none.

        Links to files are among them.
        """
        try:
            return select(list(self._files), (glob,))
        except UsageError:
            return []

    def members(self, glob: str | None = None) -> tuple[Member, ...]:
        """Return the records of the files, folders and links that a glob names; all if None.

        Raises:
            UsageError: the glob names nothing.
        """
        paths = [member.path for member in self.manifest.members]
        chosen = set(select(paths, () if glob is None else (glob,)))
        return tuple(member for member in self.manifest.members if member.path in chosen)

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            UsageError: there is no such file, or it is a link that leads to none.
            IntegrityError: the store holds something else than was pushed.
        """
        member = self._member(name)
        parts = list(self._layout.pieces(member))
        frame_ids = [frame_id for frame_id, _ in parts]
        content = bytearray()
        with ThreadPoolExecutor(_REQUESTS, "read") as pool:
            # A frame is let go of as soon as its part is taken.
            frames = pool.map(self._frames.raw, frame_ids) if len(parts) > 1 else None
            for frame_id, piece in parts:
                raw = next(frames) if frames else self._frames.raw(frame_id)
                content += memoryview(raw)[piece.start : piece.start + piece.size_bytes]
        data = bytes(content)
        check_digest(self._store, self.manifest, member, data)
        return data

    def read(self, name: str, as_: Library = "pandas", **arguments: Any) -> Any:
        """Return a file as a table.

        A CSV or TSV gives what `pandas.read_csv(file, float_precision="round_trip")` gives.
        Parquet and JSON lines are read as well.

        Args:
            name: The file.
            as_: "pandas", "polars" or "arrow".
            **arguments: For the library's own reader of that kind of file.

        Raises:
            UsageError: there is no such file, it is no table, or the library cannot read it.
            MissingPackageError: the library is not installed.
            IntegrityError: the store holds something else than was pushed.
        """
        return parse_table(name, self.read_bytes(name), library=as_, arguments=arguments)

    def read_many(
        self, glob: str, as_: Library = "pandas", **arguments: Any
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name and table of each file that a glob names, in order.

        The next few are fetched and parsed meanwhile; memory holds these and no more, however
        many there are.

        Raises:
            UsageError: the glob names nothing, or a file cannot be read; it is named.
        """
        names = select(list(self._files), (glob,))
        ahead = _FramesAhead(self._frames, self._layout, [self._files[name] for name in names])
        waiting: deque[tuple[str, Future[Any]]] = deque()
        with ThreadPoolExecutor(_TABLES_AHEAD, "parse") as pool, ahead:
            try:
                for index, name in enumerate(names):
                    ahead.reach(index)
                    waiting.append((name, pool.submit(self.read, name, as_, **arguments)))
                    if len(waiting) > _TABLES_AHEAD:
                        name_of_first, table = waiting.popleft()
                        yield name_of_first, table.result()
                while waiting:
                    name_of_first, table = waiting.popleft()
                    yield name_of_first, table.result()
            finally:
                for _, table in waiting:
                    table.cancel()

    def extract(
        self,
        folder: str | Path,
        include: Sequence[str] = (),
        *,
        progress: Progress | None = None,
    ) -> PullReport:
        """Put the files that globs name into a folder; all if there are none.

        What is there already, byte for byte, is not fetched. What the set does not hold stays.

        Raises:
            UsageError: a glob names nothing, or the folder cannot be written to or has no room.
            IntegrityError: the store holds something else than was pushed.
        """
        return pull_manifest(
            self.manifest,
            self._store,
            local_path(folder),
            include=(include,) if isinstance(include, str) else tuple(include),
            progress=progress or NoProgress(),
        )

    def __repr__(self) -> str:
        size = format_bytes(self.manifest.raw_bytes)
        return f"<Dataset {self.url} {self.revision}: {len(self.manifest.files)} files, {size}>"

    def _member(self, name: str) -> Member:
        member = self._files.get(name)
        if member is None and name in self._links:
            raise UsageError(
                f"{name!r} in {self.url} is a link to {self._links[name]!r}, which is no file of "
                "the data set.",
                remedy="If that is a folder, name the files in it: `sojourn ls` lists them. "
                "If nothing is there, mend the link and push again.",
            )
        if member is None:
            raise UsageError(
                f"There is no file {name!r} in {self.url}.", remedy=near(name, list(self._files))
            )
        return member


def _files_by_name(manifest: Manifest, links: Mapping[str, str]) -> dict[str, Member]:
    """Return the file that each name stands for: its own, or the one that a link leads to."""
    files = {member.path: member for member in manifest.files}
    paths = [member.path for member in manifest.members]
    ends = [destination(path, links) if path in links else path for path in paths]
    return {path: files[end] for path, end in zip(paths, ends, strict=True) if end in files}


class _FramesAhead:
    """Has frames fetched shortly before their turn, so that parsing does not wait for the link."""

    def __init__(self, frames: FrameCache, layout: Layout, members: list[Member]) -> None:
        self._frames = frames
        self._pool = ThreadPoolExecutor(_FRAMES_AHEAD, "ahead")
        first_frames = [next(layout.pieces(member), None) for member in members]
        self._order: dict[FrameId, int] = {}
        self._place: list[int] = []
        for first in first_frames:
            if first is not None:
                self._order.setdefault(first[0], len(self._order))
            self._place.append(len(self._order))
        self._ids = list(self._order)
        self._asked = 0

    def reach(self, index: int) -> None:
        """Have the frames fetched that follow the one of this member."""
        until = min(self._place[index] + _FRAMES_AHEAD, len(self._ids))
        for frame_id in self._ids[self._asked : until]:
            self._pool.submit(self._frames.raw, frame_id)
        self._asked = max(self._asked, until)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
