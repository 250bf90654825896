"""The last few decoded frames, so that files that share one cost one request."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.dataset.frames import FrameId, FrameSource


class FrameCache:
    """Decoded frames by use; may be used from several threads at once, and in forked processes.

    Args:
        source: Where frames come from.
        keep: How many to hold; each is 32 MiB as they are written by default.
    """

    def __init__(self, source: FrameSource, *, keep: int) -> None:
        self._source = source
        self.keep = keep
        self._forget()

    def keep_at_least(self, count: int) -> None:
        """Hold so many frames from now on, if it were fewer."""
        self.keep = max(self.keep, count)

    def raw(self, frame_id: FrameId) -> bytes:
        """Return a decoded frame, fetching it unless it is here or on its way.

        Raises:
            IntegrityError: the store holds something else than the manifest says.
        """
        if self._process != os.getpid():
            self._forget()
        with self._lock:
            future = self._frames.pop(frame_id, None)
            is_new = future is None
            future = future or Future()
            self._frames[frame_id] = future  # the newest is last
            while len(self._frames) > self.keep:
                del self._frames[next(iter(self._frames))]
        if is_new:
            self._fill(frame_id, future)
        return future.result()

    def _forget(self) -> None:
        # In a forked process nobody brings what was on its way, nor releases the lock.
        self._lock = threading.Lock()
        self._frames: dict[FrameId, Future[bytes]] = {}
        self._process = os.getpid()

    def _fill(self, frame_id: FrameId, future: Future[bytes]) -> None:
        try:
            future.set_result(self._source.fetch(frame_id)[1])
        except BaseException as error:  # whoever waits for it must hear of it
            with self._lock:
                self._frames.pop(frame_id, None)
            future.set_exception(error)
            raise
