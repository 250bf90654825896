"""A data set in a store, read without fetching more of it than is asked for."""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, overload

from sojourn.dataset.archives import ArchiveShelf
from sojourn.dataset.contents import Ahead, Contents
from sojourn.dataset.digests import Digester
from sojourn.dataset.foreign import ForeignManifest
from sojourn.dataset.formats import (
    check_library,
    kind_of,
    parse_table,
    reads_front,
    reads_in_order,
    reads_in_part,
)
from sojourn.dataset.frames import FrameId, check_found_digest
from sojourn.dataset.globs import near, select
from sojourn.dataset.links import destination
from sojourn.dataset.names import composed
from sojourn.dataset.opening import BufferedFile, MemberFile, StreamedFile, check_mode
from sojourn.dataset.pull import PullReport, pull_manifest
from sojourn.errors import IntegrityError, MissingPackageError, NoSuchFileError, UsageError
from sojourn.localpath import local_path
from sojourn.progress import NoProgress
from sojourn.stores.url import open_object, open_store
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from sojourn.dataset.formats import Library
    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.dataset.opening import Mode
    from sojourn.dataset.torch_data import TorchMembers
    from sojourn.progress import Progress
    from sojourn.stores.base import Store

# Tables made ahead of the one that is asked for.
_TABLES_AHEAD = 4


