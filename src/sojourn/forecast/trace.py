"""Trace: what a script allocates on the device over its first optimizer steps, and in which order.

The record between tracing and forecasting. It holds no accelerator: the same trace is replayed on
each one. Kinds of event, in the order in which they happened:

    Alloc         a storage comes to life on the device
    Free          it goes
    Op            a kernel runs that needs workspace of its own, which the framework never shows
    Convolution   the same, of cuDNN's
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError
from sojourn.forecast.changes import NO_TRAITS, Traits, load_traits
from sojourn.forecast.checking import MOST, checked, is_whole
from sojourn.forecast.kernels import Kernels, dump_kernels, load_kernels
from sojourn.forecast.kernels import Phase as Phase  # noqa: PLC0414 - events have one too
from sojourn.forecast.schedule import UNKNOWN_SCHEDULE, Loading, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACE_SCHEMA = "sojourn.trace/3"
# In a batch: one of more would take more than a card's memory for a byte of each.
_MOST_SAMPLES = 1 << 40
# Of a convolution's shapes: samples and channels.
_FEWEST_SIZES = 2


class Role(StrEnum):
    """What a block of device memory is for."""

    PARAMETERS = "parameters"
    GRADIENTS = "gradients"
    OPTIMIZER = "optimizer"
    ACTIVATIONS = "activations"
    INPUTS = "inputs"
    WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alloc:
    """A storage of `size_bytes` comes to life. `block` is its number, unique in the trace.

    `estimated` marks a size that a model of the library gave, not the tensor's own shape.
    """

    block: int
    size_bytes: int
    role: Role
    phase: Phase
    line: str
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """The storage numbered `block` goes."""

    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """A matrix product runs, for which cuBLAS has workspace.

    `kind` is "matmul"; `thread` tells the threads apart, since each has its own cuBLAS handle.
    """

    kind: str
    phase: Phase
    line: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    item_bytes: int
    thread: int


class Pass(StrEnum):
    """Which of a convolution's three kernels: cuDNN chooses an algorithm for each by itself."""

    FORWARD = "forward"
    BACKWARD_DATA = "backward_data"
    BACKWARD_WEIGHT = "backward_weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """One of cuDNN's convolution kernels runs.

    Shapes are as cuDNN gets them: input and output (N, C, ...), weight (O, I/groups, ...), with two
    or three spatial sizes. `dtype` is torch's name of the elements' type; `is_channels_last` says
    how all three lie in memory; `allows_tf32` and `is_benchmarked` are torch's settings at the call
    (`torch.backends.cudnn.allow_tf32` and `.benchmark`).
    """

    kernel: Pass
    phase: Phase
    line: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    dtype: str
    is_channels_last: bool
    allows_tf32: bool
    is_benchmarked: bool


Event = Alloc | Free | Op | Convolution


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderUse:
    """A DataLoader that gave batches, as the script made it; tracing itself has no workers.

    `batches_ahead` is its `prefetch_factor`, per worker; `batch_bytes` the largest batch seen;
    `objects_bytes` an estimate of the Python objects that the script had made by then, which
    workers copy page by page as they count references.
    """

    workers: int
    batches_ahead: int
    is_persistent: bool
    is_pinned: bool
    batch_bytes: int
    objects_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """What in the traced process's memory is the script's own, in bytes.

    `before_bytes` was resident when the script began: the interpreter, torch and tracing.
    """

    before_bytes: int = 0
    loaders: tuple[LoaderUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One traced script.

    `seconds` is how long tracing took; `host_memory_bytes` the child's peak resident memory;
    `batch_size` and `samples_per_epoch` are those of the loader that feeds the training loop, None
    if there is none; `is_batch_size_known_to_loader` says whether there is one whose batch size can
    be changed. `compute_capability` is what the script was told when it asked; where
    `asked_capability` is true its answer shaped the trace, which then holds only for such cards.
    `step_ends` are the numbers of events that were there when an optimizer had stepped (where there
    are several: the one that does so first), and the loop then asked for its next batch, if a
    DataLoader gives them. `traits` is what the script was seen to do that says
    which changes to it make sense; `host` what `host_memory_bytes` is made of. `schedule` is how
    often it does what was traced, `loading` what its batches cost, None where none was loaded.
    `step_kernels` is what ran on the device from the end of one optimizer step to the end of the
    next, of the last that was seen whole; `evaluation_kernels` what one batch of evaluation ran.
    """

    target: str
    torch: str
    steps: int
    seconds: float
    host_memory_bytes: int
    batch_size: int | None
    samples_per_epoch: int | None
    is_batch_size_known_to_loader: bool
    compute_capability: str
    asked_capability: bool
    assumptions: tuple[str, ...]
    events: tuple[Event, ...]
    step_ends: tuple[int, ...] = ()
    traits: Traits = NO_TRAITS
    host: HostUse = HostUse()
    schedule: Schedule = UNKNOWN_SCHEDULE
    loading: Loading | None = None
    step_kernels: Kernels | None = None
    evaluation_kernels: Kernels | None = None

    @property
    def uses_device(self) -> bool:
        """Whether the script put anything on the accelerator."""
        return any(isinstance(event, Alloc) for event in self.events)

    def does_the_same_as(self, other: Trace) -> bool:
        """Whether another trace differs in what was measured on the way at most, and in who asked.

        Then what the script was told of its card made no difference.
        """
        return _without_measures(self) == _without_measures(other)


