"""Find the data set at an address: one that was pushed, or whatever files somebody put there."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.dataset_source import DatasetSource
from sojourn.dataset.foreign import ForeignManifest
from sojourn.dataset.foreign_listing import find_foreign
from sojourn.dataset.manifest import MANIFEST_KEY
from sojourn.dataset.repository import find_manifest, load_manifest
from sojourn.dataset.source import StoreSource
from sojourn.errors import ObjectNotFoundError, SojournError, StoreError, UsageError
from sojourn.stores.url import find_local_path, open_object, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.dataset.manifest import Manifest
    from sojourn.dataset.source import Source
    from sojourn.progress import Progress
    from sojourn.stores.base import Store

# Folders above an address in which a data set is looked for; each is a manifest to fetch.
_MOST_STEPS_UP = 3


def find_dataset(
    address: str | Path, *, revision: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Return the data set at an address. Data is not fetched.

    Args:
        address: Of a store, or of one object in it.
        revision: An earlier one; the newest if None.
        progress: Is told when the store is waited for, now or later.

    Raises:
        UsageError: there is no such revision, or what is there has none.
        StoreError: nothing is there, the store refused, or could not be reached.
        IntegrityError: the manifest, or a zip's directory, cannot be used.
    """
    try:
        if is_local_file(address):
            found = _of_object(address, progress)
        else:
            found = _of_place(address, revision, progress)
    except ObjectNotFoundError:  # a web server may have a page of a folder in the data set
        _check_not_inside(address)
        raise
    if found is None:
        _check_not_inside(address)
        load_manifest(open_store(address, progress=progress))  # says that there is none
        raise AssertionError("what has a manifest was found before")
    if isinstance(found.manifest, ForeignManifest):
        _check_no_revision(found.url, revision)
    return found


def _of_place(
    address: str | Path, revision: str | None, progress: Progress | None
) -> Dataset | None:
    store = open_store(address, progress=progress)
    manifest = _pushed(store, revision)
    if manifest is not None:
        return Dataset(manifest, store)
    foreign = find_foreign(store) if store.capabilities.can_list else None
    return _of_object(address, progress) if foreign is None else Dataset(foreign, store)


def _check_not_inside(address: str | Path) -> None:
    """Check that an address, at which there is no store, is not that of a file or folder in one.

    Raises:
        ObjectNotFoundError: it is.
    """
    place, inside = os.fspath(address).rstrip("/"), ""
    for _ in range(_MOST_STEPS_UP):
        place, slash, name = place.rpartition("/")
        if not slash or place.endswith("/") or not place:
            return
        inside = f"{name}/{inside}".rstrip("/")
        if _is_pushed(place, inside):
            glob = shlex.quote(inside)
            raise ObjectNotFoundError(
                f"There is no data set in {address}: it is a part of the one in {place}.",
                remedy=f"Name the part after the store: `sojourn ls {place} {glob}`, "
                f"`sojourn pull {place} --include {glob}`.",
            )


def _is_pushed(address: str, path: str) -> bool:
    """Tell whether a data set was pushed to an address and has a member of that path."""
    try:
        manifest = find_manifest(open_store(address))
    except SojournError:
        return False  # only a hint was looked for: the address that was asked for is told of
    return manifest is not None and any(member.path == path for member in manifest.members)


def _pushed(store: Store, revision: str | None) -> Manifest | None:
    """Return the manifest of a revision; None where nothing was pushed."""
    if revision is None:
        return find_manifest(store)
    try:
        # An earlier one can be had where the newest is damaged.
        return load_manifest(store, revision=revision)
    except UsageError:
        if store.find(MANIFEST_KEY) is not None:
            raise
        return None


def source_at(address: str, *, progress: Progress | None = None) -> Source | Path:
    """Return what a push takes from an address: a data set's files, or what else is there.

    Args:
        address: Of a store, or of one object in it.
        progress: Is told when the store is waited for, now or later.

    Returns:
        The files of a data set that was pushed, or of zips; else the objects, or their folder
        where it is on this machine.

    Raises:
        StoreError: nothing is there, the store refused, or could not be reached.
        IntegrityError: a manifest, or a zip's directory, cannot be used.
    """
    if is_local_file(address):
        return DatasetSource(find_dataset(address, progress=progress))
    store = open_store(address, progress=progress)
    if not store.capabilities.can_list or find_manifest(store) is not None:
        return DatasetSource(find_dataset(address, progress=progress))
    foreign = find_foreign(store)
    if foreign is not None and foreign.unpacks:
        return DatasetSource(Dataset(foreign, store))
    of_object = _of_object(address, progress) if foreign is None else None
    if of_object is not None:
        return DatasetSource(of_object)
    return store.capabilities.local_folder or StoreSource(store)


def is_local_file(address: str | Path) -> bool:
    """Tell whether an address is that of a file of this machine."""
    try:
        path = find_local_path(address)
        return path is not None and path.is_file()
    except (StoreError, OSError):
        return False  # `open_store` says what is wrong


def _of_object(address: str | Path, progress: Progress | None) -> Dataset | None:
    """Return the data set that one object is; None if there is no such object."""
    try:
        store = open_object(address, progress=progress)
    except StoreError:
        return None  # what is above it is no address: that of a whole data set has no parts
    foreign = None if store is None else find_foreign(store)
    if store is None or foreign is None:
        return None
    return Dataset(replace(foreign, is_object=True), store)


def _check_no_revision(url: str, revision: str | None) -> None:
    if revision is not None:
        raise UsageError(
            f"There is no revision {revision!r} in {url}: it was not pushed with Sojourn "
            f"(it holds no {MANIFEST_KEY}), so only what is there now can be had.",
            remedy="Leave out --revision.",
        )
