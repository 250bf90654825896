"""What `torch.save` was given, for the `torch.load` that follows in the same script.

Of a tensor its shape, type and place are kept, so that no memory stays taken for it; `torch.load`
makes new ones, as it would from a file. The rest is pickled, whole models too. What is written is
a mark with the number of what was saved, so that files can be looked for, renamed and copied.
"""

from __future__ import annotations

import io
import os
import pickle
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = b"sojourn: checkpoint %012d\n"
_MARK_BYTES = len(_MARK % 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    """What is kept of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str
    requires_grad: bool
    is_parameter: bool

    def made(self, place: Callable[[str], Any]) -> torch.Tensor:
        device = place(self.device)
        tensor = torch.zeros(self.shape, dtype=self.dtype, device=device)
        if self.is_parameter:
            return torch.nn.Parameter(tensor, requires_grad=self.requires_grad)
        return tensor.requires_grad_(self.requires_grad)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """A checkpoint: all but its tensors, pickled, and these in the order in which they came."""

    pickled: bytes
    tensors: tuple[_Tensor, ...]


class Checkpoints:
    """Keeps what was saved, by the number in the mark that was written instead."""

    def __init__(self) -> None:
        self._saved: list[_Saved] = []

    def save(self, value: Any, file: Any) -> None:
        """Keep the outline of what is saved, if it can be pickled, and leave a mark in its file."""
        outline = _Outline()
        try:
            outline.dump(value)
        except Exception:  # noqa: BLE001 - an object of the user's may raise anything
            return
        self._saved.append(outline.saved())
        mark = _MARK % (len(self._saved) - 1)
        # Where nothing can be written, say since the folder is not there, nothing is found later.
        with suppress(OSError, ValueError):
            if isinstance(file, (str, os.PathLike)):
                with open(file, "wb") as opened:  # noqa: PTH123 - paths are mapped here
                    opened.write(mark)
            elif hasattr(file, "write"):
                file.write(mark)

    def has(self, file: Any) -> bool:
        """Whether something that was saved is to be read next from there."""
        return self._number(file, is_taken=False) is not None

    def load(self, file: Any, map_location: Any) -> Any:
        """Return what was saved, with tensors where they were or where they shall go."""
        number = self._number(file, is_taken=True)
        if number is None:
            raise ValueError("nothing was saved there")
        saved = self._saved[number]
        return _Remake(saved, _placing(map_location)).load()

    def _number(self, file: Any, *, is_taken: bool) -> int | None:
        text = b""
        with suppress(OSError, ValueError):
            if isinstance(file, (str, os.PathLike)):
                with open(file, "rb") as opened:  # noqa: PTH123 - paths are mapped here
                    text = opened.read(_MARK_BYTES)
            elif hasattr(file, "read") and hasattr(file, "seek"):
                start = file.tell()
                text = file.read(_MARK_BYTES)
                if not is_taken:
                    file.seek(start)
        digits = text[len(_MARK_BEGIN) : -1] if text[: len(_MARK_BEGIN)] == _MARK_BEGIN else b""
        return int(digits) if digits.isdigit() and int(digits) < len(self._saved) else None


_MARK_BEGIN = _MARK.partition(b"%")[0]


class _Outline(pickle.Pickler):
    """Pickles a checkpoint without its tensors."""

    def __init__(self) -> None:
        self._written = io.BytesIO()
        self._tensors: list[_Tensor] = []
        self._numbers: dict[int, int] = {}
        # What has a number must not go, as another could then have its id.
        self._held: list[torch.Tensor] = []
        super().__init__(self._written)

    def persistent_id(self, obj: Any) -> int | None:  # a name of pickle's
        """Return the number of a tensor; None for all else."""
        if not isinstance(obj, torch.Tensor):
            return None
        if id(obj) not in self._numbers:
            self._numbers[id(obj)] = len(self._tensors)
            self._held.append(obj)
            self._tensors.append(
                _Tensor(
                    shape=tuple(obj.shape),
                    dtype=obj.dtype,
                    device=str(obj.device),
                    requires_grad=obj.requires_grad,
                    is_parameter=isinstance(obj, torch.nn.Parameter),
                )
            )
        return self._numbers[id(obj)]

    def saved(self) -> _Saved:
        return _Saved(pickled=self._written.getvalue(), tensors=tuple(self._tensors))


class _Remake(pickle.Unpickler):
    """Makes a checkpoint anew; what was one tensor is one again."""

    def __init__(self, saved: _Saved, place: Callable[[str], Any]) -> None:
        self._tensors = saved.tensors
        self._place = place
        self._made: dict[int, torch.Tensor] = {}
        super().__init__(io.BytesIO(saved.pickled))

    def persistent_load(self, pid: Any) -> Any:
        """Return the tensor with that number."""
        if pid not in self._made:
            self._made[pid] = self._tensors[pid].made(self._place)
        return self._made[pid]


class _Storage:
    """What a function that says where storages go is asked with, and answers with."""

    def __init__(self, device: str) -> None:
        self.device = device

    def cpu(self) -> _Storage:
        return _Storage("cpu")

    def cuda(self, device: Any = None, *_: Any, **__: Any) -> _Storage:
        return _Storage("cuda" if device is None else str(torch.device(device)))


def _placing(map_location: Any) -> Callable[[str], Any]:
    """Return where a tensor goes by where it was, as `torch.load` has it."""
    if map_location is None:
        return lambda device: device
    if isinstance(map_location, dict):
        return lambda device: map_location.get(device, device)
    if callable(map_location) and not isinstance(map_location, torch.device):

        def asked(device: str) -> Any:
            answer = map_location(_Storage("cpu"), device)
            return device if answer is None else getattr(answer, "device", device)

        return asked
    return lambda _device: map_location
