"""Large parameters on the host that take no memory: nobody needs their values before they move.

A model is built on the host and then moved. Its parameters are memory that the system gives only
when it is written to, and what writes to it first is their initialisation. That is left out, so
that a model far larger than this machine can be built; the parameters read as zeros. Whatever else
writes to such a parameter (a checkpoint that is loaded) does so for real.

    born       fresh from torch.empty, not written to so far
    unwritten  born, and then made a parameter: initialising it does nothing
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Smaller parameters are initialised as ever.
_LEAST_BYTES = 1 * MIB
_BIRTHS = {"empty", "empty_like", "new_empty", "empty_strided"}
# mallopt's name for the size from which on memory is mapped, and so comes untouched and goes at
# once. Left alone, it grows with what is freed. Source: glibc, malloc.h; mallopt(3).
_M_MMAP_THRESHOLD = -3


class Unwritten:
    """The parameters of this process that were never written to.

    `peak_bytes` is the most that they would have taken at one time, had they been.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._live_bytes = 0
        self._is_counting = True
        self._born: dict[int, Any] = {}
        self._unwritten: dict[int, tuple[int, Any]] = {}

    def install(self) -> None:
        """Watch parameters being made, for the rest of the process."""
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LEAST_BYTES)
        make = torch.nn.Parameter.__new__

        @functools.wraps(make)
        def making(cls: Any, *args: Any, **kwargs: Any) -> Any:
            parameter = make(cls, *args, **kwargs)
            key = _key(parameter)
            if key in self._born:
                del self._born[key]
                self._add(parameter)
            return parameter

        torch.nn.Parameter.__new__ = making  # type: ignore[method-assign]
        # Most do nothing but what `run` leaves out, but some draw again until all values are good.
        for name, function in vars(torch.nn.init).copy().items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(torch.nn.init, name, self._sparing(function))

    def _sparing(self, initialise: Any) -> Any:
        @functools.wraps(initialise)
        def sparing(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if _key(tensor) in self._unwritten:
                return tensor
            return initialise(tensor, *args, **kwargs)

        return sparing

    @contextmanager
    def loaded_in_place(self) -> Iterator[None]:
        """Within it, parameters are made that a library loads straight to where they belong."""
        self._is_counting = False
        try:
            yield
        finally:
            self._is_counting = True

    def run(self, func: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        """Run an operator on the host, unless all it does is to initialise or to copy zeros."""
        if name in _BIRTHS:
            output = func(*args, **kwargs)
            self._note_birth(output)
            return output
        if not self._born and not self._unwritten:
            return func(*args, **kwargs)
        first: Any = args[0] if args else None
        is_mine = isinstance(first, torch.Tensor) and _key(first) in self._unwritten
        stays = torch.device(kwargs.get("device") or "cpu").type == "cpu"
        if is_mine and stays and name in {"clone", "_to_copy"}:
            return self._copy(first, kwargs)
        if name.endswith("_") or "out" in kwargs:
            others = [value for value in tree_leaves((args[1:], kwargs)) if _is_tensor(value)]
            if is_mine and all(_key(other) in self._unwritten for other in others):
                return first
            self._note_writing((args[:1], kwargs.get("out")))
        return func(*args, **kwargs)

    def _note_birth(self, tensor: Any) -> None:
        if tensor.device.type == "cpu" and tensor.untyped_storage().nbytes() >= _LEAST_BYTES:
            key = _key(tensor)
            forget = functools.partial(self._forget_birth, key)
            self._born[key] = weakref.ref(tensor.untyped_storage(), forget)

    def _forget_birth(self, key: int, _reference: Any) -> None:
        self._born.pop(key, None)

    def _add(self, tensor: Any) -> None:
        key = _key(tensor)
        size_bytes = tensor.untyped_storage().nbytes() if self._is_counting else 0
        watch = weakref.ref(tensor.untyped_storage(), functools.partial(self._drop, key))
        self._unwritten[key] = (size_bytes, watch)
        self._live_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)

    def _drop(self, key: int, _reference: Any = None) -> None:
        size_bytes, _ = self._unwritten.pop(key, (0, None))
        self._live_bytes -= size_bytes

    def _copy(self, source: Any, kwargs: Any) -> Any:
        """Return what a copy of zeros would be, as unwritten as they are."""
        layout = kwargs.get("memory_format") or torch.preserve_format
        output = torch.empty_like(source, dtype=kwargs.get("dtype"), memory_format=layout)
        if output.untyped_storage().nbytes() >= _LEAST_BYTES:
            self._add(output)
            return output
        return output.zero_()

    def _note_writing(self, written: Any) -> None:
        for tensor in self._known(written):
            self._born.pop(_key(tensor), None)
            self._drop(_key(tensor))

    def _known(self, values: Any) -> Iterator[Any]:
        for value in tree_leaves(values):
            if _is_tensor(value) and (_key(value) in self._born or _key(value) in self._unwritten):
                yield value


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _key(tensor: Any) -> int:
    """Return torch's own identity of a tensor's storage; 0 for a tensor that has none."""
    try:
        key: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - it has no public name
    except (NotImplementedError, RuntimeError):
        return 0
    return key
