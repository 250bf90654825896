"""What a push to any store must do, as a suite that a store's own test file plugs into.

    class TestPushToFolder(PushContract):
        guards = False
        @pytest.fixture
        def connect(self, tmp_path): return lambda: open_folder(tmp_path / "store")
        @pytest.fixture
        def received(self, tmp_path): return lambda: bytes_below(tmp_path / "store")

Beside `store_contract`, which is about the verbs alone. Needs pytest.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.manifest import MANIFEST_KEY
from sojourn.dataset.push import PushReport, push_folder
from sojourn.dataset.readme import README
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.dataset.verifying import verify_store
from sojourn.errors import ConflictError
from sojourn.progress import NoProgress, Progress
from sojourn.stores.base import stage, swap
from sojourn.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sojourn.stores.base import Body, Capabilities, Store, StoredObject

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_FILES = 40
_FILE_BYTES = 300 * KIB
# Each file is a shard.
_SIZES = Sizes(
    min_shard_bytes=1, mean_shard_bytes=2, max_shard_bytes=_FILE_BYTES, frame_bytes=64 * KIB
)
# Heads of requests, signatures, and questions in JSON, of some thirty requests.
_TALK_BYTES = 60_000


class PushContract:
    """Derive, and give the fixtures `connect` and `received`.

    Attributes:
        guards: Of two pushes that end in the same instant one is refused; else the later counts.
        overhead: How many bytes are sent for each of a manifest: 4/3 where it goes as base64.
    """

    guards = True
    overhead = 1.0

    @pytest.fixture
    def connect(self) -> Callable[[], Store]:
        """Return what opens a store, empty at first: the same with each call, as others do."""
        raise NotImplementedError

    @pytest.fixture
    def received(self) -> Callable[[], int]:
        """Return what tells how many bytes reached the store so far."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, connect: Callable[[], Store]) -> Store:
        """Return the store as one of its users opens it."""
        return connect()

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return a folder with forty files that cannot be compressed."""
        folder = tmp_path / "forty"
        folder.mkdir()
        dice = random.Random(5)  # noqa: S311 - the same files each time
        for number in range(_FILES):
            (folder / f"{number:02}.bin").write_bytes(dice.randbytes(_FILE_BYTES))
        return folder

    def test_what_is_pushed_is_there_whole_and_is_not_sent_again(
        self, store: Store, folder: Path, received: Callable[[], int], tmp_path: Path
    ) -> None:
        """Every digest matches, and what is extracted is what was pushed."""
        report = _push(folder, store)
        assert report.shards_sent == _FILES
        manifest = load_manifest(store)
        assert not verify_store(manifest, store, progress=NoProgress()).problems
        Dataset(manifest, store).extract(tmp_path / "back")
        for path in folder.iterdir():
            assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
        before = received()
        assert _push(folder, store).unchanged
        assert received() - before < _TALK_BYTES

    def test_one_changed_shard_of_forty_is_all_that_is_sent(
        self, store: Store, folder: Path, received: Callable[[], int]
    ) -> None:
        """That shard, the manifest under its two keys, and the README at most."""
        _push(folder, store)
        (folder / "07.bin").write_bytes(random.Random(6).randbytes(_FILE_BYTES))  # noqa: S311
        before = received()
        report = _push(folder, store)
        sent_bytes = received() - before
        manifest_bytes = len(store.get(MANIFEST_KEY))
        assert (report.shards_sent, report.shards_reused) == (1, _FILES - 1)
        assert report.sent_bytes > _FILE_BYTES + 2 * manifest_bytes
        shard_bytes = report.sent_bytes - 2 * manifest_bytes - len(README)
        assert sent_bytes >= shard_bytes + manifest_bytes
        text_bytes = 2 * manifest_bytes + len(README)
        assert sent_bytes <= shard_bytes + self.overhead * text_bytes + _TALK_BYTES
        assert sent_bytes < _FILES * _FILE_BYTES / 10

    def test_of_two_pushes_at_once_one_wins_and_none_corrupts(
        self, store: Store, connect: Callable[[], Store], folder: Path, tmp_path: Path
    ) -> None:
        """Both have looked at what is there before either replaces it."""
        first = _push(folder, store)
        both = threading.Barrier(2, timeout=60)

        def push(name: str) -> PushReport | ConflictError:
            mine = tmp_path / name
            mine.mkdir()
            for path in folder.iterdir():
                (mine / path.name).hardlink_to(path)
            (mine / "new.bin").write_bytes(name.encode() * 1000)
            try:
                return _push(mine, _Before(connect(), both.wait))
            except ConflictError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(push, ("one", "two")))
        won = [end for end in ends if isinstance(end, PushReport)]
        lost = [end for end in ends if isinstance(end, ConflictError)]
        # Without a guard the second is refused as well if it looks after the first has written.
        assert len(won) == 1 or (len(won) == 2 and not self.guards)  # noqa: PLR2004
        for error in lost:
            assert "Somebody else pushed" in str(error)
            assert won[0].revision in str(error)
        assert load_manifest(store).revision in {report.revision for report in won}
        for report in [first, *won]:
            manifest = load_manifest(store, revision=report.revision)
            assert not verify_store(manifest, store, progress=NoProgress()).problems

    def test_who_was_overtaken_pushes_again_and_sends_no_shard_twice(
        self,
        connect: Callable[[], Store],
        folder: Path,
        received: Callable[[], int],
        tmp_path: Path,
    ) -> None:
        """What went before the refusal is there still."""
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        (theirs / "small").write_text("x")
        mine = _Before(connect(), lambda: _push(theirs, connect()))
        with pytest.raises(ConflictError, match="Somebody else pushed"):
            _push(folder, mine)
        before = received()
        report = _push(folder, connect())
        assert report.parent == load_manifest(connect(), revision=report.parent).revision
        manifest_bytes = len(connect().get(MANIFEST_KEY))
        assert received() - before < self.overhead * 2 * manifest_bytes + 2 * _TALK_BYTES


def _push(folder: Path, store: Store) -> PushReport:
    return push_folder(folder, store, message="", now=_NOW, progress=NoProgress(), sizes=_SIZES)


class _Passing:
    """Does what another store does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def commit(self, *, message: str, progress: Progress) -> None:
        self._store.commit(message=message, progress=progress)

    def room_bytes(self) -> int | None:
        return self._store.room_bytes()

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        return self._store.get_range(key, offset=offset, size_bytes=size_bytes)

    def put(self, key: str, body: Body) -> None:
        self._store.put(key, body)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return self._store.list(prefix)

    def find(self, key: str) -> int | None:
        return self._store.find(key)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def stage(self, key: str, body: Body) -> None:
        stage(self._store, key, body)

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        swap(self._store, key, body, expected=expected)


class _Before(_Passing):
    """Something happens in the instant before the manifest is replaced."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        super().__init__(store)
        self._happens = happens

    def swap(self, key: str, body: bytes, *, expected: bytes | None) -> None:
        self._happens()
        super().swap(key, body, expected=expected)
