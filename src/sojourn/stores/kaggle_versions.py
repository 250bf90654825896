"""Which version of a Kaggle data set holds which object.

Kaggle keeps in a version only the files that were sent with it; no field of its API carries one
over. Older versions can be downloaded by number. So each version that this program makes holds
what changed and `sojourn-versions.json`, which says of every object in which version it is. An
object that came with the version itself has none there: its number is known only once it is made.

Source: kagglesdk 0.1.37, ApiCreateDatasetVersionRequestBody and ApiDownloadDatasetRequest;
https://github.com/Kaggle/kaggle-cli/issues/890
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sojourn.errors import IntegrityError, StoreError
from sojourn.stores.base import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

INDEX_NAME = "sojourn-versions.json"
GUIDE_NAME = "VERSIONS.md"
_SCHEMA_NAME = "sojourn.kaggle"
_SCHEMA_VERSION = 1
# `NAME.tar.zst` may be unpacked into a folder NAME.tar.zst, NAME.tar or NAME.
_MOST_ENDINGS = 3

_GUIDE = """\
# Which versions hold this data set

Kaggle keeps in a version only what was sent with it, and sojourn sends only what changed. So this
version may hold a part of the data set, and earlier versions the rest: `sojourn-versions.json`
says of each file which version holds it (`null`: the one that the list came with).

{where}

With Kaggle's own client, this brings all of it into the folder `set`, the newest last:

```sh
{commands}
```

In Python: `kagglehub.dataset_download("{name}/versions/NUMBER")`.

Then `set/README.md` says how to open it with plain tools. `sojourn pull kaggle://{name}` does all
of this, side by side, and checks every file.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an object is: in which version (None: the one that the index is in), and its size."""

    version: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Where all objects are.

    Attributes:
        commit: What names the commit that made it: 16 hex digits.
        places: By key.
    """

    commit: str
    places: Mapping[str, Place]

    def settled(self, version: int) -> dict[str, Place]:
        """Return the places with the version that this index is in filled in."""
        return {
            key: Place(version=place.version or version, size_bytes=place.size_bytes)
            for key, place in self.places.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A data set as it is in its current version.

    Attributes:
        version: Its number; 0 if there is no data set.
        commit: The commit that made it; None if this program did not.
        places: Where the objects are, by key, or were when the version was made.
        versions: The versions that are there; None if that is not known.
    """

    version: int
    commit: str | None
    places: Mapping[str, Place]
    versions: frozenset[int] | None = None

    def objects(self) -> dict[str, Place]:
        """Return the places of the objects that are there: not those of deleted versions."""
        if self.versions is None:
            return dict(self.places)
        return {key: place for key, place in self.places.items() if place.version in self.versions}

    def version_of(self, key: str) -> int | None:
        """Return the version that holds an object; None if none does.

        What Kaggle unpacked of an archive is in the archive's version, below its name.
        """
        place = self.places.get(key) or self.places.get(self._archive_above(key) or "")
        return place.version if place else None

    def _archive_above(self, key: str) -> str | None:
        folders = set(_folders_above(key))
        return next((k for k in self.places if folders.intersection(unpacked_folders(k))), None)


def merge(
    places: Mapping[str, Place], *, base: Mapping[str, Place], other: Mapping[str, Place]
) -> dict[str, Place]:
    """Return places with the changes of somebody else who began from the same base.

    Of an object that both changed, the change in `places` counts.
    """
    merged = dict(places)
    for key in base.keys() | other.keys():
        theirs = other.get(key)
        if theirs == base.get(key) or merged.get(key) != base.get(key):
            continue
        if theirs is None:
            del merged[key]
        else:
            merged[key] = theirs
    return merged


def first_to_change(key: str, views: Iterable[View], *, base: Mapping[str, Place]) -> Place | None:
    """Return where an object is that was changed since a base; None if nobody did.

    Whoever changed it first counts, and then who began from that: what he holds has all of it.

    Args:
        key: Which object.
        views: The versions since, the oldest first.
        base: The places that were there before them.
    """
    first: View | None = None
    for view in views:
        is_changed = key in view.places and view.places[key] != base.get(key)
        if is_changed and (first is None or first.places.keys() <= view.places.keys()):
            first = view
    return first.places[key] if first else None


def unpacked_folders(key: str) -> list[str]:
    """Return the folders that the contents of an archive may be in once Kaggle unpacked it."""
    folder, slash, name = key.rpartition("/")
    stems = [name]
    while "." in stems[-1].lstrip(".") and len(stems) < _MOST_ENDINGS:
        stems.append(stems[-1].rpartition(".")[0])
    return [f"{folder}{slash}{stem}" for stem in stems]


def is_unpacked(key: str, names: Iterable[str]) -> bool:
    """Tell whether files of these names are what Kaggle unpacked of an archive."""
    folders = tuple(f"{folder}/" for folder in unpacked_folders(key))
    return any(name.startswith(folders) for name in names)


def _folders_above(key: str) -> Iterator[str]:
    folder = key.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def dump_index(index: Index) -> bytes:
    """Write an index as JSON, one object a line."""
    lines = [
        f"{json.dumps(key, ensure_ascii=False)}: "
        f"{json.dumps({'version': place.version, 'size_bytes': place.size_bytes})}"
        for key, place in sorted(index.places.items())
    ]
    objects = ",\n".join(lines)
    head = f'"schema": "{_SCHEMA_NAME}/{_SCHEMA_VERSION}",\n"commit": "{index.commit}",'
    return f'{{\n{head}\n"objects": {{\n{objects}\n}}\n}}\n'.encode()


def parse_index(data: bytes, *, where: str) -> Index:
    """Read an index.

    Raises:
        StoreError: a newer sojourn wrote it.
        IntegrityError: it is none.
    """
    try:
        document = json.loads(data)
        name, _, number = str(document["schema"]).partition("/")
        if name == _SCHEMA_NAME and int(number) > _SCHEMA_VERSION:
            raise StoreError(
                f"{where} was written by a newer sojourn.", remedy="pip install -U sojourn"
            )
        places = {check_key(key): _place(value) for key, value in document["objects"].items()}
        return Index(commit=str(document["commit"]), places=places)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{where} is damaged.",
            remedy="Pull with Kaggle's own client: VERSIONS.md beside it says how.",
        ) from error


def guide(name: str, index: Index) -> bytes:
    """Return what tells a person without sojourn which versions to fetch.

    Args:
        name: OWNER/DATASET.
        index: Where all objects are.
    """
    versions = sorted({place.version for place in index.places.values() if place.version})
    commands = [f"kaggle datasets download {name}/{v} --unzip -p set" for v in versions]
    commands.append(f"kaggle datasets download {name} --unzip -p set")
    where = "This version holds all of it."
    if versions:
        where = f"Besides this version it takes: {', '.join(map(str, versions))}."
    return _GUIDE.format(name=name, where=where, commands="\n".join(commands)).encode()


def _place(document: Any) -> Place:
    version, size_bytes = document["version"], document["size_bytes"]
    # bool is a subclass of int, and a float may be none: 1e400 is read as infinity.
    if type(size_bytes) is not int or size_bytes < 0:
        raise ValueError("no size")
    if version is not None and (type(version) is not int or version < 1):
        raise ValueError("no version")
    return Place(version=version, size_bytes=size_bytes)
