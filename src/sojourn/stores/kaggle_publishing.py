"""What was put, on its way to a version of a Kaggle data set.

    put → sent unless it was, token noted
    publish → what is current, and what is swapped, looked at → index → version → waited for

Kaggle makes a version whatever came before it: nothing can be made dependent on what is current. So
who finds that others made versions between the look and their own takes these in afterwards, with
one more version, which holds no more than an index. Both find then what they sent; and of two who
swapped the same object the one who was first keeps it, and the other is told.
"""

from __future__ import annotations

import io
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.stores.base import Presentation, changed_meanwhile, needs_write
from sojourn.stores.kaggle_busy import come_back_later
from sojourn.stores.kaggle_readiness import Readiness
from sojourn.stores.kaggle_transfer import ExpiredAddressError
from sojourn.stores.kaggle_uploads import identity_of
from sojourn.stores.kaggle_versions import (
    GUIDE_NAME,
    INDEX_NAME,
    Index,
    Place,
    dump_index,
    first_to_change,
    guide,
    is_unpacked,
    merge,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sojourn.progress import Progress
    from sojourn.stores.base import Swap
    from sojourn.stores.kaggle_api import KaggleApi
    from sojourn.stores.kaggle_readiness import Patience
    from sojourn.stores.kaggle_transfer import Transfer
    from sojourn.stores.kaggle_uploads import UploadJournal
    from sojourn.stores.kaggle_versions import View

T = TypeVar("T")

# How often versions of others are taken in that came meanwhile.
_MOST_MERGES = 8

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
        view_of: Returns what a version holds.
        read: Returns an object's bytes, going by what a version holds; None if it is not there.
        sizes: Returns how large each file of a version is.
    """

    name: str
    api: KaggleApi
    transfer: Transfer
    journal: UploadJournal
    look_up: Callable[[], View]
    view_of: Callable[[int], View]
    read: Callable[[str, View], bytes | None]
    sizes: Callable[[int], Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """An object that was sent: its token, its size, and what its content is known by."""

    token: str
    size_bytes: int
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A version that was asked for: its index, what came before it, and what it publishes.

    Attributes:
        index: Where all objects are.
        before: What the version before it held.
        changes: What was put (None: deleted), and what was swapped.
        swapped: The key of that; None if nothing was.
    """

    index: Index
    before: View
    changes: Mapping[str, _Sent | None]
    swapped: str | None


@dataclass(slots=True, kw_only=True)
class _Staged:
    """What was put (None: deleted) since it was published, and the last attempt to publish it."""

    objects: dict[str, _Sent | None] = field(default_factory=dict)
    attempt: _Attempt | None = None


class Publisher:
    """Sends objects and makes versions of them. May be used from several threads at once."""

    def __init__(
        self, remote: Remote, *, presentation: Presentation | None, patience: Patience
    ) -> None:
        self._remote = remote
        self._url = f"kaggle://{remote.name}"
        self._presentation = presentation or Presentation()
        self._patience = patience
        self._lock = threading.Lock()
        self._publish_lock = threading.Lock()
        self._staged = _Staged()
        self._readiness = Readiness(
            name=remote.name, api=remote.api, sizes=remote.sizes, patience=patience
        )

    def put(self, key: str, file: BinaryIO, size_bytes: int) -> None:
        """Send an object, unless its content was sent before and is in no version yet."""
        sent = self._sent(key, file, size_bytes)
        with self._lock:
            self._staged.objects[key] = sent

    def delete(self, key: str) -> None:
        """Leave an object out from the next version on."""
        with self._lock:
            self._staged.objects[key] = None

    def publish(self, swap: Swap | None, *, message: str, progress: Progress) -> None:
        """Make a version of what was put, deleted and swapped; nothing if that changes nothing.

        Raises:
            ConflictError: what is swapped holds something else than is expected.
            StoreError: Kaggle refused, failed, or takes too long. What was sent is kept.
        """
        with self._publish_lock:
            with self._lock:
                staged, self._staged = self._staged, _Staged()
            try:
                published, overtaken = self._publish(staged, swap, message, progress)
            except BaseException:
                with self._lock:
                    # What was put meanwhile is newer.
                    staged.objects.update(self._staged.objects)
                    self._staged = staged
                raise
            self._remote.journal.forget(sent.identity for sent in published.values() if sent)
            if overtaken is not None:
                raise changed_meanwhile(overtaken, url=self._url)

    def _publish(
        self, staged: _Staged, swap: Swap | None, message: str, progress: Progress
    ) -> tuple[dict[str, _Sent | None], str | None]:
        """Return what was published, and the key of what somebody else swapped first."""
        published = self._what_came_of(staged.attempt, message, progress)
        changes = {
            key: sent
            for key, sent in staged.objects.items()
            if key not in published or published[key] is not sent
        }
        before = self._remote.look_up()
        swapped = swap.key if swap and self._is_still_to_be_swapped(swap, before) else None
        if swap is not None and swapped is not None:
            changes[swapped] = self._sent(swapped, io.BytesIO(swap.body), len(swap.body))
        places = before.objects()
        for key, sent in changes.items():
            places.pop(key, None)
            if sent is not None:
                places[key] = Place(version=None, size_bytes=sent.size_bytes)
        if places == before.objects():
            return published | changes, None
        index = Index(commit=secrets.token_hex(8), places=places)
        attempt = _Attempt(index=index, before=before, changes=changes, swapped=swapped)
        staged.attempt = attempt
        self._make(index, _tokens(changes), before, message, progress)
        return published | changes, self._take_in_others(attempt, message, progress)

    def _what_came_of(
        self, attempt: _Attempt | None, message: str, progress: Progress
    ) -> dict[str, _Sent | None]:
        """Return what an attempt that seemed to fail published all the same."""
        if attempt is None or self._readiness.has_no_version():
            return {}
        self._readiness.wait(progress)
        _, own = self._between(attempt, self._remote.look_up())
        if own is None:
            return {}
        # What somebody else swapped first is seen when that is looked at.
        self._take_in_others(attempt, message, progress)
        return dict(attempt.changes)

    def _is_still_to_be_swapped(self, swap: Swap, view: View) -> bool:
        held = self._remote.read(swap.key, view)
        return needs_write(swap, held=held, url=self._url)

    def _make(
        self,
        index: Index,
        tokens: Mapping[str, str],
        before: View,
        message: str,
        progress: Progress,
    ) -> None:
        """Make a version, and wait until it is there and whole."""
        all_tokens = dict(tokens)
        own = {INDEX_NAME: dump_index(index), GUIDE_NAME: guide(self._remote.name, index)}
        for name, data in own.items():
            all_tokens[name] = self._send_anew(name, io.BytesIO(data), len(data))
        self._make_version(all_tokens, before, message, progress)
        self._readiness.wait(progress, after=before.version)
        self._check_all_came(index, all_tokens)

    def _take_in_others(self, attempt: _Attempt, message: str, progress: Progress) -> str | None:
        """Take in the versions that others made since this one began, where it left them out.

        Returns:
            The key of what was swapped, if somebody else had swapped it: theirs stays.

        Raises:
            StoreUnavailableError: others make versions without a pause.
        """
        key, overtaken = attempt.swapped, None
        for _ in range(_MOST_MERGES):
            current = self._remote.look_up()
            others, own = self._between(attempt, current)
            places = current.objects()
            for other in others:
                places = merge(places, base=attempt.before.places, other=other.places)
            first = first_to_change(key, others, base=attempt.before.places) if key else None
            if key is not None and first is not None and own is not None:
                overtaken = key
                if places.get(key) == own.places.get(key):
                    places[key] = first
            if places == current.objects():
                return overtaken
            index = Index(commit=secrets.token_hex(8), places=places)
            attempt = _Attempt(index=index, before=current, changes={}, swapped=key)
            self._make(index, {}, current, message, progress)
        raise StoreUnavailableError(
            f"Others push to {self._url} all the time.", remedy="Push again when they are done."
        )

    def _between(self, attempt: _Attempt, current: View) -> tuple[list[View], View | None]:
        """Return the versions that came before that of an attempt, and that one if it is there."""
        others: list[View] = []
        for version in range(attempt.before.version + 1, current.version + 1):
            if current.versions is not None and version not in current.versions:
                continue
            view = current if version == current.version else self._remote.view_of(version)
            if view.commit == attempt.index.commit:
                return others, view
            # What somebody sent with another program holds what it holds, and says nothing of it.
            others += [view] if view.commit else []
        return [], None

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

    def _sent(self, key: str, file: BinaryIO, size_bytes: int) -> _Sent:
        identity = identity_of(key, file, size_bytes)
        token = self._send(key, file, size_bytes, identity)
        return _Sent(token=token, size_bytes=size_bytes, identity=identity)

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


def _tokens(changes: Mapping[str, _Sent | None]) -> dict[str, str]:
    return {key: sent.token for key, sent in changes.items() if sent is not None}
