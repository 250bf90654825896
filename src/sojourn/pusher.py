"""A push from the request on: what is sent, where it goes, and what packs it.

Addresses become stores and sources here; `dataset.push` sends from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.dataset.dataset_source import DatasetSource
from sojourn.dataset.excluding import ExcludingSource
from sojourn.dataset.finding import source_at
from sojourn.dataset.push import push_folder, push_source
from sojourn.dataset.source import StoreSource
from sojourn.errors import UsageError
from sojourn.localpath import local_path
from sojourn.stores.base import Presentation
from sojourn.stores.dryrun import DryRun
from sojourn.stores.url import is_address, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.dataset.push import MakeEngine, PushReport
    from sojourn.dataset.source import Source
    from sojourn.progress import Progress
    from sojourn.stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """What is to be sent, and how. See `sojourn.push` for what each field means."""

    folder: str | Path
    store: str | Path
    message: str = ""
    dry_run: bool = False
    engine: str = "threads"
    exclude: Sequence[str] = ()
    title: str | None = None
    license: str | None = None
    public: bool = False


def push_job(request: PushRequest, progress: Progress) -> PushReport:
    """Send what is asked for.

    Raises:
        UsageError: the folder cannot be sent, or not with this engine; or the store has no pages.
        MissingPackageError: the engine is not installed.
        StoreError: the store refused, or could not be reached.
        IntegrityError: a file changed meanwhile, or the data set in the store is damaged.
    """
    opened = open_store(request.store, presentation=_presentation(request), progress=progress)
    make_engine = _make_engine(request.engine, opened, dry_run=request.dry_run)
    target = DryRun(opened) if request.dry_run else opened
    now = datetime.now(UTC)
    folder = request.folder
    source = source_at(str(folder), progress=progress) if is_address(folder) else local_path(folder)
    if make_engine is not None:
        source = _for_workers(source, open_store(folder, progress=progress))
    # One glob is as easily given by itself, and is a sequence of letters.
    exclude = (request.exclude,) if isinstance(request.exclude, str) else tuple(request.exclude)
    if isinstance(source, Path):
        return push_folder(
            source, target, message=request.message, now=now, progress=progress, exclude=exclude
        )
    return push_source(
        ExcludingSource(source, exclude) if exclude else source,
        target,
        message=request.message,
        now=now,
        progress=progress,
        make_engine=make_engine,
    )


def _presentation(request: PushRequest) -> Presentation | None:
    """Return what the store's page shall say; None where nothing of it was asked for."""
    if request.title is None and request.license is None and not request.public:
        return None
    return Presentation(title=request.title, license=request.license, public=request.public)


def _for_workers(source: Source | Path, store: Store) -> Source:
    """Return a source whose objects the workers of a cluster read by themselves.

    Raises:
        UsageError: its files lie in others.
    """
    if isinstance(source, DatasetSource):
        raise UsageError(
            f"The files of {source.name} are in zips or shards, and a cluster's workers read plain "
            "objects only.",
            remedy="Leave out --engine ray.",
        )
    return StoreSource(store)


def _make_engine(engine: str, store: Store, *, dry_run: bool) -> MakeEngine | None:
    """Return what makes an engine; None for the threads of this machine."""
    if engine == "threads":
        return None
    if engine != "ray":
        raise UsageError(f"There is no engine {engine!r}.", remedy="Write 'threads' or 'ray'.")
    if dry_run:
        raise UsageError(
            "A cluster's workers send what they pack, so there is no dry run with ray.",
            remedy="Leave out --engine for the dry run: it says the same.",
        )
    if store.capabilities.publishes_slowly:
        raise UsageError(
            f"{store.url} publishes what one process sent, and a cluster's workers are many.",
            remedy="Leave out --engine, or push to s3:// with it.",
        )
    from sojourn.dataset.ray_engine import RayEngine

    return lambda source, _sender, advance: RayEngine(source, store.url, advance=advance)
