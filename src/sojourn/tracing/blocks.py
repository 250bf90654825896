"""The repeated parts of a model, and how to have them computed again in the backward pass.

What is repeated is what a person would name: the layers of a transformer, the bottlenecks of a
ResNet; never a bare nn.Linear, since computing that again saves nothing.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from typing import Any

from torch import nn
from torch.utils import checkpoint

from sojourn.forecast.changes import Chain

# Classes that only hold others; what is repeated is looked for inside of them first.
_HOLDERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# Two of a kind may be an encoder and a decoder; what is repeated inside of them is taken then.
_SURELY_REPEATED = 3
_SHORTEST_CHAIN = 4


def repeated_blocks(model: Any) -> list[Any]:
    """Return the outermost modules that stand beside others of their class."""
    siblings: defaultdict[type[Any], list[Any]] = defaultdict(list)
    for child in model.children():
        if any(True for _ in child.children()):
            siblings[type(child)].append(child)
    return [block for kind, group in siblings.items() for block in _chosen(kind, group)]


def _chosen(kind: type[Any], group: list[Any]) -> list[Any]:
    is_holder = kind in _HOLDERS
    if not is_holder and len(group) >= _SURELY_REPEATED:
        return group
    inner = [block for module in group for block in repeated_blocks(module)]
    if inner or len(group) == 1:
        return inner
    if kind in {nn.ModuleList, nn.ModuleDict}:
        return []  # they have no forward pass of their own
    return [module for module in group if len(list(module.children())) > 1]


def longest_chain(model: Any) -> Chain | None:
    """Return the longest nn.Sequential of plain layers."""
    chains = {path: module for path, module in model.named_modules() if _is_chain(module)}
    path = max(chains, key=lambda path: len(chains[path]), default=None)
    if path is None:
        return None
    # As many segments as layers in each: inputs and what is computed again take least together.
    return Chain(path=path, segments=max(2, round(math.sqrt(len(chains[path])))))


def _is_chain(module: Any) -> bool:
    if type(module) is not nn.Sequential or len(module) < _SHORTEST_CHAIN:
        return False
    weighted = [child for child in module if any(True for _ in child.parameters())]
    return len(weighted) > 1 and not any(True for c in module for _ in c.children())


def switchable(model: Any) -> Any | None:
    """Return the part of a model that transformers can checkpoint by itself, if there is one."""
    for module in model.modules():
        if getattr(module, "supports_gradient_checkpointing", False):
            return module
    return None


def checkpoint_model(model: Any) -> None:
    """Have a model's repeated blocks computed again in the backward pass, from now on."""
    switched = switchable(model)
    if switched is not None:
        switched.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
        return
    blocks = repeated_blocks(model)
    for block in blocks:
        block.forward = functools.partial(checkpoint.checkpoint, block.forward, use_reentrant=False)
    cut = None if blocks else longest_chain(model)
    if cut is not None:
        chain = model.get_submodule(cut.path)
        chain.forward = functools.partial(
            checkpoint.checkpoint_sequential, chain, cut.segments, use_reentrant=False
        )
