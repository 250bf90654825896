"""What is asked of a run, checked before anything is started."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sojourn.errors import CatalogError, UsageError
from sojourn.script.paths import PathMap, default_rules
from sojourn.script.source import read_source

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

RUNTIMES = ("local",)

_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that are taken for another
_ID_LENGTH = 4
_LONGEST_STEM = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWanted:
    """A data set to be pulled before the job starts: from `store` to `folder`, as the user says."""

    store: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run to be done. `target` is absolute; `deadline_s` counts from the run's start."""

    target: Path
    args: tuple[str, ...] = ()
    data: tuple[DataWanted, ...] = ()
    deadline_s: float | None = None
    out: Path | None = None


def parse_data(texts: Iterable[str]) -> dict[str, str]:
    """Read `STORE=DIR` from each text; return the folder for each store.

    Raises:
        UsageError: one is not of that form, or a store is named twice.
    """
    folders: dict[str, str] = {}
    for text in texts:
        store, folder = _store_and_folder(text)
        if store in folders:
            raise UsageError(f"{store!r} is asked for twice.", remedy="Give one --data for it.")
        folders[store] = folder
    return folders


def _store_and_folder(text: str) -> tuple[str, str]:
    store, separator, folder = text.rpartition("=")
    if not separator or not store or not folder:
        raise UsageError(
            f"{text!r} does not say where the data shall be.",
            remedy="Write --data STORE=DIR, such as --data s3://bucket/leaks=/content/data.",
        )
    return store, folder


def check_data(wanted: DataWanted) -> DataWanted:
    """Check that the folder does not climb out of the job's own.

    Raises:
        UsageError: it does.
    """
    if ".." in PurePosixPath(wanted.folder).parts:
        raise UsageError(
            f"{wanted.folder!r} leads out of the job's folder.",
            remedy="Give a folder below it, or an absolute path.",
        )
    return wanted


def data_folder(wanted: DataWanted, work: Path) -> Path:
    """Return where the data go: below `work`, save for an absolute path of this machine's own."""
    if not wanted.folder.startswith("/"):
        return work / wanted.folder
    return Path(PathMap(default_rules(work), None).find_local(wanted.folder))


def new_run_id(target: Path, *, now: datetime, randomness: random.Random) -> str:
    """Return an id that sorts by time and can be typed: `20261124-133705-baseline-x7k2`."""
    stem = re.sub(r"[^a-z0-9]+", "-", target.stem.lower()).strip("-")[:_LONGEST_STEM] or "job"
    letters = "".join(randomness.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    return f"{now:%Y%m%d-%H%M%S}-{stem}-{letters}"


def check_runtime(name: str) -> None:
    """Check that jobs can be run there.

    Raises:
        CatalogError: they cannot.
    """
    if name not in RUNTIMES:
        raise CatalogError(
            f"Jobs are not run on {name!r}.",
            remedy=f"Use --on {' or '.join(RUNTIMES)}. `sojourn plan` says where a job would fit.",
        )


def check_request(
    target: str | Path,
    *,
    arguments: Sequence[str],
    data: Mapping[str, str],
    deadline_s: float | None,
    out: str | Path | None,
) -> RunRequest:
    """Read the script once, and check the rest, so that a run that is started can go well.

    Raises:
        UsageError: there is no such script, a folder is wrong, or the deadline is no time.
        TraceError: the script is not valid Python.
    """
    source = read_source(Path(target))
    if deadline_s is not None and not deadline_s > 0:
        raise UsageError(
            f"A deadline of {deadline_s} s is over before the job starts.",
            remedy="Give a time above zero, or none.",
        )
    return RunRequest(
        target=source.path.resolve(),
        args=tuple(arguments),
        data=tuple(check_data(DataWanted(store=s, folder=folder)) for s, folder in data.items()),
        deadline_s=deadline_s,
        out=None if out is None else _results_folder(Path(out)),
    )


def _results_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{str(folder)!r} cannot take what the job writes: {error.strerror}.",
            remedy="Give --out a folder that you may write to.",
        ) from error
    return folder.resolve()
