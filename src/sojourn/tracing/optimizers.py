"""Optimizers that stand in for torch's own, so that a script can be traced with a cheaper one.

What counts is what they allocate, and when; they train nothing. The real ones need a card to run.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

# Values; smaller parameters keep their state in 32 bits. Values that share one scale.
# Source: bitsandbytes, optim/optimizer.py, Optimizer2State.init_state (0.44 and later).
_SMALLEST_IN_8_BIT = 4096
_VALUES_TO_A_SCALE = 256


class Adam8bit(torch.optim.Optimizer):
    """Memory of bitsandbytes' Adam8bit and AdamW8bit.

    Two states of a byte per value, and a float for each 256 values of either; its one kernel works
    in place. It takes what torch's Adam takes, and leaves aside what it does not know.
    """

    def __init__(self, params: Any, lr: Any = 1e-3, **known_to_torch: Any) -> None:
        defaults = {"lr": lr, "weight_decay": known_to_torch.get("weight_decay", 0.0)}
        super().__init__(params, defaults)

    def step(self, closure: Any = None) -> Any:
        """Make the states of parameters that have none yet."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter not in self.state:
                    self.state[parameter] = _states(parameter)
        return loss


def _states(parameter: Any) -> dict[str, Any]:
    count = parameter.numel()
    if count < _SMALLEST_IN_8_BIT:
        return {
            name: parameter.new_empty(count, dtype=torch.float32) for name in ("state1", "state2")
        }
    scales = -(-count // _VALUES_TO_A_SCALE)
    return {
        "state1": parameter.new_empty(count, dtype=torch.uint8),
        "state2": parameter.new_empty(count, dtype=torch.uint8),
        "absmax1": parameter.new_empty(scales, dtype=torch.float32),
        "absmax2": parameter.new_empty(scales, dtype=torch.float32),
    }


STAND_INS: dict[str, type[torch.optim.Optimizer]] = {"AdamW8bit": Adam8bit}


def replace_adam(name: str) -> None:
    """Let a stand-in take the place of torch's Adam and AdamW for the rest of the process."""
    for holder in (torch.optim, sys.modules["torch.optim.adam"], sys.modules["torch.optim.adamw"]):
        for replaced in ("Adam", "AdamW"):
            if hasattr(holder, replaced):
                setattr(holder, replaced, STAND_INS[name])
