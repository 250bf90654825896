"""What cannot or need not run without a device, replaced: compilers, scalers, checkpoints."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from sojourn.forecast.step_time import TRACED_AS_EAGER
from sojourn.tracing.checkpoints import Checkpoints

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder


def install_stand_ins(recorder: Recorder) -> None:
    """Replace them for the rest of the process."""

    def compile_nothing(model: Any = None, **_kwargs: Any) -> Any:
        recorder.assume(TRACED_AS_EAGER)
        if isinstance(model, torch.nn.Module):
            # What scripts save by; past __setattr__, which would make the model its own child.
            vars(model)["_orig_mod"] = model
        return model if model is not None else (lambda function: function)

    def compile_in_place(_model: Any, *_args: Any, **_kwargs: Any) -> None:
        recorder.assume(TRACED_AS_EAGER)

    checkpoints = Checkpoints()

    def save_nothing(value: Any, f: Any = None, *_args: Any, **_kwargs: Any) -> None:
        recorder.assume("torch.save writes no tensors")
        checkpoints.save(value, f)

    def always_step(_scaler: Any, optimizer: Any, _state: Any, *args: Any, **kwargs: Any) -> Any:
        # A real scaler skips the step when gradients are infinite, as made-up values may be.
        return optimizer.step(*args, **kwargs)

    load = torch.load

    @functools.wraps(load)
    def load_on_host(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if checkpoints.has(f):
            return checkpoints.load(f, map_location)
        goes_to_device = isinstance(map_location, (str, torch.device)) and "cuda" in str(
            map_location
        )
        loaded = load(f, "cpu", *args, **kwargs)
        return _to_device(loaded) if goes_to_device else loaded

    replacements: list[tuple[Any, str, Any]] = [
        (torch, "compile", compile_nothing),
        (torch, "save", save_nothing),
        (torch, "load", load_on_host),
        (torch.nn.Module, "compile", compile_in_place),
        (torch.amp.GradScaler, "_maybe_opt_step", always_step),
    ]
    for holder, name, value in replacements:
        setattr(holder, name, value)
    # Made-up truth values would fail the arguments' validation.
    torch.distributions.Distribution.set_default_validate_args(False)
    # With one card it calls the module; taking the batch apart needs a CUDA build.
    torch.nn.DataParallel.forward = (  # type: ignore[method-assign]
        lambda self, *inputs, **kwargs: self.module(*inputs, **kwargs)
    )
    # The fused inference path of nn.TransformerEncoder has no shape rule.
    torch.backends.mha.set_fastpath_enabled(False)


def _to_device(value: Any) -> Any:
    return tree_map(lambda leaf: leaf.cuda() if isinstance(leaf, torch.Tensor) else leaf, value)
