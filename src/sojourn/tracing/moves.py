"""Modules that move to the device: real parameters become fake ones, and everybody must notice.

torch moves a parameter by changing what it holds; a real tensor cannot be changed into a fake one.
So a parameter is replaced, in its module, in modules that share it, and in optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(slots=True)
class ModuleMoves:
    """What was replaced by what, for the life of the process.

    `optimizers` are those that were made so far, by identity; kept up by whoever sees them made.
    `when_moved` is called with each parameter and buffer after its move.
    """

    optimizers: Mapping[int, Any]
    when_moved: Callable[[Any], None]
    # Both are kept: the old one's identity is the key, and must not be given to another tensor.
    _replaced: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    # Modules that wait for their first batch, and what is to be done to them then.
    _waiting: dict[int, tuple[Any, list[Callable[[Any], Any]]]] = field(default_factory=dict)

    def install(self) -> None:
        """Replace `torch.nn.Module._apply`, on which `to`, `cuda`, `half` and the like all rest."""
        moves = self

        def apply(module: Any, fn: Callable[[Any], Any], recurse: bool = True) -> Any:  # noqa: FBT001, FBT002
            moves.apply(module, fn, into_children=recurse)
            for optimizer in moves.optimizers.values():
                moves.update(optimizer)
            return module

        torch.nn.Module._apply = apply  # type: ignore[method-assign]  # noqa: SLF001
        self._install_lazy()

    def _install_lazy(self) -> None:
        """Have parameters that get their shape with the first batch moved when they have it."""
        moves, lazy = self, torch.nn.modules.lazy.LazyModuleMixin
        infer = lazy._infer_parameters  # noqa: SLF001 - what a lazy module calls before its forward

        def infer_and_move(module: Any, *args: Any, **kwargs: Any) -> Any:
            result = infer(module, *args, **kwargs)
            for fn in moves._waiting.pop(id(module), (module, []))[1]:
                moves.apply(module, fn, into_children=False)
            for optimizer in moves.optimizers.values():
                moves.update(optimizer)
            return result

        lazy._infer_parameters = infer_and_move  # type: ignore[method-assign,assignment]  # noqa: SLF001

    def apply(self, module: Any, fn: Callable[[Any], Any], *, into_children: bool) -> None:
        """Apply `fn` to a module's parameters and buffers, all levels down if asked to."""
        if into_children:
            for child in module.children():
                self.apply(child, fn, into_children=True)
        if any(map(is_lazy, [*module._parameters.values(), *module._buffers.values()])):  # noqa: SLF001
            self._waiting.setdefault(id(module), (module, []))[1].append(fn)
            return
        for name, parameter in module._parameters.items():  # noqa: SLF001 - as torch's own does
            if parameter is not None:
                moved = module._parameters[name] = self._moved(parameter, fn)  # noqa: SLF001
                self.when_moved(moved)
        for name, buffer in module._buffers.items():  # noqa: SLF001
            if buffer is not None:
                moved = module._buffers[name] = fn(buffer)  # noqa: SLF001
                self.when_moved(moved)
        if isinstance(module, torch.nn.RNNBase):
            names = module._flat_weights_names  # noqa: SLF001
            module._flat_weights = [getattr(module, name) for name in names]  # noqa: SLF001

    def update(self, optimizer: Any) -> None:
        """Give an optimizer the parameters that stand for those it was made with."""
        for group in optimizer.param_groups:
            for index, parameter in enumerate(group["params"]):
                current = self._current(parameter)
                if current is not parameter:
                    group["params"][index] = current
                    if parameter in optimizer.state:
                        optimizer.state[current] = optimizer.state.pop(parameter)

    def _current(self, parameter: Any) -> Any:
        while id(parameter) in self._replaced:
            parameter = self._replaced[id(parameter)][1]
        return parameter

    def _moved(self, parameter: Any, fn: Callable[[Any], Any]) -> Any:
        parameter = self._current(parameter)
        with torch.no_grad():
            applied = fn(parameter)
            if hasattr(parameter, "quantize") and _leaves_host(parameter, applied):
                # A weight of few bits is packed as it comes to the device.
                applied = parameter.quantize(parameter, applied)
        if applied.device == parameter.device and applied.dtype == parameter.dtype:
            return parameter
        moved = torch.nn.Parameter(applied, requires_grad=parameter.requires_grad)
        if parameter.grad is not None:
            moved.grad = fn(parameter.grad)
        # In torch the parameter stays the same object, with whatever was written on it.
        for name in vars(parameter).keys() - vars(moved).keys():
            setattr(moved, name, getattr(parameter, name))
        for statistic in getattr(getattr(moved, "quant_state", None), "tensors", ()):
            self.when_moved(statistic)
        self._replaced[id(parameter)] = (parameter, moved)
        if parameter.device.type == "cpu":
            # On a card the host's copy would be gone.
            parameter.grad = None
            parameter.data = torch.empty(0, dtype=parameter.dtype)
        return moved


def _leaves_host(parameter: Any, applied: Any) -> bool:
    return parameter.device.type == "cpu" and applied.device.type != "cpu"
