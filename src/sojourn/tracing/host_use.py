"""Looks at this process's memory on the host, and at the loaders' workers that tracing leaves out.

What is seen here is put together with what a rented runtime adds in `sojourn.forecast.host`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import dataloader

from sojourn.forecast.trace import HostUse, LoaderUse

_KIB = 1024
# Of a list of 800,000 dicts of numbers and names: 361 MiB in 5.6 million of CPython's small blocks.
_BYTES_PER_OBJECT = 64
# Where a batch's part says it is: tensors do, and numpy's arrays either do not or say "cpu".
_HOST = (None, "cpu", torch.device("cpu"))
# torch's own, where a loader with workers is given none.
_BATCHES_AHEAD = 2


@dataclass(slots=True, eq=False)
class _Seen:
    """A loader as it was made, and what became of it."""

    workers: int
    batches_ahead: int
    is_persistent: bool
    is_pinned: bool
    batch_bytes: int = 0
    objects_bytes: int = 0


class HostWatch:
    """Watches loaders being made and giving batches. Install it after all that changes loaders."""

    def __init__(self) -> None:
        self._before_bytes = 0
        self._objects = 0
        self._made: weakref.WeakKeyDictionary[Any, _Seen] = weakref.WeakKeyDictionary()
        self._feeding: weakref.WeakKeyDictionary[Any, _Seen] = weakref.WeakKeyDictionary()
        self._all: list[_Seen] = []
        self._workers: dict[int, int] = {}

    def install(self) -> None:
        """Watch for the rest of the process."""
        loader_class: Any = dataloader.DataLoader
        iterator_class: Any = dataloader._BaseDataLoaderIter  # noqa: SLF001 - of all iterators
        made, iterate = loader_class.__init__, loader_class.__iter__
        next_batch = iterator_class.__next__
        signature = inspect.signature(made)

        @functools.wraps(made)
        def init(loader: Any, *args: Any, **kwargs: Any) -> None:
            given = signature.bind(loader, *args, **kwargs).arguments
            made(loader, *args, **kwargs)
            self._made[loader] = _Seen(
                workers=given.get("num_workers") or 0,
                batches_ahead=given.get("prefetch_factor") or _BATCHES_AHEAD,
                is_persistent=bool(given.get("persistent_workers")),
                is_pinned=bool(given.get("pin_memory")),
            )
            key = id(loader.dataset)
            self._workers[key] = max(self._workers.get(key, 0), self._made[loader].workers)

        @functools.wraps(iterate)
        def iterating(loader: Any) -> Any:
            iterator = iterate(loader)
            if (seen := self._made.get(loader)) is not None:
                self._feeding[iterator] = seen
                self._note_start(seen)
            return iterator

        @functools.wraps(next_batch)
        def following(iterator: Any) -> Any:
            batch = next_batch(iterator)
            if (seen := self._feeding.get(iterator)) is not None:
                seen.batch_bytes = max(seen.batch_bytes, _host_bytes(batch))
            return batch

        loader_class.__init__ = init
        loader_class.__iter__ = iterating
        iterator_class.__next__ = following

    def begin(self) -> None:
        """Note what is there before the script begins."""
        self._before_bytes = _status_bytes("VmRSS")
        self._objects = sys.getallocatedblocks()

    def use(self) -> HostUse:
        """Return what was seen so far."""
        return HostUse(
            before_bytes=self._before_bytes,
            loaders=tuple(
                LoaderUse(
                    workers=seen.workers,
                    batches_ahead=seen.batches_ahead if seen.workers else 0,
                    is_persistent=seen.is_persistent and seen.workers > 0,
                    is_pinned=seen.is_pinned,
                    batch_bytes=seen.batch_bytes,
                    objects_bytes=seen.objects_bytes if seen.workers else 0,
                )
                for seen in self._all
            ),
        )

    def workers_of(self, loader: Any) -> int:
        """Return how many workers the script wants for a loader.

        Libraries make another loader of the script's over the same data, by what its attributes
        say; and they say none, as tracing has none.
        """
        return self._workers.get(id(getattr(loader, "dataset", None)), 0)

    def _note_start(self, seen: _Seen) -> None:
        if seen not in self._all:
            self._all.append(seen)
        objects = sys.getallocatedblocks() - self._objects
        seen.objects_bytes = max(seen.objects_bytes, objects * _BYTES_PER_OBJECT)


def peak_bytes() -> int:
    """Return the most that was resident in this process.

    Not what getrusage says, which counts what the process that started this one held by then.
    """
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return next(int(line.split()[1]) * _KIB for line in lines if line.startswith(f"{name}:"))


def _host_bytes(batch: Any) -> int:
    """Return what a batch's tensors and arrays take on the host."""
    leaves = torch.utils._pytree.tree_leaves(batch)  # noqa: SLF001 - torch has no public one
    return sum(
        leaf.nbytes
        for leaf in leaves
        if hasattr(leaf, "nbytes") and getattr(leaf, "device", None) in _HOST
    )
