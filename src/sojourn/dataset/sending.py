"""Send packed shards in the background, few at a time, and only those that are not there yet."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from sojourn.dataset.manifest import SHARDS_PREFIX
from sojourn.errors import StoreError
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from sojourn.dataset.manifest import Shard
    from sojourn.dataset.packing import PackedShard
    from sojourn.stores.base import Store

# Each is sent in parts that are under way side by side, so that few shards fill a link.
_AT_ONCE = 2


class Sender:
    """Sends shards while the next ones are packed. Leaving it waits for what is under way.

    Args:
        store: Where to. Readers see what is sent once this very store has published it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_AT_ONCE, "send")
        self._under_way: dict[Future[None], BinaryIO] = {}
        self._stopped = threading.Event()
        self._stored: dict[str, int] | None = None
        self.sent_shards = 0
        self.sent_bytes = 0

    def is_stored(self, shard: Shard) -> bool:
        """Tell whether the store holds the shard already, going by its key and size."""
        if self._store.capabilities.lists_slowly:
            return self._store.find(shard.key) == shard.size_bytes
        if self._stored is None:
            self._stored = {o.key: o.size_bytes for o in self._store.list(SHARDS_PREFIX)}
        return self._stored.get(shard.key) == shard.size_bytes

    def wait_for_room(self) -> None:
        """Wait until fewer than two shards are under way, so that few fill the disk.

        Raises:
            StoreError: one of them could not be sent.
        """
        while len(self._under_way) >= _AT_ONCE:
            for future in wait(self._under_way, return_when=FIRST_COMPLETED).done:
                del self._under_way[future]
                future.result()

    def send(self, packed: PackedShard) -> None:
        """Begin to send a shard if the store does not hold it; closes its file in the end.

        Raises:
            StoreError: the store takes no object of this size.
        """
        shard = packed.shard
        limit_bytes = self._store.capabilities.max_object_bytes
        if self.is_stored(shard):
            packed.file.close()
            return
        if limit_bytes is not None and shard.size_bytes > limit_bytes:
            packed.file.close()
            raise StoreError(
                f"{self._store.url} takes objects of up to {format_bytes(limit_bytes)}, and a "
                f"shard has {format_bytes(shard.size_bytes)}.",
                remedy="Split the largest file of the folder.",
            )
        self.sent_shards += 1
        self.sent_bytes += shard.size_bytes
        self._under_way[self._pool.submit(self._put, packed)] = packed.file

    def _put(self, packed: PackedShard) -> None:
        with packed.file as file:
            body = cast("BinaryIO", _UntilStopped(file, self._stopped))
            self._store.put(packed.shard.key, body)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stopped.set()
        self._pool.shutdown(cancel_futures=error is not None)
        for file in self._under_way.values():
            file.close()
        if error is None:
            for future in self._under_way:
                future.result()


class _UntilStopped:
    """A file that can be read until somebody interrupts: a large shard may take long to send."""

    def __init__(self, file: BinaryIO, stopped: threading.Event) -> None:
        self._file = file
        self._stopped = stopped

    def read(self, size: int = -1) -> bytes:
        if self._stopped.is_set():
            raise OSError("the push was stopped")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