class Dataset:
    """One revision of a data set. Get one with `sojourn.open(address)`.

    Names are paths relative to the folder that was pushed, their letters composed or not. In globs
    `*` stays within a folder and `**` crosses folders. A link to a file is read as that file.
    `archive.zip!inner/name` is a file in an archive. What is read whole has been checked against
    its digest; the files of a data set that was not pushed with Sojourn may have none.

    May be read in several threads at once and in forked processes, and pickled: the other process
    opens the store by its address.
    """

    def __init__(self, manifest: Manifest, store: Store) -> None:
        self.manifest = manifest
        self._store = store
        self._contents = Contents(store, manifest)
        self._links = {m.path: m.target for m in manifest.members if m.target is not None}
        self._files = _files_by_name(manifest, self._links)
        self._composed = {composed(name): name for name in self._files if not name.isascii()}
        self._archives = ArchiveShelf(self._open)

    @property
    def url(self) -> str:
        """Where the data set is."""
        return self._store.url

    @property
    def store(self) -> Store:
        """The store that the data set is in."""
        return self._store

    @property
    def revision(self) -> str:
        """Which revision this is; it stays that one when somebody pushes another.

        Empty for what was not pushed with Sojourn.
        """
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

    def member(self, name: str) -> Member:
        """Return the record of a file: of the one that it leads to, if it is a link.

        Raises:
            UsageError: there is no such file, or it is a link that leads to none.
        """
        member = self._files.get(name)
        if member is None and composed(name) in self._composed:
            return self._files[self._composed[composed(name)]]
        if member is None and name in self._links:
            raise UsageError(
                f"{name!r} in {self.url} is a link to {self._links[name]!r}, which is no file of "
                "the data set.",
                remedy="If that is a folder, name the files in it: `sojourn ls` lists them. "
                "If nothing is there, mend the link and push again.",
            )
        if member is None:
            raise self._no_such_file(name)
        return member

    def _no_such_file(self, name: str) -> NoSuchFileError:
        folder = name.rstrip("/")
        if any(member.path == folder for member in self.manifest.members):
            return NoSuchFileError(
                f"{folder!r} in {self.url} is a folder, and no file.",
                remedy=f"`files({folder + '/**'!r})` lists the files in it.",
            )
        return NoSuchFileError(
            f"There is no file {name!r} in {self.url}.", remedy=near(name, list(self._files))
        )

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            UsageError: there is no such file, or it is a link that leads to none.
            IntegrityError: the store holds something else than was pushed.
        """
        inside = self._archives.find(name, self._files)
        if inside:
            return inside[0].read_bytes(inside[1])
        member = self.member(name)
        return self._contents.read(member)

    @overload
    def open(self, name: str, mode: Literal["rb"] = "rb") -> BinaryIO: ...

    @overload
    def open(
        self,
        name: str,
        mode: Literal["r", "rt"],
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        newline: str | None = None,
    ) -> TextIO: ...

    def open(
        self,
        name: str,
        mode: Mode = "rb",
        *,
        encoding: str = "utf-8",
        errors: str = "strict",
        newline: str | None = None,
    ) -> BinaryIO | TextIO:
        """Open a file to read from any place in it; fetches the frames that are read, no others.

        Of a table that is kept as columns, only the text of the parts that are read is written
        anew. Each frame's checksum is checked; the file's digest only if all of it is read, from
        its start to its end.

        Args:
            name: The file.
            mode: "rb" for bytes, "r" for text.
            encoding: Of text.
            errors: What becomes of bytes that are no text, as for the built-in `open`.
            newline: What ends a line of text, as for the built-in `open`.

        Raises:
            UsageError: there is no such file, or the mode is none that reads.
            IntegrityError: from the file's methods: the store holds something else than was pushed.
        """
        check_mode(mode)
        file = self._open(name)
        if mode == "rb":
            return file
        return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=newline)

    def read(self, name: str, as_: Library = "pandas", **arguments: Any) -> Any:
        """Return a file as a table.

        A CSV or TSV gives what `pandas.read_csv(file, float_precision="round_trip")` gives. JSON
        lines, Parquet and Excel are read as well. Of a large file only the frames with what is
        wanted are fetched: by `nrows=` and `chunksize=` of pandas' readers of text, and by
        `columns=` and `filters=` of those of Parquet.

        Args:
            name: The file.
            as_: "pandas", "polars" or "arrow".
            **arguments: For the library's own reader of that kind of file; for Excel's that of
                pandas, whose `sheet_name` is the first one's unless given.

        Raises:
            UsageError: there is no such file, it is no table, or the library cannot read it.
            MissingPackageError: the library is not installed.
            IntegrityError: the store holds something else than was pushed.
        """
        member = None if self._archives.find(name, self._files) else self.member(name)
        # A link may be named after another kind of table.
        if member is not None and kind_of(name) in (None, kind_of(member.path)):
            table = self._read_columns(member, as_, arguments)
            if table is not None:
                return table
        if reads_in_part(name, as_, arguments):
            with self._open(name) as file:
                return parse_table(name, file, library=as_, arguments=arguments)
        if member is not None and self._is_streamed(member, name, as_, arguments):
            # Not closed: with `chunksize`, pandas reads on when this has returned.
            return parse_table(name, self._open(name), library=as_, arguments=arguments)
        return parse_table(name, self.read_bytes(name), library=as_, arguments=arguments)

    def _read_columns(self, member: Member, as_: Library, arguments: Mapping[str, Any]) -> Any:
        """Return a table whose columns give what is asked for; None if its text has to be read."""
        asked = self._contents.find_asked(member, arguments) if as_ == "pandas" else None
        if asked is None:
            return None
        check_library(as_)
        return self._contents.table(member, asked)

    def _is_streamed(
        self, member: Member, name: str, as_: Library, arguments: Mapping[str, Any]
    ) -> bool:
        """Tell whether a table is better read while its text comes than when all of it is there."""
        # Frames of bytes are fetched side by side where all of them are needed.
        is_worthwhile = member.table is not None or reads_front(arguments)
        is_in_order = reads_in_order(name, as_, arguments)
        return is_worthwhile and is_in_order and self._contents.is_divided(member)

    def load(self, name: str, **arguments: Any) -> Any:
        """Return a file as what its ending says that it is.

        | ending | what it becomes |
        |---|---|
        | jpg, jpeg, png, gif, bmp, webp | `PIL.Image.Image` |
        | mp4, avi, mov, mkv | a `Video`, which iterates over its frames and fetches as it goes |
        | mp3, wav, flac, ogg | samples, numpy (time,) or (time, channel), and their rate in Hz |
        | pdf | `pypdf.PdfReader` |
        | txt, md, log; json | text; what is in it |
        | npy; npz | a numpy array; a dict of them |
        | zip, tar and tar.gz, tar.bz2, tar.xz | an `Archive` |
        | tables, xlsx, xls and ods among them | as of `read` |

        Args:
            name: The file.
            **arguments: For the package that decodes it; `encoding` for text.

        Raises:
            UsageError: there is no such file, its ending says nothing, or it is damaged.
            MissingPackageError: the package that decodes it is not installed.
            IntegrityError: the store holds something else than was pushed.
        """
        from sojourn.dataset.readers import load_file

        return load_file(self, name, arguments)

    def as_torch(
        self,
        glob: str = "**",
        *,
        transform: Callable[[Any], Any] | None = None,
        labels: Callable[[str], Any] | None = None,
        decode: bool = True,
    ) -> TorchMembers:
        """Return the files that a glob names as a data set for torch's DataLoader.

        Its items are pairs of sample and label. Workers read the store by themselves; give the
        loader a `sojourn.dataset.torch_data.FrameShuffle` in place of `shuffle=True`, which would
        fetch a frame for nearly every file.

        Args:
            glob: Which files.
            transform: What is done to each sample. With workers that are spawned, a function at
                the top of a module.
            labels: Returns the label for a name; None: the index of the folder that the file is
                in, among all such folders, as `classes` lists them.
            decode: Samples are what `load` returns, pictures as RGB; else bytes.

        Raises:
            UsageError: the glob names nothing.
            MissingPackageError: torch is not installed.
        """
        from sojourn.dataset.torch_data import torch_members

        return torch_members(
            self,
            select(list(self._files), (glob,)),
            transform=transform,
            labels=labels,
            decode=decode,
        )

    def read_many(
        self, glob: str | Sequence[str], as_: Library = "pandas", **arguments: Any
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name and table of each file that is named, in the order of `files`.

        The next few are fetched and parsed meanwhile; memory holds these and no more, however
        many there are. The first that cannot be read ends it.

        Args:
            glob: Which files; or several globs and names.
            as_: As for `read`.
            **arguments: As for `read`.

        Raises:
            UsageError: a glob names nothing, or a file cannot be read; it is named.
            IntegrityError: the store holds something else than was pushed.
        """
        names = self._named(glob)
        ahead = Ahead(self._contents, [self._files[name] for name in names])
        waiting: deque[tuple[str, Future[Any]]] = deque()
        with ThreadPoolExecutor(_TABLES_AHEAD, "parse") as pool, ahead:
            try:
                for index, name in enumerate(names):
                    ahead.reach(index)
                    waiting.append((name, pool.submit(self.read, name, as_, **arguments)))
                    if len(waiting) > _TABLES_AHEAD:
                        yield _result(*waiting.popleft(), of=glob)
                while waiting:
                    yield _result(*waiting.popleft(), of=glob)
            finally:
                for _, table in waiting:
                    table.cancel()

    def _named(self, glob: str | Sequence[str]) -> list[str]:
        """Return the files that a glob names, or several globs and names, in order."""
        if isinstance(glob, str):
            return select(list(self._files), (glob,))
        # What is a file's name is no glob, whatever letters are in it.
        chosen = {name for name in glob if name in self._files}
        globs = tuple(one for one in glob if one not in chosen)
        chosen.update(select(list(self._files), globs) if globs else ())
        return [name for name in self._files if name in chosen]

    def extract(
        self,
        folder: str | Path,
        include: Sequence[str] = (),
        *,
        overwrite: bool = True,
        progress: Progress | None = None,
    ) -> PullReport:
        """Put the files that globs name into a folder; all if there are none.

        What is there already, byte for byte, is not fetched. What the set does not hold stays.

        Args:
            folder: Where they go.
            include: The globs.
            overwrite: Whether files of the set's names are replaced whose contents came from no
                pull.
            progress: Where to report to.

        Raises:
            UsageError: a glob names nothing, or the folder cannot be written to or has no room; or
                something would be overwritten that must not.
            IntegrityError: the store holds something else than was pushed.
        """
        return pull_manifest(
            self.manifest,
            self._store,
            local_path(folder),
            include=(include,) if isinstance(include, str) else tuple(include),
            overwrite=overwrite,
            progress=progress or NoProgress(),
        )

    def __repr__(self) -> str:
        size = format_bytes(self.manifest.raw_bytes)
        revision = f" {self.revision}" if self.revision else ""
        return f"<Dataset {self.url}{revision}: {len(self.manifest.files)} files, {size}>"

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield a file's bytes in pieces, a few MiB of them in memory at a time.

        Raises:
            IntegrityError: the store holds something else than was pushed; told before the last
                piece.
        """
        return self._contents.chunks(member)

    def frames_of(self, name: str) -> tuple[FrameId, ...]:
        """Return the frames that a file's bytes or columns are in, in order; none if it is empty.

        Raises:
            UsageError: there is no such file.
        """
        return self._contents.frames_of(self.member(name))

    def hold_frames(self, count: int) -> None:
        """Hold so many decoded frames from now on, if it were fewer than that.

        As they are written by default, each is some 8 MiB; those with columns, of which as many are
        held, are some 16 MiB.
        """
        self._contents.hold(count)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.manifest, self.url, self._contents.frames.keep)

    def _open(self, name: str) -> BinaryIO:
        inside = self._archives.find(name, self._files)
        if inside:
            return inside[0].open(inside[1])
        member = self.member(name)
        pieces = self._contents.places(member)
        source = self._contents.source
        first = pieces[0][0] if pieces else None
        if isinstance(first, FrameId) and source.is_streamed(first):
            stream = partial(source.stream, first)
            return BufferedFile(
                StreamedFile(name=name, size_bytes=member.size_bytes, stream=stream)
            )
        return BufferedFile(
            MemberFile(
                name=name,
                size_bytes=member.size_bytes,
                pieces=pieces,
                fetch=self._contents.bytes_of,
                check=partial(check_found_digest, self._store, self.manifest, member),
                digester=Digester(member.digest),
            )
        )


def _result(name: str, table: Future[Any], *, of: str | Sequence[str]) -> tuple[str, Any]:
    """Return a file's name and table, of many; an error names it, and says how to do without.

    Args:
        name: The file's.
        table: What becomes the table.
        of: What the many were named by.
    """
    try:
        return name, table.result()
    except MissingPackageError:
        raise  # it is as bad with the others
    except (UsageError, IntegrityError) as error:
        named = "" if name in error.message else f"{name!r} cannot be read: "
        others = f"ds.files({of!r})" if isinstance(of, str) else "names"
        raise type(error)(
            f"{named}{error.message}",
            remedy=f"{error.remedy} To read the others without it: "
            f"`ds.read_many([name for name in {others} if name != {name!r}])`.",
        ) from error


def _reopened(manifest: Manifest, url: str, frames_kept: int) -> Dataset:
    is_object = isinstance(manifest, ForeignManifest) and manifest.is_object
    dataset = Dataset(manifest, (open_object(url) if is_object else None) or open_store(url))
    dataset.hold_frames(frames_kept)
    return dataset


def _files_by_name(manifest: Manifest, links: Mapping[str, str]) -> dict[str, Member]:
    """Return the file that each name stands for: its own, or the one that a link leads to."""
    files = {member.path: member for member in manifest.files}
    paths = [member.path for member in manifest.members]
    ends = [destination(path, links) if path in links else path for path in paths]
    return {path: files[end] for path, end in zip(paths, ends, strict=True) if end in files}
