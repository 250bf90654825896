"""What a push leaves out, and which of what goes was likely not meant to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sojourn.dataset.globs import matches, near
from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sojourn.dataset.listing import Entry
    from sojourn.dataset.source import Source
    from sojourn.progress import Progress

# What git, Jupyter, Python and macOS' Finder put beside the files that one works with.
_LEFTOVERS = frozenset({".git", ".ipynb_checkpoints", "__pycache__", ".DS_Store"})


class Exclusion:
    """Globs of what is left out. It notes which of them named anything.

    Args:
        globs: As those of `pull --include`; a folder that one names is left out with all in it.
    """

    def __init__(self, globs: Iterable[str] = ()) -> None:
        self._globs = tuple(dict.fromkeys(globs))
        self._unused = dict.fromkeys(self._globs)

    def names(self, path: str) -> bool:
        """Tell whether a path, above which nothing is left out, is left out itself."""
        named = [glob for glob in self._globs if matches(path, glob)]
        for glob in named:
            self._unused.pop(glob, None)
        return bool(named)

    def check(self, kept: Sequence[Entry], *, place: str) -> None:
        """Check that each glob named something, and that a file is left.

        Args:
            kept: What is not left out.
            place: What the listing is of.

        Raises:
            UsageError: one named nothing, or no file is left.
        """
        for glob in self._unused:
            others = "" if len(self._unused) == len(self._globs) else " that is not left out anyway"
            raise UsageError(
                f"{glob!r} names nothing in {place}{others}, so it leaves nothing out.",
                remedy=_nearest(glob, [entry.path for entry in kept]),
            )
        if self._globs and all(entry.kind == "folder" for entry in kept):
            raise UsageError(
                f"{place} holds no file but those that are left out.",
                remedy="Leave out less.",
            )


class ExcludingSource:
    """A source without what some globs name.

    Args:
        source: What is sent but for that.
        globs: Of what is left out.
    """

    def __init__(self, source: Source, globs: Iterable[str]) -> None:
        self._source = source
        self._globs = tuple(globs)

    @property
    def name(self) -> str:
        """How a person names the whole."""
        return self._source.name

    def entries(self) -> tuple[Entry, ...]:
        """Return what is left.

        Raises:
            UsageError: a glob names nothing, or nothing is left.
        """
        exclusion = Exclusion(self._globs)
        left_out: set[str] = set()
        kept: list[Entry] = []
        for entry in self._source.entries():  # a folder stands before what is in it
            above = entry.path.rpartition("/")[0]
            if above in left_out or exclusion.names(entry.path):
                left_out.add(entry.path)
            else:
                kept.append(entry)
        exclusion.check(kept, place=self.name)
        return tuple(kept)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes in pieces."""
        return self._source.chunks(entry)

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes."""
        return self._source.digest(path)


def note_leftovers(entries: Iterable[Entry], progress: Progress) -> None:
    """Say in one line which of what goes tools put there, and how to leave that out."""
    found: dict[str, int] = {}
    for entry in entries:
        # The outmost one: what is in it goes with it.
        name = next((part for part in entry.path.split("/") if part in _LEFTOVERS), None)
        if name is not None:
            found[name] = found.get(name, 0) + (entry.kind == "file")
    if not found:
        return
    names = sorted(found)
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    files = sum(found.values())
    options = " ".join(f"--exclude {shlex.quote(f'**/{name}')}" for name in names)
    progress.note(
        f"{listed} ({files} file{'' if files == 1 else 's'}) "
        f"{'goes' if len(names) == 1 else 'go'} too; to leave that out: {options}"
    )


def _nearest(glob: str, paths: list[str]) -> str:
    """Return the glob that was likely meant."""
    name = glob.strip("/")
    if any(path.endswith(f"/{name}") for path in paths):
        return f"A name stands for what is at the top; at any depth it is {f'**/{name}'!r}."
    inside = glob.removeprefix("./").partition("/")[2]
    if inside and any(matches(path, inside) for path in paths):
        return f"Globs begin inside of what is sent: write {inside!r}."
    return near(glob, paths, listing="`ls -AR`, or `sojourn ls` where it is an address")
