"""Kaggle data sets as stores: `kaggle://OWNER/DATASET`.

A store is a flat set of objects; Kaggle has versions of whole data sets. So what is put is sent at
once and kept back, and `publish` makes a version of it. Objects that did not change stay in the
versions that hold them (`kaggle_versions`). A data set that others made is read as it is.

    put → sent, token noted      publish → new version of what was put, and where the rest is
    get → current version → its index → the version that holds the object → signed address → bytes
"""

from __future__ import annotations

import io
import re
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import platformdirs

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError, UsageError
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    check_key,
    check_prefix,
)
from sojourn.stores.kaggle_api import KaggleApi, check_installed
from sojourn.stores.kaggle_busy import come_back_later
from sojourn.stores.kaggle_credentials import find_kaggle_credentials
from sojourn.stores.kaggle_files import VersionFiles
from sojourn.stores.kaggle_limits import load_limits
from sojourn.stores.kaggle_publishing import Publisher, Remote
from sojourn.stores.kaggle_readiness import Patience
from sojourn.stores.kaggle_transfer import Transfer
from sojourn.stores.kaggle_uploads import UploadJournal
from sojourn.stores.kaggle_versions import GUIDE_NAME, INDEX_NAME, Place, View, parse_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Presentation, Swap
    from sojourn.stores.kaggle_credentials import KaggleCredentials
    from sojourn.stores.kaggle_limits import KaggleLimits
    from sojourn.stores.probing import Finding

T = TypeVar("T")

# https://github.com/Kaggle/kaggle-cli/blob/main/docs/datasets_metadata.md: a slug has 3 to 50
# characters, a title 6 to 50. (The command there refuses slugs below 6; the service is not asked.)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]")
_TITLE_CHARACTERS = range(6, 51)
# What an address may name: also what others made, under rules that are not known.
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)/([A-Za-z0-9][A-Za-z0-9_-]*)/?")

_NO_CREDENTIALS = "Set KAGGLE_API_TOKEN to a token from https://www.kaggle.com/settings."


