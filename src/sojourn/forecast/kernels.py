"""What runs on the device in one step: kernels, by family, with what they compute and move.

    Kernel    one kind of kernel, with all that its time depends on
    Kernels   which kinds ran, in which order: each kind is kept once

The order is kept so that two traces which differ in batch size only can be laid side by side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from sojourn.forecast.checking import checked, is_whole


class Phase(StrEnum):
    """Where in its life the script is."""

    SETUP = "setup"
    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    EVALUATION = "evaluation"


class Family(StrEnum):
    """Kernels that are limited by the same thing, to about the same degree."""

    MATMUL = "matmul"
    CONVOLUTION = "convolution"
    GROUPED_CONVOLUTION = "grouped_convolution"
    DEPTHWISE_CONVOLUTION = "depthwise_convolution"
    ATTENTION = "attention"
    RECURRENT = "recurrent"
    NORMALIZATION = "normalization"
    REDUCTION = "reduction"
    ELEMENTWISE = "elementwise"
    INDEXING = "indexing"
    COPY = "copy"
    OPTIMIZER = "optimizer"
    TRANSFER = "transfer"
    CUSTOM = "custom"


class Precision(StrEnum):
    """What a kernel computes in. `tf32` is fp32 that torch's flags let round to it."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kind of kernel, by what its time depends on.

    `operator` is torch's name of it. `flops` counts two for each multiplication and addition;
    `read_bytes` and `written_bytes` are of the device's memory, each tensor once per pass over it.
    What multiplies matrices does so `groups` times, (rows, inner) by (inner, width); all four are 0
    elsewhere. `launches` is how many kernels the operator launches, `steps` how many of them wait
    for each other's results (recurrent layers), `item_bytes` the size of an element.
    """

    operator: str
    family: Family
    phase: Phase
    precision: Precision
    flops: int
    read_bytes: int
    written_bytes: int
    launches: int = 1
    groups: int = 0
    rows: int = 0
    width: int = 0
    inner: int = 0
    is_channels_last: bool = False
    steps: int = 0
    item_bytes: int = 4

    @property
    def moved_bytes(self) -> int:
        """Bytes read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def group_channels(self) -> int:
        """Channels in each group of a convolution: of those in and those out the fewer."""
        sizes = {"forward": (self.width,), "backward_weight": (self.rows,)}
        return max(1, min(sizes.get(self.operator, (self.width,))))


_SIZES = (
    *("flops", "read_bytes", "written_bytes", "launches", "groups", "rows", "width", "inner"),
    "steps",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """What ran: numbers into `kinds`, in order."""

    kinds: tuple[Kernel, ...] = ()
    order: tuple[int, ...] = ()

    def counted(self) -> list[tuple[Kernel, int]]:
        """Return each kind, and how often it ran."""
        return [(self.kinds[number], count) for number, count in Counter(self.order).items()]


def blend_kernels(first: Kernels | None, second: Kernels | None, share: float) -> Kernels | None:
    """Return what lies at `share` of the way from the first to the second.

    Args:
        first: What ran at one batch size.
        second: What ran at another.
        share: 0 is the first, 1 the second; beyond both is allowed.

    Returns:
        Sizes are affine between the two, never negative; None where the two do not run the same.
    """
    if first is None or second is None or len(first.order) != len(second.order):
        return None
    numbers: dict[tuple[int, int], int] = {}
    pairs = zip(first.order, second.order, strict=True)
    order = tuple([numbers.setdefault(pair, len(numbers)) for pair in pairs])
    found = [(first.kinds[a], second.kinds[b]) for a, b in numbers]
    if any(_identity(a) != _identity(b) for a, b in found):
        return None
    return Kernels(kinds=tuple(_blend(a, b, share) for a, b in found), order=order)


def _identity(kernel: Kernel) -> tuple[Any, ...]:
    return kernel.operator, kernel.family, kernel.phase, kernel.precision


def _blend(first: Kernel, second: Kernel, share: float) -> Kernel:
    sizes = {
        name: max(0, round(a + (getattr(second, name) - a) * share))
        for name in _SIZES
        if (a := getattr(first, name)) is not None
    }
    return replace(first, **sizes)


def dump_kernels(kernels: Kernels | None) -> dict[str, Any] | None:
    """Return kernels as what JSON can hold, fields without their names."""
    if kernels is None:
        return None
    return {
        "kinds": [list(asdict(kind).values()) for kind in kernels.kinds],
        "order": list(kernels.order),
    }


def load_kernels(document: dict[str, Any] | None) -> Kernels | None:
    """Read what `dump_kernels` wrote.

    Raises:
        ValueError: it is something else.
    """
    if document is None:
        return None
    kinds = tuple(_load_kernel(row) for row in document["kinds"])
    order = tuple(document["order"])
    if not all(is_whole(number) and number < len(kinds) for number in order):
        raise ValueError("a kernel of no kind")
    return Kernels(kinds=kinds, order=order)


_ENUMS: dict[str, type[StrEnum]] = {"Family": Family, "Phase": Phase, "Precision": Precision}


def _load_kernel(row: list[Any]) -> Kernel:
    names = fields(Kernel)
    if len(names) != len(row):
        raise ValueError(f"a kernel of {len(row)} fields")
    given: dict[str, Any] = {
        field.name: _ENUMS[str(field.type)](value) if str(field.type) in _ENUMS else value
        for field, value in zip(names, row, strict=True)
    }
    return checked(Kernel(**given))
