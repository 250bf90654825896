"""A data set's objects in a store that are not shards: the manifests, and the README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.dataset.manifest import (
    MANIFEST_KEY,
    README_KEY,
    REVISIONS_PREFIX,
    dump_manifest,
    revision_key,
)
from sojourn.dataset.parsing import DamagedManifestError, is_revision, parse_manifest
from sojourn.dataset.readme import README
from sojourn.errors import IntegrityError, ObjectNotFoundError, UsageError
from sojourn.stores.base import Swap, get_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.dataset.manifest import Manifest
    from sojourn.progress import Progress
    from sojourn.stores.base import Store

_FEWEST_DIGITS = 4
_MOST_REVISIONS_NAMED = 10
# A manifest may be large; who mistyped a revision does not wait for a hundred of them.
_MOST_STEPS_BACK = 20
_LONGEST_MESSAGE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a store holds under the key that readers look for.

    Attributes:
        data: The bytes there.
        manifest: What they say.
    """

    data: bytes
    manifest: Manifest


def find_published(store: Store) -> Published | None:
    """Return the newest manifest with its bytes; None where the store holds no data set.

    Raises:
        IntegrityError: it cannot be used.
    """
    try:
        return _current(store)
    except DamagedManifestError as error:
        raise IntegrityError(error.message, remedy=_way_out(store)) from error


def find_manifest(store: Store) -> Manifest | None:
    """Return the newest manifest; None where the store holds no data set.

    Raises:
        IntegrityError: it cannot be used.
    """
    published = find_published(store)
    return published.manifest if published else None


def load_manifest(store: Store, *, revision: str | None = None) -> Manifest:
    """Return the newest manifest, or that of a revision.

    Args:
        store: Where the data set is.
        revision: Its digits, or the first four or more of them; the newest if None.

    Raises:
        ObjectNotFoundError: there is no data set.
        UsageError: there is no such revision, or several begin so.
        IntegrityError: the manifest cannot be used.
    """
    if revision is not None:
        return _load_revision(store, revision)
    manifest = find_manifest(store)
    if manifest is None:
        raise ObjectNotFoundError(
            f"There is no data set in {store.url}: it holds no {MANIFEST_KEY}.",
            remedy=_way_to_one(store),
        )
    return manifest


def _way_to_one(store: Store) -> str:
    """Return what to do about a store that holds no data set."""
    if not store.capabilities.can_list:
        return (
            "Check the address. A web server lists nothing, so of what was not pushed with sojourn "
            "name a file or a zip."
        )
    if store.capabilities.read_only:
        return "Check the address."
    return f"Check the address, or send one with `sojourn push DIR {store.url}`."


def publish(
    store: Store, manifest: Manifest, *, replacing: bytes | None, progress: Progress
) -> int:
    """Write the README and the manifests, the one that readers look for last.

    Readers see all of it, the shards that were put before included, when this returns.

    Args:
        store: Where to.
        manifest: The new one.
        replacing: The bytes of the one before it; None for the first.
        progress: Is told what is waited for.

    Returns:
        Bytes sent.

    Raises:
        ConflictError: readers find another manifest than the one that is replaced.
    """
    data = dump_manifest(manifest)
    store.put(README_KEY, README)
    store.put(revision_key(manifest.revision), data)
    store.publish(
        Swap(key=MANIFEST_KEY, body=data, expected=replacing),
        message=manifest.message or f"revision {manifest.revision}",
        progress=progress,
    )
    return len(README) + 2 * len(data)


def _current(store: Store) -> Published | None:
    data = get_or_none(store, MANIFEST_KEY)
    if data is None:
        return None
    manifest = parse_manifest(data, where=f"{store.url}/{MANIFEST_KEY}")
    return Published(data=data, manifest=manifest)


def _way_out(store: Store) -> str:
    """Return what to do when the manifest that readers look for is damaged."""
    anew = "elete it and push the folder again; what was sent is not sent again."
    newest = _newest_readable(store)
    if newest is None:
        return f"D{anew}"
    return (
        f"Copy {store.url}/{revision_key(newest)} over it: that is the newest that can be read. "
        f"Or d{anew}"
    )


def _newest_readable(store: Store) -> str | None:
    found: list[tuple[str, str]] = []
    parents: set[str | None] = set()
    # Which is new is known only from each manifest, so all are read, one at a time.
    for revision in _revisions(store):
        manifest = _readable(store, revision)
        if manifest is not None:
            found.append((manifest.created, revision))
            parents.add(manifest.parent)
    # Two may be of the same second; then the one that was followed is not the newest.
    last = [item for item in found if item[1] not in parents]
    return max(last, default=(None, None))[1]


