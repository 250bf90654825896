import io
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from sojourn.dataset.manifest import Frame, Shard, digest_of, shard_key
from sojourn.dataset.packing import PackedShard
from sojourn.dataset.sending import Sender
from sojourn.dataset.staging import staging_folder
from sojourn.errors import StoreUnavailableError
from sojourn.stores.base import Body
from sojourn.stores.objects import open_memory
from sojourn.testing.faults import Fault, FaultyStore, unavailable


def _packed(data: bytes) -> PackedShard:
    digest = digest_of(data)
    frames = (Frame(size_bytes=len(data), raw_bytes=len(data)),)
    shard = Shard(key=shard_key(digest), size_bytes=len(data), digest=digest, frames=frames)
    return PackedShard(shard=shard, file=io.BytesIO(data))


class Endless(FaultyStore):
    """Reads what it is given over and over, as a very slow link would."""

    def __init__(self) -> None:
        super().__init__(open_memory())
        self.begun = threading.Event()
        self.reads = 0

    def put(self, key: str, body: Body) -> None:
        assert not isinstance(body, bytes)
        assert key
        self.begun.set()
        self._read(body)

    def _read(self, body: BinaryIO) -> None:
        for self.reads in range(100_000_000):
            if not body.read(1):
                body.seek(0)


def _send_and_interrupt(store: Endless, packed: PackedShard) -> None:
    with Sender(store) as sender:
        sender.send(packed)
        store.begun.wait()
        raise KeyboardInterrupt


def test_an_interrupt_stops_what_is_being_sent() -> None:
    store = Endless()
    packed = _packed(b"shard")
    with pytest.raises(KeyboardInterrupt):
        _send_and_interrupt(store, packed)
    assert store.reads < 99_999_999
    assert packed.file.closed


def test_leaving_waits_for_what_is_under_way_and_tells_what_failed() -> None:
    memory = open_memory()
    packed = _packed(b"shard")
    with Sender(memory) as sender:
        sender.send(packed)
    assert memory.get(packed.shard.key) == b"shard"
    store = FaultyStore(memory, Fault(verb="put", error=unavailable()))
    with pytest.raises(StoreUnavailableError), Sender(store) as sender:
        sender.send(_packed(b"another"))


def test_a_shard_that_is_there_is_not_sent() -> None:
    store = FaultyStore(open_memory())
    with Sender(store) as sender:
        sender.send(_packed(b"shard"))
    with Sender(store) as again:
        again.send(_packed(b"shard"))
    assert (again.sent_shards, again.sent_bytes) == (0, 0)
    assert [verb for verb, _ in store.calls].count("put") == 1


def test_a_scratch_folder_in_use_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as first:
        (first / "part").write_text("x")
        with staging_folder(tmp_path) as second:
            assert first != second
            assert (first / "part").exists()
        assert not second.exists()
    assert list(tmp_path.iterdir()) == []
