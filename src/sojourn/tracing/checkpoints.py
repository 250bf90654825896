"""What `torch.save` was given, for the `torch.load` that follows in the same script.

Nothing is written. What is kept of a tensor is its shape, type and place, so that no memory stays
taken for it; `torch.load` makes new ones, as it would from a file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_all, tree_map

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What is kept of a tensor. Not keyword-only data of ours alone: a leaf in the user's tree."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str


class Checkpoints:
    """Keeps what was saved, by file."""

    def __init__(self) -> None:
        self._saved: dict[Path, Any] = {}

    def save(self, value: Any, file: Any) -> None:
        """Keep the outline of what is saved; what is no tensor, text or number is forgotten."""
        if not isinstance(file, (str, os.PathLike)):
            return
        outline = tree_map(_outline, value)
        name = Path(file).absolute()
        if tree_all(lambda leaf: isinstance(leaf, (_Tensor, *_PLAIN)), outline):
            self._saved[name] = outline
        else:
            self._saved.pop(name, None)

    def has(self, file: Any) -> bool:
        """Whether something was saved under this name."""
        return isinstance(file, (str, os.PathLike)) and Path(file).absolute() in self._saved

    def load(self, file: Any, map_location: Any) -> Any:
        """Return tensors like those that were saved, where they were or where they shall go."""
        named = map_location if isinstance(map_location, (str, torch.device)) else None

        def made(leaf: Any) -> Any:
            if not isinstance(leaf, _Tensor):
                return leaf
            return torch.zeros(leaf.shape, dtype=leaf.dtype, device=named or leaf.device)

        return tree_map(made, self._saved[Path(file).absolute()])


def _outline(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    return _Tensor(tuple(leaf.shape), leaf.dtype, str(leaf.device))
