"""What was put, on its way to a version of a Kaggle data set.

put → sent unless it was, token noted → commit: index → version → waited for → looked at
"""

from __future__ import annotations

import io
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from sojourn.stores.base import Presentation
from sojourn.stores.kaggle_busy import come_back_later
from sojourn.stores.kaggle_transfer import ExpiredAddressError
from sojourn.stores.kaggle_uploads import identity_of
from sojourn.stores.kaggle_versions import (
    GUIDE_NAME,
    INDEX_NAME,
    Index,
    Place,
    dump_index,
    guide,
    is_unpacked,
)
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sojourn.progress import Progress
    from sojourn.stores.kaggle_api import KaggleApi
    from sojourn.stores.kaggle_transfer import Transfer
    from sojourn.stores.kaggle_uploads import UploadJournal
    from sojourn.stores.kaggle_versions import View

T = TypeVar("T")

# A version of many gigabytes takes Kaggle minutes; after this the user decides.
READY_WITHIN_S = 30 * 60.0
_FIRST_POLL_S = 1.0
_LONGEST_POLL_S = 15.0

_FAILED = frozenset({"failed", "deleted"})
_NOT_THERE = "not there"
_NO_VERSION = frozenset({*_FAILED, _NOT_THERE})

TERMS = (
    "Kaggle's data sets are for research and personal use, not the main storage of a web service: "
    "https://www.kaggle.com/terms"
)
_CARD = (
    "A data set in shards: tar archives, compressed with zstd, made with sojourn. "
    "`pip install sojourn` and `sojourn pull kaggle://{name}` bring it back, byte for byte; "
    "README.md says how to open it with plain tools, and VERSIONS.md which versions hold it. "
    "Give it a description of what is in it, where it is from and who may use it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A data set on Kaggle, as publishing needs it.

    Attributes:
        name: OWNER/DATASET.
        api: Is asked.
        transfer: Sends.
        journal: Notes what was sent.
        look_up: Returns what the current version holds.
        sizes: Returns how large each file of a version is.
    """

    name: str
    api: KaggleApi
    transfer: Transfer
    journal: UploadJournal
    look_up: Callable[[], View]
    sizes: Callable[[int], Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a new version is waited for, and by which clock.

    Attributes:
        ready_within_s: Seconds until the user is told.
        clock: Seconds that only go forward.
        sleep: Waits so many seconds.
    """

    ready_within_s: float = READY_WITHIN_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """An object that was sent: its token, its size, and what its content is known by."""

    token: str
    size_bytes: int
    identity: str


@dataclass(slots=True, kw_only=True)
class _Staged:
    """What was put (None: deleted) since the last commit, and the last attempt to commit it."""

    objects: dict[str, _Sent | None] = field(default_factory=dict)
    attempt: str | None = None


class Publisher:
    """Sends objects and makes versions of them. May be used from several threads at once."""

    def __init__(
        self, remote: Remote, *, presentation: Presentation | None, patience: Patience
    ) -> None:
        self._remote = remote
        self._presentation = presentation or Presentation()
        self._patience = patience
        self._lock = threading.Lock()
        self._commit_lock = threading.Lock()
        self._staged = _Staged()

    def put(self, key: str, file: BinaryIO, size_bytes: int) -> None:
        """Send an object, unless its content was sent before and is in no version yet."""
        identity = identity_of(key, file, size_bytes)
        token = self._send(key, file, size_bytes, identity)
        with self._lock:
            self._staged.objects[key] = _Sent(token=token, size_bytes=size_bytes, identity=identity)

    def delete(self, key: str) -> None:
        """Leave an object out from the next commit on."""
        with self._lock:
            self._staged.objects[key] = None

    def commit(self, *, message: str, progress: Progress) -> None:
        """Make a version of what was put and deleted; nothing if that changes nothing.

        Raises:
            StoreError: Kaggle refused, failed, or takes too long. What was sent is kept.
        """
        with self._commit_lock:
            with self._lock:
                staged, self._staged = self._staged, _Staged()
            try:
                self._commit(staged, message, progress)
            except BaseException:
                with self._lock:
                    # What was put meanwhile is newer.
                    staged.objects.update(self._staged.objects)
                    self._staged = staged
                raise
            self._remote.journal.forget(s.identity for s in staged.objects.values() if s)

    def _commit(self, staged: _Staged, message: str, progress: Progress) -> None:
        if not staged.objects:
            return
        if staged.attempt is not None and self._status() not in _NO_VERSION:
            # It seemed to fail; it may have gone well all the same.
            self._wait_until_ready(progress)
            if self._remote.look_up().commit == staged.attempt:
                return
        before = self._remote.look_up()
        places = before.objects()
        for key, sent in staged.objects.items():
            places.pop(key, None)
            if sent is not None:
                places[key] = Place(version=None, size_bytes=sent.size_bytes)
        if places != before.objects():
            self._publish(staged, places, before, message, progress)

    def _publish(
        self,
        staged: _Staged,
        places: dict[str, Place],
        before: View,
        message: str,
        progress: Progress,
    ) -> None:
        index = Index(commit=secrets.token_hex(8), places=places)
        tokens = {key: sent.token for key, sent in staged.objects.items() if sent is not None}
        own = {INDEX_NAME: dump_index(index), GUIDE_NAME: guide(self._remote.name, index)}
        for name, data in own.items():
            tokens[name] = self._send_anew(name, io.BytesIO(data), len(data))
        staged.attempt = index.commit
        self._make_version(tokens, before, message, progress)
        self._wait_until_ready(progress, after=before.version)
        self._check_all_came(index, tokens)

    def _make_version(
        self, tokens: Mapping[str, str], before: View, message: str, progress: Progress
    ) -> None:
        api = self._remote.api
        if before.version:
            self._asked(lambda: api.create_version(tokens, notes=message))
            return
        progress.note(TERMS)
        card = _CARD.format(name=self._remote.name)
        presentation = self._presentation
        self._asked(lambda: api.create(tokens, presentation=presentation, description=card))

    def _send(self, key: str, file: BinaryIO, size_bytes: int, identity: str) -> str:
        """Send a file unless it was sent; go on with one that was begun. Return its token."""
        journal = self._remote.journal
        known = journal.find(identity)
        if known is not None and known.complete:
            return known.token
        if known is not None:
            try:
                self._remote.transfer.send(known.url, file, size_bytes=size_bytes, resume=True)
            except ExpiredAddressError:
                journal.forget([identity])
            else:
                journal.note(identity, token=known.token, url=known.url, complete=True)
                return known.token
        return self._send_anew(key, file, size_bytes, identity=identity)

    def _send_anew(
        self, key: str, file: BinaryIO, size_bytes: int, *, identity: str | None = None
    ) -> str:
        remote = self._remote
        name = key.rpartition("/")[2]
        begun = self._asked(lambda: remote.api.start_upload(name, size_bytes))
        if identity is not None:
            remote.journal.note(identity, token=begun.token, url=begun.url, complete=False)
        try:
            remote.transfer.send(begun.url, file, size_bytes=size_bytes, resume=False)
        except ExpiredAddressError as error:
            remote.journal.forget([identity] if identity else [])
            raise StoreError(
                f"Kaggle's storage did not take {key}.", remedy="Run it again."
            ) from error
        if identity is not None:
            remote.journal.note(identity, token=begun.token, url=begun.url, complete=True)
        return begun.token

    def _wait_until_ready(self, progress: Progress, *, after: int = 0) -> None:
        """Wait until Kaggle has the newest version ready, and it is later than `after`.

        Raises:
            StoreError: Kaggle failed to, or takes too long.
        """
        patience, api = self._patience, self._remote.api
        give_up_at = patience.clock() + patience.ready_within_s
        wait_s = _FIRST_POLL_S
        with progress.task("wait for Kaggle", unit="steps") as task:
            while True:
                status = self._status()
                if status in _FAILED:
                    raise StoreError(
                        f"Kaggle made no version of kaggle://{self._remote.name}: it says "
                        f"{status!r}.",
                        remedy=f"Look at {api.page}, then push again.",
                    )
                remote = self._asked(api.dataset) if status == "ready" else None
                if remote is not None and remote.version > after and self._lists(remote.version):
                    return
                if patience.clock() + wait_s > give_up_at:
                    raise self._late(status)
                patience.sleep(wait_s)
                task.advance(1)
                wait_s = min(_LONGEST_POLL_S, 1.5 * wait_s)

    def _lists(self, version: int) -> bool:
        """Tell whether a version can be looked at: for some seconds a new one is not found."""
        try:
            self._remote.sizes(version)
        except ObjectNotFoundError:
            return False
        return True

    def _status(self) -> str:
        try:
            return self._asked(self._remote.api.status)
        except (ObjectNotFoundError, AccessDeniedError):
            # A data set that was made this moment is not found everywhere yet.
            return _NOT_THERE

    def _late(self, status: str) -> StoreError:
        waited = format_duration(self._patience.ready_within_s)
        return StoreError(
            f"Kaggle has not made the version of kaggle://{self._remote.name} ready within "
            f"{waited}; it says {status!r}.",
            remedy=f"Look at {self._remote.api.page}: it may still appear, or be over your quota "
            "(https://www.kaggle.com/work). Then push again; what was sent is not sent again.",
        )

    def _check_all_came(self, index: Index, tokens: Mapping[str, str]) -> None:
        """Check that the new version has all that it was made of.

        Raises:
            StoreError: something is missing.
        """
        view = self._remote.look_up()
        if view.commit != index.commit:
            # Somebody made a version after this one; then theirs counts, and is whole.
            return
        there = self._remote.sizes(view.version)
        missing = [key for key in tokens if key not in there and not is_unpacked(key, there)]
        if missing:
            raise StoreError(
                f"{len(missing)} of {len(tokens)} files are missing in version {view.version} of "
                f"kaggle://{self._remote.name}, though Kaggle took them: {missing[0]} is one.",
                remedy=f"Look at {self._remote.api.page}, then push again.",
            )

    def _asked(self, call: Callable[[], T]) -> T:
        return come_back_later(call, sleep=self._patience.sleep)
