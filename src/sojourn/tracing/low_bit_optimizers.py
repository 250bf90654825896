"""bitsandbytes' optimizers: states of their sizes, and no arithmetic.

    32 bit    4 bytes per element, whatever the parameter's type
    8 bit     1 byte per element, and an fp32 maximum per block of 256; small parameters in 32 bit
    paged     in memory that device and host share: nothing of torch's allocator, so not counted

Source: bitsandbytes 0.44 and later, optim/optimizer.py: Optimizer1State and Optimizer2State.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from sojourn.forecast.kernels import Family, Phase, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sojourn.tracing.kernel_log import KernelLog
    from sojourn.tracing.recorder import Recorder

_BLOCK_ELEMENTS = 256
_LEAST_8BIT_ELEMENTS = 4096
_LEAST_PAGED_ELEMENTS = 100_000
_MAP_ENTRIES = 256
_GRADIENT_NORMS = 100
_ALL_PERCENT = 100
_EIGHT = 8
# Moments per element that each family keeps. AdEMAMix keeps two in its first state.
_MOMENTS = {
    "Adam": 2,
    "AdamW": 2,
    "AdEMAMix": 3,
    "LAMB": 2,
    "Adagrad": 1,
    "LARS": 1,
    "Lion": 1,
    "RMSprop": 1,
    "SGD": 1,
}


@dataclass(slots=True)
class GlobalOptimManager:
    """What was said about single parameters: that their state is to have 32 bits."""

    overrides: list[tuple[Any, str, dict[str, Any]]] = field(default_factory=list)
    by_parameter: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    _instance: ClassVar[GlobalOptimManager | None] = None

    @classmethod
    def get_instance(cls) -> GlobalOptimManager:
        """Return the one there is."""
        if GlobalOptimManager._instance is None:
            GlobalOptimManager._instance = cls()
        return GlobalOptimManager._instance

    def register_parameters(self, params: Any) -> None:
        """Do nothing: parameters are known by themselves here."""

    def register_module_override(self, module: Any, param_name: str, config: Any) -> None:
        """Remember what to do otherwise for one parameter of a module."""
        self.overrides.append((module, param_name, config))

    def override_config(
        self, parameters: Any, key: Any = None, value: Any = None, key_value_dict: Any = None
    ) -> None:
        """Remember what to do otherwise for some parameters."""
        config = key_value_dict or {key: value}
        several = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        self.by_parameter += [(parameter, config) for parameter in several]

    def find(self, parameter: Any) -> dict[str, Any]:
        """Return what was said about a parameter, which may have moved since."""
        config: dict[str, Any] = {}
        for known, override in self.by_parameter:
            config |= override if known is parameter else {}
        for module, name, override in self.overrides:
            config |= override if getattr(module, name) is parameter else {}
        return config


class LowBitOptimizer(torch.optim.Optimizer):
    """The base of all: makes each parameter's state at its first step.

    `note` is told what is assumed, `note_use` of each optimizer that is made.
    """

    moments: ClassVar[int]
    default_bits: ClassVar[int]
    default_paged: ClassVar[bool]
    note: ClassVar[Callable[[str], None]]
    note_use: ClassVar[Callable[[], None]]
    kernels: ClassVar[KernelLog]

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *_args: Any,
        optim_bits: int | None = None,
        is_paged: bool | None = None,
        min_8bit_size: int = _LEAST_8BIT_ELEMENTS,
        percentile_clipping: int = _ALL_PERCENT,
        block_wise: bool = True,
        **options: Any,
    ) -> None:
        type(self).note_use()
        defaults = {
            "lr": lr,
            "betas": options.get("betas", (0.9, 0.999)),
            "eps": options.get("eps", 1e-8),
            "weight_decay": options.get("weight_decay", 0.0),
        }
        super().__init__(params, defaults)
        self.optim_bits = optim_bits or self.default_bits
        self.is_paged = self.default_paged if is_paged is None else is_paged
        self._least_8bit = min_8bit_size
        self._has_norms = percentile_clipping < _ALL_PERCENT
        self._is_block_wise = block_wise
        self._maps: list[Any] = []

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make the states that are not there yet, and note the kernel of each parameter."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if not self.state[parameter]:
                    self._make_state(parameter)
                self._note_kernel(parameter)
        return loss

    def _note_kernel(self, parameter: Any) -> None:
        """One kernel reads all that a parameter has, and writes all but the gradient."""
        is_8bit = "absmax1" in self.state[parameter]
        state_bytes = self.moments * parameter.numel() * (1 if is_8bit else 4)
        own_bytes, gradient = parameter.numel() * parameter.element_size(), parameter.grad
        read_bytes = own_bytes + gradient.numel() * gradient.element_size() + state_bytes
        self.kernels.note(
            *(type(self).__name__, Family.OPTIMIZER, Phase.OPTIMIZER, Precision.FP32, 0),
            read_bytes,
            own_bytes + state_bytes,
        )

    def _make_state(self, parameter: Any) -> None:
        config = GlobalOptimManager.get_instance().find(parameter)
        count = parameter.numel()
        is_8bit = config.get("optim_bits", self.optim_bits) == _EIGHT
        is_8bit = is_8bit and count >= max(self._least_8bit, _LEAST_8BIT_ELEMENTS)
        state: dict[str, Any] = {"step": 1}
        for number in range(1, self.moments + 1):
            state[f"state{number}"] = self._buffer(parameter, is_8bit)
            if is_8bit:
                blocks = -(-count // _BLOCK_ELEMENTS) if self._is_block_wise else 2
                state[f"absmax{number}"] = _zeros(blocks, parameter)
        if is_8bit and not self._maps:
            self._maps = [_zeros(_MAP_ENTRIES, parameter) for _ in range(min(self.moments, 2))]
        for number, quantiles in enumerate(self._maps if is_8bit else (), start=1):
            state[f"qmap{number}"] = quantiles
        if self._has_norms:
            state["gnorm_vec"] = _zeros(_GRADIENT_NORMS, parameter)
        self.state[parameter] = state

    def _buffer(self, parameter: Any, is_8bit: bool) -> Any:  # noqa: FBT001
        if self.is_paged and parameter.numel() >= _LEAST_PAGED_ELEMENTS:
            type(self).note(
                "paged optimizer states lie in memory that device and host share; they are not "
                "counted"
            )
            return None
        return torch.zeros_like(parameter, dtype=torch.uint8 if is_8bit else torch.float32)


def _zeros(count: int, parameter: Any) -> Any:
    return torch.zeros(count, dtype=torch.float32, device=parameter.device)


def optimizer_classes(
    recorder: Recorder, note_use: Callable[[], None]
) -> dict[str, type[LowBitOptimizer]]:
    """Return all optimizers by name: each family in 8 and 32 bits, paged and not."""
    classes: dict[str, type[LowBitOptimizer]] = {}
    for family, moments in _MOMENTS.items():
        for paged in ("", "Paged"):
            for suffix, bits in (("", 32), ("8bit", 8), ("32bit", 32)):
                name = f"{paged}{family}{suffix}"
                made = _class(name, moments, bits, recorder, is_paged=bool(paged))
                made.note_use = staticmethod(note_use)
                classes[name] = made
    return classes


def _class(
    name: str, moments: int, bits: int, recorder: Recorder, *, is_paged: bool
) -> type[LowBitOptimizer]:
    members = {
        "moments": moments,
        "default_bits": bits,
        "default_paged": is_paged,
        "note": staticmethod(recorder.assume),
        "kernels": recorder.kernels,
        "__module__": "bitsandbytes.optim",
    }
    return type(name, (LowBitOptimizer,), members)
