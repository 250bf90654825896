"""A data set's objects in a store that are not shards: the manifests, and the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.dataset.manifest import (
    MANIFEST_KEY,
    README_KEY,
    REVISIONS_PREFIX,
    dump_manifest,
    revision_key,
)
from sojourn.dataset.parsing import is_revision, parse_manifest
from sojourn.dataset.readme import README
from sojourn.errors import IntegrityError, ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from sojourn.dataset.manifest import Manifest
    from sojourn.stores.base import Store

_MOST_REVISIONS_NAMED = 5


def find_manifest(store: Store) -> Manifest | None:
    """Return the newest manifest; None where the store holds no data set."""
    try:
        data = store.get(MANIFEST_KEY)
    except ObjectNotFoundError:
        return None
    return parse_manifest(data, where=f"{store.url}/{MANIFEST_KEY}")


def load_manifest(store: Store, *, revision: str | None = None) -> Manifest:
    """Return the newest manifest, or that of a revision.

    Raises:
        ObjectNotFoundError: there is no data set.
        UsageError: there is no such revision.
        IntegrityError: the manifest cannot be used.
    """
    if revision is not None:
        return _load_revision(store, revision)
    manifest = find_manifest(store)
    if manifest is None:
        raise ObjectNotFoundError(
            f"There is no data set in {store.url}: it holds no {MANIFEST_KEY}.",
            remedy=f"Check the address, or send one with `sojourn push DIR {store.url}`.",
        )
    return manifest


def publish(store: Store, manifest: Manifest) -> int:
    """Write the README and the manifests, the one that readers look for last.

    Returns:
        Bytes sent.
    """
    data = dump_manifest(manifest)
    store.put(README_KEY, README)
    store.put(revision_key(manifest.revision), data)
    store.put(MANIFEST_KEY, data)
    return len(README) + 2 * len(data)


def _load_revision(store: Store, revision: str) -> Manifest:
    where = f"{store.url}/{revision_key(revision)}"
    try:
        data = store.get(revision_key(revision)) if is_revision(revision) else None
    except ObjectNotFoundError:
        data = None
    if data is None:
        raise UsageError(
            f"There is no revision {revision!r} in {store.url}.", remedy=_revisions_there(store)
        )
    manifest = parse_manifest(data, where=where)
    if manifest.revision != revision:
        raise IntegrityError(
            f"The manifest {where} is that of revision {manifest.revision}.",
            remedy="Somebody replaced it: pull another revision.",
        )
    return manifest


def _revisions_there(store: Store) -> str:
    keys = sorted(entry.key for entry in store.list(REVISIONS_PREFIX))
    names = [key.removeprefix(REVISIONS_PREFIX).removesuffix(".json") for key in keys]
    if not names:
        return "It holds no revision: check the address."
    shown = ", ".join(names[:_MOST_REVISIONS_NAMED])
    more = len(names) - _MOST_REVISIONS_NAMED
    return f"There are: {shown}" + (f" and {more} more." if more > 0 else ".")
