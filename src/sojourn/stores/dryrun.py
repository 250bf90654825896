"""A store that is read as it is and written to in words only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.stores.base import body_size_bytes, check_key, get_or_none, needs_write
from sojourn.stores.wrapping import Wrapper

if TYPE_CHECKING:
    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Swap


class DryRun(Wrapper):
    """Reads from a store; what is put is measured and dropped, what is deleted stays."""

    def put(self, key: str, body: Body) -> None:
        """Check what would be sent, and send nothing."""
        check_key(key)
        body_size_bytes(body)

    def delete(self, key: str) -> None:
        """Leave the object where it is."""
        check_key(key)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Check what would be replaced, and replace nothing."""
        del message, progress
        if swap is not None:
            check_key(swap.key)
            needs_write(swap, held=get_or_none(self._store, swap.key), url=self.url)
