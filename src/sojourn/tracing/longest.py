"""Batches that vary in size: the longest is what counts, so it is put where it is seen.

Where samples differ in length, a batch is padded to its longest sample, and the first batches that
a loader happens to give say little. So the samples are looked over, for a short while, and the
longest that was found is put into each batch. A batch sampler of the user's own (buckets, a token
budget) is not meddled with: its largest batch comes first, as it makes it.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, dataloader, default_collate

from sojourn.tracing.repeats import RepeatedSampler

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder

# How much is looked over per loader, in samples and in seconds.
_MOST_SAMPLES = 5000
_MOST_S = 2.0
# Samples of one size after which the rest is taken to be of that size too.
_ENOUGH_ALIKE = 256
_MAP_STYLE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What to give instead of what the sampler drew: one index, or a whole batch of them."""

    index: Any = None
    batch: Any = None


class LongestBatches:
    """Lets loaders whose samples differ in length give their longest at once."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        # Samplers are kept, so that none gets the identity of another.
        self._found: dict[int, tuple[Any, _Found]] = {}

    def install(self) -> None:
        """Watch which samples DataLoaders draw, for the rest of the process."""
        next_index = dataloader._BaseDataLoaderIter._next_index  # noqa: SLF001 - all draw there

        @functools.wraps(next_index)
        def choosing(iterator: Any) -> Any:
            drawn = next_index(iterator)
            return self._with_longest(iterator, drawn)

        dataloader._BaseDataLoaderIter._next_index = choosing  # type: ignore[method-assign]  # noqa: SLF001

    def _with_longest(self, iterator: Any, drawn: Any) -> Any:
        sampler = iterator._index_sampler  # noqa: SLF001 - torch has no public name for it
        if id(sampler) not in self._found:
            self._found[id(sampler)] = (sampler, self._find(iterator, drawn))
        found = self._found[id(sampler)][1]
        if found.batch is not None:
            return found.batch
        if found.index is None:
            return drawn
        if not isinstance(drawn, (list, tuple)):
            return found.index
        return drawn if found.index in drawn else [*drawn[:-1], found.index]

    def _find(self, iterator: Any, drawn: Any) -> _Found:
        is_single = not isinstance(drawn, (list, tuple)) or len(drawn) == 1
        if iterator._collate_fn is default_collate and not is_single:  # noqa: SLF001
            return _Found()  # it refuses samples that differ
        if iterator._dataset_kind != _MAP_STYLE:  # noqa: SLF001
            if iterator._collate_fn is not default_collate:  # noqa: SLF001
                self._recorder.assume(
                    "the data set can only be read in order: whether longer batches come than the "
                    "first ones is not known"
                )
            return _Found()
        search = _Search(iterator._dataset)  # noqa: SLF001
        with _same_random_numbers(iterator._index_sampler):  # noqa: SLF001
            try:
                found = search.among(iterator._index_sampler)  # noqa: SLF001
            except Exception:  # noqa: BLE001 - the user's data set may raise anything out of turn
                return _Found()
        if search.differ:
            self._recorder.assume(search.summary())
        return found if search.differ else _Found()


class _Search:
    """One look over a data set. A sample's size is how many numbers or characters it holds."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._sizes: dict[Any, int] = {}
        self._give_up_at = time.monotonic() + _MOST_S
        self._is_whole = True
        self._is_by_batch = False

    @property
    def differ(self) -> bool:
        """Whether samples of different sizes were met."""
        return len(set(self._sizes.values())) > 1

    def summary(self) -> str:
        """Say what was looked over, and what was made of it."""
        looked, all_samples = len(self._sizes), len(self._dataset)
        if self._is_by_batch and self._is_whole:
            return "the largest batch that the batch sampler makes is the one that is seen"
        if self._is_by_batch:
            return f"the largest of the first batches, of {looked} samples, is the one that is seen"
        if self._is_whole:
            return f"the longest of {looked} samples is put into the batches that are seen"
        return (
            f"the longest of the {looked} samples that were looked over, of {all_samples}, is put "
            "into the batches that are seen"
        )

    def among(self, sampler: Any) -> _Found:
        """Look over what a sampler draws."""
        if type(sampler) is not BatchSampler and _draws_batches(sampler):
            return self._largest_batch(sampler)
        single = sampler.sampler if isinstance(sampler, BatchSampler) else sampler
        if isinstance(single, RepeatedSampler):
            single = single.whole
        for index in single:
            if not self._look(index):
                break
        return _Found(index=max(self._sizes, key=self._sizes.__getitem__))

    def _largest_batch(self, sampler: Any) -> _Found:
        self._is_by_batch = True
        largest, most = None, -1
        for batch in sampler:
            if not all(self._look(index) for index in batch):
                break
            size = len(batch) * max(self._sizes[index] for index in batch)
            if size > most:
                largest, most = batch, size
        return _Found(batch=largest)

    def _look(self, index: Any) -> bool:
        """Measure one sample; returns whether to go on."""
        if index in self._sizes:
            return True
        is_alike = len(self._sizes) >= _ENOUGH_ALIKE and not self.differ
        if is_alike or len(self._sizes) >= _MOST_SAMPLES or time.monotonic() > self._give_up_at:
            self._is_whole = False
            return False
        self._sizes[index] = _size(self._dataset[index])
        return True


def _draws_batches(sampler: Any) -> bool:
    first = next(iter(sampler), None)
    return isinstance(first, (list, tuple))


def _size(sample: Any) -> int:
    """Count the numbers and characters that a sample holds."""
    if isinstance(sample, torch.Tensor):
        return sample.numel()
    if isinstance(sample, (str, bytes)):
        return len(sample)
    if isinstance(sample, Mapping):
        return sum(map(_size, sample.values()))
    if isinstance(sample, (list, tuple)):
        return sum(map(_size, sample))
    size = getattr(sample, "size", 1)
    # An array has a number there, a picture its width and height.
    return math.prod(size) if isinstance(size, tuple) else int(size) if _is_count(size) else 1


def _is_count(size: Any) -> bool:
    return isinstance(size, (int, np.integer))


@contextmanager
def _same_random_numbers(sampler: Any) -> Iterator[None]:
    """Let what is drawn within it change nothing for the script."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    generators = {
        id(generator): generator
        for holder in (sampler, getattr(sampler, "sampler", None))
        if isinstance(generator := getattr(holder, "generator", None), torch._C.Generator)  # noqa: SLF001
    }
    states = [(generator, generator.get_state()) for generator in generators.values()]
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
        for generator, state in states:
            generator.set_state(state)
