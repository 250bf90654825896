"""Writes down what lives on the device: allocations, frees and kernels, with phase, line and role.

Knows nothing of dispatch: `dispatch` tells it what happened, `hooks` tells it where the script is.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sojourn.forecast.kernels import Family, Precision
from sojourn.forecast.trace import Alloc, Convolution, Event, Free, Op, Pass, Phase, Role
from sojourn.tracing.kernel_log import KernelLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def storage_of(tensor: Any) -> Any:
    """Return a tensor's storage; None where it has none: sparse ones, wrappers, and lazy ones."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, ValueError):  # ValueError: a parameter without a shape as yet
        return None


def _key_of(tensor: Any) -> int:
    """Return torch's own identity of a tensor's storage; one that nothing has if there is none."""
    storage = storage_of(tensor)
    return 0 if storage is None else storage._cdata  # noqa: SLF001


def torch_records_graph() -> bool:
    """Whether torch records for a backward pass."""
    import torch

    return torch.is_grad_enabled()


class Recorder:
    """The event log of one traced script.

    Args:
        label: Turns a file name and line number into the label of a line of the user's own code, or
            None for everybody else's.
    """

    def __init__(self, label: Callable[[str, int], str | None]) -> None:
        self.phase = Phase.SETUP
        self.assumptions: list[str] = []
        self.asked_capability = False
        self.has_bfloat16 = True
        self.kernels = KernelLog()
        self.has_made_up_values = False
        self.has_made_up_sizes = False
        self._label = label
        self._events: list[Event] = []
        self._roles: dict[int, Role] = {}
        self._blocks: dict[int, tuple[int, Any]] = {}
        self._next_block = 0
        self._threads: dict[int, int] = {}
        self._backward_line = ""
        self._in_library = threading.local()
        self._in_function = False
        # Storages die on whichever thread drops the last reference.
        self._lock = threading.RLock()

    @property
    def is_closed(self) -> bool:
        """Whether nothing is written down any more."""
        return self.kernels.is_closed

    def close(self) -> None:
        """Write nothing down any more."""
        self.kernels.is_closed = True

    def note_custom_kernel(self, name: str) -> None:
        """A kernel of a library's own runs; how long it takes nothing says."""
        self.kernels.note(name, Family.CUSTOM, self.phase_now(), Precision.OTHER, 0, 0, 0)

    def assume(self, text: str) -> None:
        """Note, once, something that the trace takes for granted."""
        text = text.removesuffix(".")  # as errors may end, which are quoted
        if text not in self.assumptions:
            self.assumptions.append(text)

    def make_up(self, text: str) -> None:
        """Note that the script goes on with values that a card would have computed."""
        self.has_made_up_values = True
        self.assume(text)

    def note_bfloat16(self) -> None:
        """The script uses bfloat16, which older cards emulate, with other kernels for attention."""
        self.asked_capability = True
        if not self.has_bfloat16:
            self.assume("bfloat16 is emulated, slowly, on cards older than Ampere such as the T4")

    @contextlib.contextmanager
    def library_memory(self) -> Iterator[None]:
        """Within it, what is allocated belongs to a library, and its size is a model's estimate."""
        self._in_library.active = True
        try:
            yield
        finally:
            self._in_library.active = False

    @contextlib.contextmanager
    def inside_function(self) -> Iterator[None]:
        """Within it, a function with a backward pass of its own runs: no graph, but no evaluation.

        The phase there is the one in which it was called.
        """
        before, self._in_function = self._in_function, torch_records_graph() or self._in_function
        try:
            yield
        finally:
            self._in_function = before

    def take(self, storage: Any, *, role: Role | None = None) -> None:
        """A storage exists on the device; it is written down the first time it is seen."""
        key = storage._cdata  # noqa: SLF001 - torch's own identity of a storage
        with self._lock:
            if key in self._blocks or self.is_closed:
                return
            block = self._next_block
            self._next_block += 1
            phase = self.phase_now()
            watch = weakref.ref(storage, functools.partial(self._drop, key))
            self._blocks[key] = (block, watch)
            estimated = getattr(self._in_library, "active", False)
            if estimated or role is not None:
                self._roles[block] = Role.WORKSPACE if estimated else role or Role.ACTIVATIONS
            self._events.append(
                Alloc(
                    block=block,
                    size_bytes=storage.nbytes(),
                    role=Role.OPTIMIZER if phase is Phase.OPTIMIZER else Role.ACTIVATIONS,
                    phase=phase,
                    line=self._line_now(phase),
                    estimated=estimated,
                )
            )

    def _drop(self, key: int, _reference: Any) -> None:
        with self._lock:
            known = self._blocks.pop(key, None)
            if known is not None and not self.is_closed:
                self._events.append(Free(block=known[0]))

    def multiply(self, *, tensor: Any, weight: Any, output_shape: tuple[int, ...]) -> None:
        """A matrix product of `tensor` and `weight` runs."""
        with self._lock:
            if self.is_closed:
                return
            phase = self.phase_now()
            thread = self._threads.setdefault(threading.get_ident(), len(self._threads))
            self._events.append(
                Op(
                    kind="matmul",
                    phase=phase,
                    line=self._line_now(phase),
                    input_shape=tuple(tensor.shape),
                    weight_shape=tuple(weight.shape),
                    output_shape=output_shape,
                    item_bytes=tensor.element_size(),
                    thread=thread,
                )
            )

    def convolve(self, kernel: Pass, **fields: Any) -> None:
        """One of cuDNN's convolution kernels runs; `fields` are those of `Convolution`."""
        with self._lock:
            if not self.is_closed:
                phase = self.phase_now()
                line = self._line_now(phase)
                self._events.append(Convolution(kernel=kernel, phase=phase, line=line, **fields))

    @contextlib.contextmanager
    def passing(self, size_bytes: int) -> Iterator[None]:
        """Within it, a block is taken that dispatch does not show: a copy that a kernel makes."""
        block = self._take_passing(size_bytes) if size_bytes else None
        try:
            yield
        finally:
            if block is not None:
                with self._lock:
                    if not self.is_closed:
                        self._events.append(Free(block=block))

    def _take_passing(self, size_bytes: int) -> int | None:
        with self._lock:
            if self.is_closed:
                return None
            block = self._next_block
            self._next_block += 1
            phase = self.phase_now()
            self._events.append(
                Alloc(
                    block=block,
                    size_bytes=size_bytes,
                    role=Role.WORKSPACE,
                    phase=phase,
                    line=self._line_now(phase),
                )
            )
            return block

    def mark(self, tensor: Any, role: Role) -> None:
        """Say what a tensor's storage is for; the last word counts, but parameters stay."""
        with self._lock:
            known = self._blocks.get(_key_of(tensor))
            fixed = (Role.PARAMETERS, Role.WORKSPACE)
            if known is not None and self._roles.get(known[0]) not in fixed:
                self._roles[known[0]] = role

    def mark_like(self, tensor: Any, source: Any) -> None:
        """Say that a tensor is for what another one, whose copy it is, is for."""
        with self._lock:
            known = self._blocks.get(_key_of(source))
            role = self._roles.get(known[0]) if known is not None else None
        if role is not None:
            self.mark(tensor, role)

    def enter_backward(self) -> Phase:
        """Begin the backward phase; returns the phase to go back to."""
        before = self.phase
        # A backward pass within another, as checkpointing may start one, is on autograd's thread.
        self._backward_line = self._line_now(Phase.FORWARD) or self._backward_line
        self.phase = Phase.BACKWARD
        return before

    def events(self) -> tuple[Event, ...]:
        """Return what happened, every block with its final role."""
        with self._lock:
            return tuple(
                replace(event, role=self._roles.get(event.block, event.role))
                if isinstance(event, Alloc)
                else event
                for event in self._events
            )

    def mark_now(self) -> int:
        """Return a mark: how many events were written down so far."""
        return len(self._events)

    def forget(self, mark: int) -> None:
        """Leave out all that was written down since a mark."""
        with self._lock:
            del self._events[mark:]

    def has_phase(self, phase: Phase, mark: int) -> bool:
        """Whether anything came to life in that phase since a mark."""
        with self._lock:
            return any(
                isinstance(event, Alloc) and event.phase is phase for event in self._events[mark:]
            )

    def live_bytes_of(self, first: int, last: int) -> int:
        """Bytes that are still there of what came to life between two marks."""
        with self._lock:
            alive = {block for block, _ in self._blocks.values()}
            return sum(
                event.size_bytes
                for event in self._events[first:last]
                if isinstance(event, Alloc) and event.block in alive
            )

    def occupy(self, size_bytes: int) -> None:
        """Take memory, for good, that stands for what was not run."""
        with self._lock:
            if not self.is_closed:
                self._next_block += 1
                phase = self.phase_now()
                self._events.append(
                    Alloc(
                        block=self._next_block - 1,
                        size_bytes=size_bytes,
                        role=Role.ACTIVATIONS,
                        phase=phase,
                        line=self._line_now(phase),
                    )
                )

    def block_of(self, tensor: Any) -> int | None:
        """Return the number of a tensor's block; None if it was not written down."""
        with self._lock:
            known = self._blocks.get(_key_of(tensor))
            return None if known is None else known[0]

    def alive_between(self, first: int, last: int) -> list[Alloc]:
        """Return what came to life between two marks and is still there."""
        with self._lock:
            alive = {block for block, _ in self._blocks.values()}
            return [
                event
                for event in self._events[first:last]
                if isinstance(event, Alloc) and event.block in alive
            ]

    def live_bytes(self) -> int:
        """Bytes on the device now, as torch would count them."""
        with self._lock:
            return sum(
                storage.nbytes()
                for _, watch in self._blocks.values()
                if (storage := watch()) is not None
            )

    def phase_now(self) -> Phase:
        """Return where the script is: what runs without a graph in its forward part evaluates."""
        if self.phase is Phase.FORWARD:
            # Not recording for a backward pass: a validation loop, or metrics.
            is_forward = self._in_function or torch_records_graph()
            return self.phase if is_forward else Phase.EVALUATION
        return self.phase

    def _line_now(self, phase: Phase) -> str:
        """Return the innermost line of the user's own code; in autograd's thread, backward's."""
        frame = sys._getframe(2)  # noqa: SLF001 - inspect's way is a hundred times slower
        while frame is not None:
            label = self._label(frame.f_code.co_filename, frame.f_lineno)
            if label is not None:
                return label
            frame = frame.f_back  # type: ignore[assignment]
        return self._backward_line if phase is Phase.BACKWARD else ""
