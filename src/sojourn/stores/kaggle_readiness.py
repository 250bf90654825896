"""Waiting until Kaggle has a new version ready."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from sojourn.stores.kaggle_busy import come_back_later
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sojourn.progress import Progress
    from sojourn.stores.kaggle_api import KaggleApi

# A version of many gigabytes takes Kaggle minutes; after this the user decides.
READY_WITHIN_S = 30 * 60.0
_FIRST_POLL_S = 1.0
_LONGEST_POLL_S = 15.0

_FAILED = frozenset({"failed", "deleted"})
_NOT_THERE = "not there"
_NO_VERSION = frozenset({*_FAILED, _NOT_THERE})


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
class Readiness:
    """How far the newest version of a data set is.

    Attributes:
        name: OWNER/DATASET.
        api: Is asked.
        sizes: Returns how large each file of a version is.
        patience: How long a version is waited for.
    """

    name: str
    api: KaggleApi
    sizes: Callable[[int], Mapping[str, int]]
    patience: Patience

    def has_no_version(self) -> bool:
        """Tell whether nothing came of the newest attempt to make one."""
        return self._status() in _NO_VERSION

    def wait(self, progress: Progress, *, after: int = 0) -> None:
        """Wait until Kaggle has the newest version ready, and it is later than `after`.

        Raises:
            StoreError: Kaggle failed to, or takes too long.
        """
        patience = self.patience
        give_up_at = patience.clock() + patience.ready_within_s
        wait_s = _FIRST_POLL_S
        with progress.task("wait for Kaggle", unit="steps") as task:
            while True:
                status = self._status()
                if status in _FAILED:
                    raise StoreError(
                        f"Kaggle made no version of kaggle://{self.name}: it says {status!r}.",
                        remedy=f"Look at {self.api.page}, then push again.",
                    )
                if status == "ready" and self._is_listed_after(after):
                    return
                if patience.clock() + wait_s > give_up_at:
                    raise self._late(status)
                patience.sleep(wait_s)
                task.advance(1)
                wait_s = min(_LONGEST_POLL_S, 1.5 * wait_s)

    def _is_listed_after(self, version: int) -> bool:
        """Tell whether a later version can be looked at, which for some seconds is not found."""
        remote = come_back_later(self.api.dataset, sleep=self.patience.sleep)
        if remote is None or remote.version <= version:
            return False
        try:
            self.sizes(remote.version)
        except ObjectNotFoundError:
            return False
        return True

    def _status(self) -> str:
        try:
            return come_back_later(self.api.status, sleep=self.patience.sleep)
        except (ObjectNotFoundError, AccessDeniedError):
            # A data set that was made this moment is not found everywhere yet.
            return _NOT_THERE

    def _late(self, status: str) -> StoreError:
        waited = format_duration(self.patience.ready_within_s)
        return StoreError(
            f"Kaggle has not made the version of kaggle://{self.name} ready within {waited}; it "
            f"says {status!r}.",
            remedy=f"Look at {self.api.page}: it may still appear, or be over your quota "
            "(https://www.kaggle.com/work). Then push again; what was sent is not sent again.",
        )
