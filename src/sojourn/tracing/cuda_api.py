"""torch.cuda as a script sees it: one card, always ready. Only Python names are replaced here."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import torch

from sojourn.tracing.device import CUDNN_VERSION

if TYPE_CHECKING:
    from sojourn.tracing.recorder import Recorder

# What a script is told when it asks for the card's size: an A100 40 GB's, in bytes. Few scripts
# ask, and those that do choose a batch size by it; the trace says so.
_TOLD_MEMORY_BYTES = 40507 << 20
_TOLD_MULTIPROCESSORS = 108
_BF16_CAPABILITY = (8, 0)


class _Stream:
    """A stream on a card that runs everything in order."""

    cuda_stream = 0
    device = torch.device("cuda", 0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass

    def record_event(self, event: Any = None) -> Any:
        return event or _Event()

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True


class _Event:
    """An event that has always happened already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def wait(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: Any) -> float:  # noqa: ARG002 - torch's signature
        return 1.0


class _HostGenerator(torch.Generator):
    """A generator on the host, whatever device it was asked for."""

    def __new__(cls, device: Any = "cpu") -> Self:  # noqa: ARG004 - torch's signature
        return super().__new__(cls, "cpu")  # type: ignore[call-arg]


def install_cuda_api(recorder: Recorder, compute_capability: str) -> None:
    """Replace torch.cuda's functions by ones that answer for a card that isn't there."""
    major, minor = (int(part) for part in compute_capability.split("."))

    def capability(*_args: Any) -> tuple[int, int]:
        recorder.asked_capability = True
        return major, minor

    recorder.has_bfloat16 = (major, minor) >= _BF16_CAPABILITY

    def is_bf16_supported(including_emulation: bool = True) -> bool:  # noqa: FBT001, FBT002
        """Source: PyTorch, torch/cuda/__init__.py: by default yes, on any card."""
        recorder.asked_capability = True
        return recorder.has_bfloat16 or including_emulation

    def properties(*_args: Any) -> SimpleNamespace:
        recorder.asked_capability = True
        recorder.assume("a script that asks for the card's memory is told 39.6 GiB")
        return SimpleNamespace(
            name="NVIDIA GPU",
            major=major,
            minor=minor,
            total_memory=_TOLD_MEMORY_BYTES,
            multi_processor_count=_TOLD_MULTIPROCESSORS,
            is_integrated=0,
            is_multi_gpu_board=0,
            warp_size=32,
            gcnArchName="",
        )

    def free_memory(*_args: Any) -> tuple[int, int]:
        recorder.assume("a script that asks for the card's memory is told 39.6 GiB")
        return max(0, _TOLD_MEMORY_BYTES - recorder.live_bytes()), _TOLD_MEMORY_BYTES

    answers: dict[str, Any] = {
        "get_device_capability": capability,
        "is_bf16_supported": is_bf16_supported,
        "get_device_properties": properties,
        "mem_get_info": free_memory,
        "Stream": _Stream,
        "Event": _Event,
    }

    def live_bytes(*_args: Any, **_kwargs: Any) -> int:
        recorder.assume("memory figures that a script asks torch for are what lives at that moment")
        return recorder.live_bytes()

    for name in ("memory_allocated", "max_memory_allocated", "memory_reserved"):
        answers[name] = live_bytes
    answers["max_memory_reserved"] = answers["memory_reserved"]
    for name, value in {**_constant_answers(), **answers}.items():
        setattr(torch.cuda, name, value)
        for module in (torch.cuda.random, torch.cuda.memory):  # where torch.cuda has them from
            if hasattr(module, name):
                setattr(module, name, value)
    torch.cuda.graphs.is_current_stream_capturing = lambda: False
    torch.Generator = _HostGenerator  # type: ignore[misc]
    torch.Tensor.pin_memory = lambda self, *_a, **_k: self  # type: ignore[method-assign]
    torch.backends.cudnn.is_available = lambda: True
    torch.backends.cudnn.version = lambda: CUDNN_VERSION
    torch.backends.cudnn.is_acceptable = lambda tensor: tensor.device.type == "cuda"


def _constant_answers() -> dict[str, Any]:
    def nothing(*_args: Any, **_kwargs: Any) -> None:
        return None

    def stream(*_args: Any, **_kwargs: Any) -> _Stream:
        return _Stream()

    answers: dict[str, Any] = dict.fromkeys(
        (
            "_lazy_init",
            "empty_cache",
            "init",
            "ipc_collect",
            "manual_seed",
            "manual_seed_all",
            "reset_max_memory_allocated",
            "reset_peak_memory_stats",
            "seed",
            "seed_all",
            "set_device",
            "set_per_process_memory_fraction",
            "set_rng_state",
            "set_rng_state_all",
            "synchronize",
        ),
        nothing,
    )
    answers |= {
        "current_device": lambda: 0,
        "current_stream": stream,
        "default_stream": stream,
        "device_count": lambda: 1,
        "get_device_name": lambda *_args: "NVIDIA GPU",
        "get_rng_state": lambda *_args: torch.zeros(16, dtype=torch.uint8),
        "get_rng_state_all": lambda: [torch.zeros(16, dtype=torch.uint8)],
        "is_available": lambda: True,
        "is_current_stream_capturing": lambda: False,
        "is_initialized": lambda: True,
        "memory_summary": lambda *_args, **_kwargs: "",
        "memory_stats": lambda *_args, **_kwargs: {},
        "stream": lambda _stream: contextlib.nullcontext(),
    }
    return answers
