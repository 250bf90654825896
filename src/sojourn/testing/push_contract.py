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
from sojourn.errors import ConflictError, StoreError
from sojourn.progress import NoProgress, Progress
from sojourn.stores.wrapping import Wrapper
from sojourn.units import KIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sojourn.stores.base import Body, Store, Swap

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_FILES = 40
_FILE_BYTES = 300 * KIB
# Each file is a shard.
_SIZES = Sizes(
    min_shard_bytes=1, mean_shard_bytes=2, max_shard_bytes=_FILE_BYTES, frame_bytes=64 * KIB
)
# What a shard of one file has beside it: tar's blocks, and what zstd adds to what it cannot pack.
_SHARD_HEAD_BYTES = 4 * KIB
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

    @pytest.mark.parametrize("puts", [0, 1, _FILES // 2, _FILES, _FILES + 2])
    def test_a_push_that_ends_anywhere_changes_nothing_and_is_gone_on_with(
        self,
        connect: Callable[[], Store],
        folder: Path,
        received: Callable[[], int],
        tmp_path: Path,
        puts: int,
    ) -> None:
        """Before the first shard, between two, before README and manifest, before it is published.

        The next push, of another process, sends what is missing and nothing that is there.
        """
        earlier = tmp_path / "earlier"
        earlier.mkdir()
        (earlier / "small").write_text("x")
        before = _push(earlier, connect())
        with pytest.raises(StoreError, match="connection is gone"):
            _push(folder, _Cut(connect(), puts))
        manifest = load_manifest(connect())
        assert manifest.revision == before.revision
        assert not verify_store(manifest, connect(), progress=NoProgress()).problems
        sent_before = received()
        report = _push(folder, connect())
        sent_bytes = received() - sent_before
        manifest = load_manifest(connect())
        assert (manifest.revision, manifest.parent) == (report.revision, before.revision)
        assert not verify_store(manifest, connect(), progress=NoProgress()).problems
        manifest_bytes = len(connect().get(MANIFEST_KEY))
        # A shard that is under way when another cannot be sent is broken off.
        missing = 0 if puts >= _FILES else min(_FILES, _FILES - puts + 1)
        missing_bytes = missing * (_FILE_BYTES + _SHARD_HEAD_BYTES)
        assert sent_bytes < missing_bytes + self.overhead * 2 * manifest_bytes + _TALK_BYTES


def _push(folder: Path, store: Store) -> PushReport:
    return push_folder(folder, store, message="", now=_NOW, progress=NoProgress(), sizes=_SIZES)


class _Before(Wrapper):
    """Something happens in the instant before the manifest is replaced."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        super().__init__(store)
        self._happens = happens

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        self._happens()
        super().publish(swap, message=message, progress=progress)


class _Cut(Wrapper):
    """A store to which the connection is gone after so many objects were put.

    Args:
        store: The store.
        puts: So many.
    """

    def __init__(self, store: Store, puts: int) -> None:
        super().__init__(store)
        self._left = threading.Semaphore(puts)

    def put(self, key: str, body: Body) -> None:
        self._pass()
        super().put(key, body)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        self._pass()
        super().publish(swap, message=message, progress=progress)

    def _pass(self) -> None:
        if not self._left.acquire(blocking=False):
            raise StoreError("The connection is gone.", remedy="Connect.")
