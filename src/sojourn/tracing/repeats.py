"""Epochs of as many batches at any batch size, so that traces at two sizes differ in size only.

Where an epoch ends decides what a script does next, and a small data set has no large batch. So
what a sampler draws is drawn again, or cut off.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from torch.utils.data import BatchSampler, Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator


class RepeatedSampler(Sampler[Any]):
    """Draws as often as it is told, from `whole` again and again.

    Args:
        whole: The sampler that the script has.
        length: How often to draw in an epoch.
    """

    def __init__(self, whole: Any, length: int) -> None:
        self.whole = whole
        self._length = length
        # Where those who leave no trace in it look for the source of random numbers.
        self.generator = getattr(whole, "generator", None)

    def __iter__(self) -> Iterator[Any]:
        rounds = itertools.chain.from_iterable(itertools.repeat(self.whole))
        return itertools.islice(rounds, self._length)

    def __len__(self) -> int:
        return self._length


def repeat_samples(batch_sampler: Any, share: float) -> bool:
    """Let a sampler draw so many times as many samples; returns whether it does.

    One that has no length, or makes batches in a way of its own, is left as it is.
    """
    if type(batch_sampler) is not BatchSampler:
        return False
    if isinstance(batch_sampler.sampler, RepeatedSampler):
        return True
    try:
        samples = len(batch_sampler.sampler) * share  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return False
    length = math.floor(samples) if batch_sampler.drop_last else math.ceil(samples)
    if length:
        batch_sampler.sampler = RepeatedSampler(batch_sampler.sampler, length)
    return bool(length)