def _load_revision(store: Store, wanted: str) -> Manifest:
    revision = _whole_revision(store, wanted)
    try:
        return _read_revision(store, revision)
    except ObjectNotFoundError:
        raise _unknown(store, wanted, _revisions(store)) from None


def _whole_revision(store: Store, wanted: str) -> str:
    """Return the revision that begins with these digits."""
    if is_revision(wanted):
        return wanted
    there = _revisions(store)
    found = [revision for revision in there if revision.startswith(wanted)]
    if len(wanted) < _FEWEST_DIGITS or not found:
        raise _unknown(store, wanted, there)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} revisions in {store.url} begin with {wanted!r}.",
            remedy=f"Give more digits. {_listed(store, found)}",
        )
    return found[0]


def _read_revision(store: Store, revision: str) -> Manifest:
    where = f"{store.url}/{revision_key(revision)}"
    manifest = parse_manifest(store.get(revision_key(revision)), where=where)
    if manifest.revision != revision:
        raise IntegrityError(
            f"The manifest {where} is that of revision {manifest.revision}.",
            remedy="Somebody replaced it: pull another revision.",
        )
    return manifest


def _revisions(store: Store) -> list[str]:
    if not store.capabilities.can_list:
        # Those that the newest leads back to can be had without a listing.
        return sorted(manifest.revision for manifest in _parents(store))
    keys = [entry.key for entry in store.list(REVISIONS_PREFIX)]
    names = [key.removeprefix(REVISIONS_PREFIX).removesuffix(".json") for key in keys]
    return sorted(name for name in names if is_revision(name))


def _unknown(store: Store, wanted: str, there: list[str]) -> UsageError:
    why = f": that takes {_FEWEST_DIGITS} digits" if len(wanted) < _FEWEST_DIGITS else ""
    return UsageError(
        f"There is no revision {wanted!r} in {store.url}{why}.",
        remedy=_listed(store, there) if there else "It holds no revision: check the address.",
    )


def _listed(store: Store, revisions: list[str]) -> str:
    """Return the newest of these revisions, in one sentence: an error is one paragraph."""
    newest = _newest(store, revisions)
    named = [f"{m.revision} ({_told(m)})" for m in newest]
    # Those that cannot be read are named all the same, as far as there is room.
    rest = [r for r in revisions if r not in {m.revision for m in newest}]
    named += rest[: _MOST_REVISIONS_NAMED - len(newest)]
    more = len(revisions) - len(named)
    last = [f"and {more} more"] if more else []
    return f"There are, newest first: {', '.join([*named, *last])}."


def _told(manifest: Manifest) -> str:
    """Return when a revision was pushed, and its message if it has one."""
    message = _shortened(manifest.message)
    return f"{manifest.created}, {message!r}" if message else manifest.created


def _newest(store: Store, revisions: list[str]) -> list[Manifest]:
    """Return the manifests of the newest of these revisions; each is one request."""
    left = set(revisions)
    found: list[Manifest] = []
    following = _parents(store)
    # Which are new is known only from each manifest, so the way back from the newest comes first;
    # those beside it were overtaken by a push at the same time.
    while left and len(found) < _MOST_REVISIONS_NAMED:
        manifest = next(following, None)
        if manifest is None:
            break
        if manifest.revision in left:
            left.remove(manifest.revision)
            found.append(manifest)
    for revision in sorted(left)[: _MOST_REVISIONS_NAMED - len(found)]:
        manifest = _readable(store, revision)
        found += [manifest] if manifest else []
    return sorted(found, key=lambda manifest: manifest.created, reverse=True)


def _parents(store: Store) -> Iterator[Manifest]:
    """Yield the newest manifest, the one before it, and so on while they can be read."""
    try:
        # Not `find_manifest`, which looks for the way out of a damaged one here.
        current = _current(store)
    except IntegrityError:
        return
    manifest = current.manifest if current else None
    for _ in range(_MOST_STEPS_BACK):
        if manifest is None:
            return
        yield manifest
        manifest = _readable(store, manifest.parent) if manifest.parent else None


def _readable(store: Store, revision: str) -> Manifest | None:
    try:
        return _read_revision(store, revision)
    except (ObjectNotFoundError, IntegrityError):
        return None


def _shortened(message: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in message)
    if len(line) <= _LONGEST_MESSAGE:
        return line
    return f"{line[: _LONGEST_MESSAGE - 1]}…"
