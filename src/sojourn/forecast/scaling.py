"""A trace at any batch size, from two traces of one script that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sojourn.forecast.kernels import blend_kernels
from sojourn.forecast.trace import Alloc, Convolution, Free, Op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.forecast.trace import Event, Trace

# Traces at other batch sizes that are kept.
_KEPT_SIZES = 32


class BatchScale:
    """Two traces of one script that differ in batch size only, and from them a trace at any size.

    Where both allocate the same blocks in the same order, every size is an affine function of the
    batch size (a part per sample and a constant part), so that a third size needs no third trace.
    When a block goes may differ a little, as Python's collector and caches have no fixed order;
    the first trace's order is kept.
    """

    def __init__(self, first: Trace, second: Trace) -> None:
        self._first = first
        self._second = second
        self._counterparts = [e for e in second.events if not isinstance(e, Free)]
        self._made: dict[int, Trace] = {}
        self._varied: list[tuple[int, Event, Event]] | None = None

    @property
    def second(self) -> Trace:
        """The trace at the other batch size."""
        return self._second

    @property
    def _varying(self) -> list[tuple[int, Event, Event]]:
        """What memory follows from, and differs between the two."""
        if self._varied is None:
            self._varied = [
                (place, event, other)
                for place, event, other in self._pairs()
                if not isinstance(event, Op) and event != other
            ]
        return self._varied

    @property
    def is_possible(self) -> bool:
        """Whether the two traces allocate and run the same, in the same order."""
        first, second = self._first, self._second
        if first.batch_size is None or second.batch_size is None:
            return False
        lasting = [event for event in first.events if not isinstance(event, Free)]
        if first.batch_size == second.batch_size or len(lasting) != len(self._counterparts):
            return False
        return all(_same_event(a, b) for a, b in zip(lasting, self._counterparts, strict=True))

    def at(self, batch_size: int) -> Trace:
        """Return the trace at another batch size. Sizes are in bytes, never negative."""
        first, second, share = self._first, self._second, self._share(batch_size)
        return replace(
            first,
            batch_size=batch_size,
            events=self._events(share, self._pairs()),
            step_kernels=blend_kernels(first.step_kernels, second.step_kernels, share),
            # The size of evaluation batches is another than that of the training's.
            evaluation_kernels=first.evaluation_kernels,
        )

    def allocations_at(self, batch_size: int) -> Trace:
        """Return what memory follows from at another batch size, in less time.

        Kernels are not in it, and products are as they were: their workspace goes by no shape.
        Those that were asked for last are kept, as different cards ask for the same.
        """
        if batch_size not in self._made:
            if len(self._made) >= _KEPT_SIZES:
                del self._made[next(iter(self._made))]
            self._made[batch_size] = replace(
                self._first,
                batch_size=batch_size,
                events=self._events(self._share(batch_size), self._varying),
                step_kernels=None,
                evaluation_kernels=None,
            )
        return self._made[batch_size]

    def least_in_use(self, batch_size: int, place: int) -> float:
        """Return bytes that are in use at least, at another batch size, after an event's place."""
        live: dict[int, tuple[int, int]] = {}
        counterparts = iter(self._counterparts)
        for event in self._first.events[: place + 1]:
            if isinstance(event, Free):
                live.pop(event.block, None)
                continue
            other = next(counterparts)
            if isinstance(event, Alloc) and isinstance(other, Alloc):
                live[event.block] = (event.size_bytes, other.size_bytes)
        first_bytes = sum(first for first, _ in live.values())
        second_bytes = sum(second for _, second in live.values())
        # Each is rounded to a whole byte.
        return first_bytes + (second_bytes - first_bytes) * self._share(batch_size) - len(live)

    def _pairs(self) -> Iterator[tuple[int, Event, Event]]:
        """Yield what lasts in the first trace, with its place and its counterpart."""
        counterparts = iter(self._counterparts)
        for place, event in enumerate(self._first.events):
            if not isinstance(event, Free):
                yield place, event, next(counterparts)

    def _events(self, share: float, pairs: Iterable[tuple[int, Event, Event]]) -> tuple[Event, ...]:
        events = list(self._first.events)
        made: dict[tuple[int, int], Event] = {}
        for place, event, other in pairs:
            pair = (id(event), id(other))
            if pair not in made:
                made[pair] = _blend(event, other, share)
            events[place] = made[pair]
        return tuple(events)

    def _share(self, batch_size: int) -> float:
        """Return how far a batch size is on the way from the first trace's to the second's."""
        first, second = self._first.batch_size, self._second.batch_size
        if first is None or second is None:
            raise ValueError("both traces need a batch size")
        return (batch_size - first) / (second - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A job's trace, and how it scales with the batch size (None where that is not known)."""

    trace: Trace
    scale: BatchScale | None


def _same_event(first: Event, second: Event) -> bool:
    if isinstance(first, Alloc) and isinstance(second, Alloc):
        return (first.block, first.role, first.phase) == (second.block, second.role, second.phase)
    if isinstance(first, Op) and isinstance(second, Op):
        return first.kind == second.kind and _dimensions(first) == _dimensions(second)
    if isinstance(first, Convolution) and isinstance(second, Convolution):
        return first.kernel == second.kernel and _dimensions(first) == _dimensions(second)
    return False


def _dimensions(event: Op | Convolution) -> tuple[int, int, int]:
    return len(event.input_shape), len(event.weight_shape), len(event.output_shape)


def _blend(first: Event, second: Event, share: float) -> Event:
    if isinstance(first, Alloc) and isinstance(second, Alloc):
        if first.size_bytes == second.size_bytes:
            return first
        return Alloc(
            block=first.block,
            size_bytes=_between(first.size_bytes, second.size_bytes, share),
            role=first.role,
            phase=first.phase,
            line=first.line,
            estimated=first.estimated,
        )
    if isinstance(first, (Op, Convolution)) and isinstance(second, (Op, Convolution)):
        return replace(
            first,
            input_shape=_between_shapes(first.input_shape, second.input_shape, share),
            weight_shape=_between_shapes(first.weight_shape, second.weight_shape, share),
            output_shape=_between_shapes(first.output_shape, second.output_shape, share),
        )
    return first


def _between(first: int, second: int, share: float) -> int:
    return max(0, round(first + (second - first) * share))


def _between_shapes(
    first: tuple[int, ...], second: tuple[int, ...], share: float
) -> tuple[int, ...]:
    if first == second:
        return first
    return tuple(_between(a, b, share) for a, b in zip(first, second, strict=True))
