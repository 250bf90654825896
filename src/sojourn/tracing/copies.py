"""Deep copies of what is on the device: averaged models, best weights so far, frozen references."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from sojourn.forecast.trace import Role

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder


def install_copies(recorder: Recorder) -> None:
    """Let `copy.deepcopy` take what is on the device, for the rest of the process.

    torch would copy whatever hangs on a fake tensor too, down to the mode that made it, and tensors
    of two modes do not mix.
    """
    copied_as_torch_does = torch.Tensor.__deepcopy__

    def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            return copied_as_torch_does(self, memo)  # refuses, and says why
        is_parameter = isinstance(self, torch.nn.Parameter)
        with torch.no_grad():
            made = self.clone()
        if is_parameter:
            made = torch.nn.Parameter(made, requires_grad=self.requires_grad)
            recorder.mark(made, Role.PARAMETERS)
        else:
            made.requires_grad_(self.requires_grad)
            recorder.mark_like(made, self)
        memo[id(self)] = made
        if self.grad is not None:
            made.grad = copy.deepcopy(self.grad, memo)
        for name in vars(self).keys() - vars(made).keys():
            setattr(made, name, copy.deepcopy(vars(self)[name], memo))
        return made

    FakeTensor.__deepcopy__ = deepcopy  # type: ignore[method-assign]