class KaggleStore:
    """One data set on Kaggle.

    Args:
        owner: Whose it is.
        slug: What it is called there.
        credentials: Who asks.
        presentation: How it is shown, if it is yet to be made.
        limits: What is checked before anything is sent.
        state_folder: Where begun uploads are noted.
        patience: How long a new version is waited for.
    """

    def __init__(
        self,
        owner: str,
        slug: str,
        *,
        credentials: KaggleCredentials,
        presentation: Presentation | None = None,
        limits: KaggleLimits,
        state_folder: Path,
        patience: Patience,
    ) -> None:
        self.url = f"kaggle://{owner}/{slug}"
        self.capabilities = Capabilities(max_object_bytes=limits.file_bytes, publishes_slowly=True)
        self._owner = owner
        self._slug = slug
        self._credentials = credentials
        self._presentation = presentation
        self._limits = limits
        self._state_folder = state_folder
        self._patience = patience
        self._api = KaggleApi(owner, slug, credentials)
        self._transfer = Transfer(sleep=patience.sleep)
        self._files = VersionFiles(self._api, self._transfer, name=self.url, sleep=patience.sleep)
        remote = Remote(
            name=f"{owner}/{slug}",
            api=self._api,
            transfer=self._transfer,
            journal=UploadJournal(state_folder / owner / slug, now=time.time),
            look_up=self._looked_up,
            view_of=self._view_of,
            read=self._read_or_none,
            sizes=self._files.sizes,
        )
        self._publisher = Publisher(remote, presentation=presentation, patience=patience)
        self._view: View | None = None
        self._may_write = False

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        return self._read(key, self._looked_up(), lambda v: self._files.read_whole(key, version=v))

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object, of the version that was current at the last other call."""
        return self._read(
            key,
            self._view or self._looked_up(),
            lambda v: self._files.read(key, version=v, offset=offset, size_bytes=size_bytes),
        )

    def put(self, key: str, body: Body) -> None:
        """Send the object; readers see it with the next `publish`."""
        self._check_may_put(key)
        size_bytes = body_size_bytes(body)
        self._publisher.put(key, io.BytesIO(body) if isinstance(body, bytes) else body, size_bytes)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        check_prefix(prefix)
        for key, place in self._looked_up().objects().items():
            if key.startswith(prefix):
                version = str(place.version)
                yield StoredObject(key=key, size_bytes=place.size_bytes, version=version)

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        check_key(key)
        view = self._looked_up()
        if key in view.places:
            place = view.objects().get(key)
            return place.size_bytes if place else None
        version = view.version_of(key)
        return None if version is None else self._files.find(key, version=version)

    def delete(self, key: str) -> None:
        """Leave the object out from the next `publish` on. Earlier versions go on holding it."""
        check_key(key)
        self._check_may_write()
        self._publisher.delete(key)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Make a version of what was put and swapped, and wait until Kaggle has it ready."""
        if swap is not None:
            self._check_may_put(swap.key)
        self._publisher.publish(swap, message=message, progress=progress)

    def room_bytes(self) -> int | None:
        """Return how many bytes may still be put, going by what Kaggle lists."""
        self._check_may_write()
        remote = self._asked(self._api.dataset)
        # Whether earlier versions count is not known; they are not counted here.
        held_bytes = (remote.size_bytes or 0) if remote else 0
        rooms = []
        if self._limits.dataset_bytes is not None:
            rooms.append(self._limits.dataset_bytes - held_bytes)
        is_private = remote.is_private if remote else not self._wants_public
        if self._limits.account_bytes is not None and is_private:
            rooms.append(self._limits.account_bytes - self._asked(self._api.private_bytes))
        return max(0, min(rooms)) if rooms else None

    def share(self, username: str) -> str:
        """Let a user read the data set; return the page on which that is seen."""
        page = f"{self._api.page}/settings"
        try:
            self._asked(lambda: self._api.invite(username))
        except StoreError as error:
            if error.retryable:
                raise
            raise StoreError(
                f"{self.url} was not shared with {username}: {error.message}",
                remedy=f"Open {page}, and add {username} under Sharing.",
            ) from error
        return page

    def probe(self, progress: Progress) -> tuple[Finding, ...]:
        """Try out what Kaggle does with a tiny private data set of the same owner, deleted then."""
        from sojourn.stores.kaggle_probe import PREFIX, KaggleProbe

        trial = KaggleStore(
            self._owner,
            f"{PREFIX}{secrets.token_hex(6)}",
            credentials=self._credentials,
            limits=self._limits,
            state_folder=self._state_folder,
            patience=self._patience,
        )
        probe = KaggleProbe(
            store=trial, api=trial._api, files=trial._files, transfer=trial._transfer
        )
        return probe.run(progress)

    def _check_may_put(self, key: str) -> None:
        check_key(key)
        if key in (INDEX_NAME, GUIDE_NAME):
            raise StoreError(
                f"{key} is what sojourn itself keeps in {self.url}.", remedy="Use another name."
            )
        self._check_may_write()

    @property
    def _wants_public(self) -> bool:
        return self._presentation is not None and self._presentation.public

    def _read(self, key: str, view: View, read: Callable[[int], bytes]) -> bytes:
        check_key(key)
        version = view.version_of(key)
        try:
            if version is not None:
                return read(version)
        except ObjectNotFoundError:
            pass
        raise ObjectNotFoundError(f"There is no {key} in {self.url}.", remedy="Check the address.")

    def _read_or_none(self, key: str, view: View) -> bytes | None:
        try:
            return self._read(key, view, lambda v: self._files.read_whole(key, version=v))
        except ObjectNotFoundError:
            return None

    def _looked_up(self) -> View:
        """Return what the current version holds, having asked which that is."""
        remote = self._asked(self._api.dataset)
        version = remote.version if remote else 0
        known = self._view
        if known is None or known.version != version:
            known = self._view_of(version)
        self._view = replace(known, versions=remote.versions if remote else None)
        return self._view

    def _view_of(self, version: int) -> View:
        if version == 0:
            return View(version=0, commit=None, places={})
        try:
            data = self._files.read_whole(INDEX_NAME, version=version)
        except ObjectNotFoundError:
            return View(version=version, commit=None, places=self._listed(version))
        index = parse_index(data, where=f"{self.url}/{INDEX_NAME}")
        return View(version=version, commit=index.commit, places=index.settled(version))

    def _listed(self, version: int) -> Mapping[str, Place]:
        """Return the places of the objects of a version that others made."""
        sizes = self._files.sizes(version)
        return {key: Place(version=version, size_bytes=size) for key, size in sizes.items()}

    def _check_may_write(self) -> None:
        """Check once, before anything is sent, that a version can be made.

        Raises:
            AccessDeniedError: there are no credentials, or the data set is somebody else's.
            StoreError: Kaggle takes no data set of this name.
            UsageError: it is there already and should look otherwise.
        """
        if self._may_write:
            return
        if not self._credentials.are_there:
            raise AccessDeniedError(
                f"Writing to {self.url} takes credentials, and none were found.",
                remedy=_NO_CREDENTIALS,
            )
        if self._asked(self._api.dataset) is None:
            self._check_may_create()
        elif self._presentation is not None:
            raise UsageError(
                f"{self.url} is there already; its title, licence and visibility stay as they are.",
                remedy=f"Leave out --title, --license and --public; change them on "
                f"{self._api.page}/settings.",
            )
        self._may_write = True

    def _check_may_create(self) -> None:
        user = self._asked(self._api.username)
        if user is not None and user != self._owner:
            raise AccessDeniedError(
                f"{self.url} is not there, and {user} may not make data sets of {self._owner}'s.",
                remedy=f"Push to kaggle://{user}/{self._slug}.",
            )
        if not _SLUG.fullmatch(self._slug):
            raise StoreError(
                f"Kaggle makes no data set called {self._slug!r}.",
                remedy="Use 3 to 50 lower-case letters, digits and hyphens.",
            )
        title = self._presentation.title if self._presentation else None
        if title is not None and len(title) not in _TITLE_CHARACTERS:
            raise UsageError(
                f"The title {title!r} has {len(title)} characters; Kaggle takes 6 to 50.",
                remedy="Give another --title.",
            )

    def _asked(self, call: Callable[[], T]) -> T:
        return come_back_later(call, sleep=self._patience.sleep)


def open_kaggle(
    rest: str,
    *,
    environment: Mapping[str, str],
    presentation: Presentation | None = None,
    patience: Patience | None = None,
    limits: KaggleLimits | None = None,
) -> KaggleStore:
    """Return the store of a data set on Kaggle. Nothing is contacted yet.

    Args:
        rest: What follows `kaggle://`: OWNER/DATASET.
        environment: Where credentials are looked for.
        presentation: How the data set is shown, if it is yet to be made.
        patience: How long a new version is waited for.
        limits: What is checked before anything is sent; what is known of Kaggle if None.

    Raises:
        StoreError: that names no data set.
        AccessDeniedError: a file with credentials cannot be used.
        MissingPackageError: kagglesdk is not installed.
    """
    named = _NAME.fullmatch(rest)
    if named is None:
        raise StoreError(
            f"{rest!r} names no data set on Kaggle.", remedy="Write kaggle://OWNER/DATASET."
        )
    check_installed()
    return KaggleStore(
        named[1],
        named[2],
        credentials=find_kaggle_credentials(environment),
        presentation=presentation,
        limits=limits or load_limits(),
        state_folder=platformdirs.user_state_path("sojourn", appauthor=False) / "kaggle",
        patience=patience or Patience(),
    )
