"""The batches that DataLoaders give: who feeds training, how many there are, and what each costs.

What a batch costs is measured twice. While the script is traced, every operator goes through
tracing, which makes loading look dearer. So once the trace is there, a few more batches are fetched
with all that out of the way; the trace ends before, and knows nothing of it.
"""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules import module as module_hooks
from torch.utils.data import dataloader

from sojourn.forecast.schedule import Loading
from sojourn.tracing.clock import Clock, Cost, typical_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.tracing.stack import RunningLoop, Stack

# Seconds of its own, and on the clock where others use the machine too, and batches, that are spent
# on fetching more than training itself did.
_MOST_S = 1.0
_MOST_WALL_S = 3.0
_MOST_BATCHES = 100
# Batches that took longer while they were traced, in seconds, are not fetched again.
_SLOWEST_S = 5.0


@dataclass(slots=True, eq=False)
class Feed:
    """An iterator of a DataLoader that gave batches to training.

    `loops` are those that ran when it gave its first; `length` is in batches, None if it has none;
    `costs` are what each batch took.
    """

    loader: Any
    loops: list[RunningLoop]
    length: int | None
    costs: list[Cost] = field(default_factory=list)

    @property
    def given(self) -> int:
        """How many batches it gave."""
        return len(self.costs)


class Batches:
    """Watches the batches. To be installed before anything else that changes loaders.

    Args:
        stack: Says which loops run.
        is_training_over: Whether what is fetched now is for evaluation.
        on_evaluation: Called with an evaluation's loader at each batch of it.
    """

    def __init__(
        self,
        stack: Stack,
        is_training_over: Callable[[], bool],
        on_evaluation: Callable[[Any], None],
    ) -> None:
        self._stack = stack
        self._is_training_over = is_training_over
        self._on_evaluation = on_evaluation
        self._clock = Clock()
        self._loaders: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._feeds: weakref.WeakKeyDictionary[Any, Feed] = weakref.WeakKeyDictionary()
        # Kept with their iterators, which are asked for more in the end.
        self._of_step: dict[int, tuple[Any, Feed]] = {}
        self._since_step: dict[int, tuple[Any, Feed]] = {}
        iterator_class: Any = dataloader._BaseDataLoaderIter  # noqa: SLF001 - of all iterators
        self._next_batch = iterator_class.__next__
        self._next_index = iterator_class._next_index  # noqa: SLF001

    def install(self) -> None:
        """Watch for the rest of the process."""
        loader_class: Any = dataloader.DataLoader
        iterator_class: Any = dataloader._BaseDataLoaderIter  # noqa: SLF001
        iterate = loader_class.__iter__

        @functools.wraps(iterate)
        def iterating(loader: Any) -> Any:
            iterator = iterate(loader)
            self._loaders[iterator] = loader
            return iterator

        @functools.wraps(self._next_batch)
        def following(iterator: Any) -> Any:
            batch, cost = self._clock.time(self._next_batch, iterator)
            self._note(iterator, cost)
            return batch

        loader_class.__iter__ = iterating
        iterator_class.__next__ = following

    def end_step(self) -> list[Feed]:
        """Return who fed this step; where nobody did, who fed the one before."""
        if self._since_step:
            self._of_step, self._since_step = self._since_step, {}
        return [feed for _, feed in self._of_step.values()]

    def loading(self, workers_of: Callable[[Any], int]) -> Loading | None:
        """Return what a batch cost while it was traced; None if no loader gave any.

        Args:
            workers_of: How many processes the script wants for a loader.
        """
        feeds = [feed for _, feed in self._of_step.values()]
        if not feeds:
            return None
        return Loading(
            # The first batch opens files and fills caches.
            seconds_per_batch=sum(typical_s(feed.costs[1:] or feed.costs) for feed in feeds),
            measured_batches=min(max(1, feed.given - 1) for feed in feeds),
            workers=sum(workers_of(feed.loader) for feed in feeds),
        )

    def fetch_more(self, seen: Loading) -> Loading:
        """Measure again what a batch costs, with nothing of tracing in between.

        The trace must be over: from here on loaders are torch's own again. What cannot be fetched
        this way, as it needs the device, keeps what was seen.
        """
        if seen.seconds_per_batch > _SLOWEST_S:
            return seen
        iterator_class: Any = dataloader._BaseDataLoaderIter  # noqa: SLF001
        iterator_class.__next__ = self._next_batch
        iterator_class._next_index = self._next_index  # noqa: SLF001
        module_hooks._global_forward_pre_hooks.clear()  # noqa: SLF001 - transforms are modules
        module_hooks._global_forward_hooks.clear()  # noqa: SLF001
        # As in a worker, which torch gives one thread.
        torch.set_num_threads(1)
        share = 1 / len(self._of_step)
        try:
            fetched = [self._fetch(*one, share=share) for one in self._of_step.values()]
        except Exception:  # noqa: BLE001 - the user's data set may raise anything out of turn
            return seen
        if not all(fetched):
            return seen
        return Loading(
            seconds_per_batch=sum(map(typical_s, fetched)),
            measured_batches=min(map(len, fetched)),
            workers=seen.workers,
        )

    def _fetch(self, iterator: Any, feed: Feed, *, share: float) -> list[Cost]:
        """Fetch batches for a while; returns what each took."""
        costs: list[Cost] = []
        own_s = wall_s = 0.0
        is_fresh = False
        while own_s < _MOST_S * share and wall_s < _MOST_WALL_S * share:
            try:
                _, cost = self._clock.time(self._next_batch, iterator)
            except StopIteration:
                if is_fresh:
                    break
                iterator, is_fresh = iter(feed.loader), True
                continue
            is_fresh = False
            costs.append(cost)
            own_s += cost.alone_s
            wall_s += cost.wall_s
            if len(costs) > _MOST_BATCHES:
                break
        # In the first, caches fill that the script's own work has emptied.
        return costs[1:] or costs

    def _note(self, iterator: Any, cost: Cost) -> None:
        loader = self._loaders.get(iterator, iterator)
        if self._is_training_over():
            self._on_evaluation(loader)
            return
        if not torch.is_grad_enabled():
            return
        feed = self._feeds.get(iterator)
        if feed is None:
            feed = self._feeds[iterator] = Feed(
                loader=loader,
                loops=self._stack.loops(),
                length=length_of(loader),
            )
        feed.costs.append(cost)
        self._since_step[id(feed)] = (iterator, feed)


def length_of(thing: Any) -> int | None:
    """Return how many batches a DataLoader gives; None if it does not know, or is none."""
    if not isinstance(thing, dataloader.DataLoader | dataloader._BaseDataLoaderIter):  # noqa: SLF001
        return None
    # Of an iterable data set it remembers the answer, and warns when more comes.
    before = vars(thing).get("_IterableDataset_len_called")
    try:
        length = len(thing)
    except Exception:  # noqa: BLE001 - the user's data set or sampler may raise anything
        return None
    if "_IterableDataset_len_called" in vars(thing):
        vars(thing)["_IterableDataset_len_called"] = before
    return length