def _without_measures(trace: Trace) -> Trace:
    return replace(
        trace,
        seconds=0.0,
        host_memory_bytes=0,
        host=HostUse(),
        loading=None,
        compute_capability="",
        asked_capability=False,
    )


def dump_trace(trace: Trace) -> str:
    """Write a trace as JSON."""
    step_kernels, evaluation_kernels = trace.step_kernels, trace.evaluation_kernels
    plain = replace(trace, events=(), step_kernels=None, evaluation_kernels=None)
    document = asdict(plain) | {"schema": TRACE_SCHEMA}
    document["events"] = [_dump_event(event) for event in trace.events]
    document["step_kernels"] = dump_kernels(step_kernels)
    document["evaluation_kernels"] = dump_kernels(evaluation_kernels)
    return json.dumps(document, separators=(",", ":"))


def load_trace(text: str) -> Trace:
    """Read what `dump_trace` wrote.

    Raises:
        TraceError: the text is no trace, or one of a newer schema.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        _check_schema(document.pop("schema"))
        document["events"] = _load_events(document["events"])
        document["assumptions"] = tuple(document["assumptions"])
        document["step_ends"] = tuple(document["step_ends"])
        document["traits"] = load_traits(document["traits"])
        document["host"] = _load_host(document["host"])
        document["schedule"] = checked(Schedule(**document["schedule"]))
        loading = document["loading"]
        document["loading"] = checked(Loading(**loading)) if loading else None
        for name in ("step_kernels", "evaluation_kernels"):
            document[name] = load_kernels(document[name])
        return _with_possible_batch(checked(Trace(**document)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise TraceError(
            f"This is not a trace that this version of Sojourn reads ({error}).",
            remedy="Trace the script again with `sojourn plan`.",
        ) from error


def _with_possible_batch(trace: Trace) -> Trace:
    if trace.batch_size is not None and trace.batch_size > _MOST_SAMPLES:
        raise ValueError(f"a batch of {trace.batch_size} samples")
    return trace


def _load_host(document: dict[str, Any]) -> HostUse:
    loaders = tuple(checked(LoaderUse(**row)) for row in document["loaders"])
    return checked(HostUse(**{**document, "loaders": loaders}))


def _check_schema(schema: str) -> None:
    if schema != TRACE_SCHEMA:
        raise ValueError(f"its schema is {schema!r}")


_CODES: dict[str, type[Event]] = {"a": Alloc, "f": Free, "o": Op, "c": Convolution}
_CODE_OF = {kind: code for code, kind in _CODES.items()}
_ENUMS: dict[str, type[StrEnum]] = {"Role": Role, "Phase": Phase, "Pass": Pass}


def _dump_event(event: Event) -> list[Any]:
    return [_CODE_OF[type(event)], *asdict(event).values()]


def _load_events(rows: list[list[Any]]) -> tuple[Event, ...]:
    """Read events; a convolution that comes again is the same object."""
    convolutions: dict[Event, Event] = {}
    events = tuple(map(_load_event, rows))
    _check_lives(events)
    return tuple(
        convolutions.setdefault(event, event) if isinstance(event, Convolution) else event
        for event in events
    )


def _check_lives(events: Iterable[Event]) -> None:
    """Raise ValueError unless each block comes to life before it goes, and but once at a time."""
    live: set[int] = set()
    for event in events:
        if isinstance(event, Alloc):
            if event.block in live:
                raise ValueError(f"block {event.block} comes twice")
            live.add(event.block)
        elif isinstance(event, Free):
            live.remove(event.block)
        elif isinstance(event, Convolution):
            _check_convolution(event)


def _check_convolution(call: Convolution) -> None:
    is_shaped = len(call.input_shape) == len(call.weight_shape) == len(call.output_shape)
    if not is_shaped or len(call.input_shape) < _FEWEST_SIZES or not call.stride:
        raise ValueError("a convolution's shapes do not go together")
    if call.groups == 0:
        raise ValueError("a convolution of 0 groups")


def _load_event(row: list[Any]) -> Event:
    kind, readers = _READERS[row[0]]
    if len(readers) != len(row) - 1:
        raise ValueError(f"an event of {len(row) - 1} fields")
    values: dict[str, Any] = {}
    for (name, members, plain), value in zip(readers, row[1:], strict=True):
        found = type(value)
        if members is not None:
            values[name] = members[value]
        elif found is not plain:
            raise ValueError(f"{name} is {str(value)[:40]!r}")
        elif found is list:
            values[name] = _load_sizes(value)
        else:
            if found is int and not 0 <= value < MOST:
                raise ValueError(f"{name} is {str(value)[:40]}")
            values[name] = value
    return kind(**values)


def _load_sizes(value: list[Any]) -> tuple[int, ...]:
    if not all(map(is_whole, value)):
        raise ValueError(f"sizes of {str(value)[:40]}")
    return tuple(value)


def _readers(kind: type[Event]) -> tuple[tuple[str, dict[str, Any] | None, type | None], ...]:
    """Return an event's fields by name.

    Each with the members of its enumeration, if it is one, and else with JSON's type of it.
    """
    members = {name: {member.value: member for member in enum} for name, enum in _ENUMS.items()}
    plain = {"int": int, "str": str, "bool": bool, "tuple[int, ...]": list}
    return tuple(
        (field.name, members.get(str(field.type)), plain.get(str(field.type)))
        for field in fields(kind)
    )


_READERS = {code: (kind, _readers(kind)) for code, kind in _CODES.items()}
