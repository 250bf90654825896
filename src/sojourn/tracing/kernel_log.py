"""Writes down which kernels run on the device, and where a step and an evaluation batch end.

Knows nothing of operators: `kernel_work` says what each of them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.forecast.kernels import Kernel, Kernels

if TYPE_CHECKING:
    from sojourn.forecast.kernels import Family, Phase, Precision

# Without these a kernel's fields are those of `Kernel`'s defaults.
_NO_SHAPE = (0, 0, 0, 0)


class KernelLog:
    """The kernels of one traced script, in order; each kind is kept once."""

    def __init__(self) -> None:
        self.is_closed = False
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._order: list[int] = []
        self._ends: dict[int, list[int]] = {}
        self._first_forward: int | None = None
        self._evaluation: tuple[int, int] | None = None

    def note(  # noqa: PLR0917 - called for every operator; names would cost a third of it
        self,
        operator: str,
        family: Family,
        phase: Phase,
        precision: Precision,
        flops: int,
        read_bytes: int,
        written_bytes: int,
        launches: int = 1,
        shape: tuple[int, int, int, int] = _NO_SHAPE,
        is_channels_last: bool = False,  # noqa: FBT001, FBT002
        steps: int = 0,
        item_bytes: int = 4,
    ) -> None:
        """A kernel runs; the arguments are those of `Kernel`, `shape` its four sizes."""
        if self.is_closed:
            return
        fields = (
            *(operator, family, phase, precision, flops, read_bytes, written_bytes, launches),
            *(*shape, is_channels_last, steps, item_bytes),
        )
        self._order.append(self._numbers.setdefault(fields, len(self._numbers)))

    def now(self) -> int:
        """Return a mark: how many kernels have run."""
        return len(self._order)

    def begin_training(self) -> None:
        """Say that the script is past its set-up: a first step has no end before it."""
        if self._first_forward is None:
            self._first_forward = self.now()

    def end_step(self, optimizer: int) -> None:
        """One optimizer, by its identity, has stepped."""
        self._ends.setdefault(optimizer, []).append(self.now())

    def end_evaluation_batch(self, begun: int) -> None:
        """A batch of evaluation is over that had begun at a mark."""
        self._evaluation = (begun, self.now())

    @property
    def has_evaluation(self) -> bool:
        """Whether a batch of evaluation was seen to its end."""
        return self._evaluation is not None

    def forget_evaluation(self) -> None:
        """Say that what was taken for evaluation was none."""
        self._evaluation = None

    def last_step(self) -> Kernels | None:
        """Return what ran in the last whole step; None if there was none.

        Where there are several optimizers it is the one that stepped first whose steps count.
        """
        ends = next(iter(self._ends.values()), [])
        if not ends:
            return None
        begun = ends[-2] if len(ends) > 1 else self._first_forward or 0
        return self._between(begun, ends[-1])

    def evaluation_batch(self) -> Kernels | None:
        """Return what ran in the last batch of evaluation; None if there was none."""
        return self._between(*self._evaluation) if self._evaluation else None

    def _between(self, first: int, last: int) -> Kernels:
        kinds = list(self._numbers)
        numbers: dict[int, int] = {}
        order = [numbers.setdefault(number, len(numbers)) for number in self._order[first:last]]
        return Kernels(
            kinds=tuple(_kernel(kinds[number]) for number in numbers), order=tuple(order)
        )


def _kernel(fields: tuple[Any, ...]) -> Kernel:
    names = Kernel.__slots__
    return Kernel(**dict(zip(names, fields, strict=True)))
