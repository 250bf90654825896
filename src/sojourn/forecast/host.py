"""HostForecast: the memory that a script takes on the host of a runtime, and the verdict.

Tracing runs the script's own code on the host for real, so that its data, its imports and its
models are in the peak that was seen. What a rented runtime adds to it, or has otherwise:

    libraries   the interpreter and a CUDA build of torch
    context     the host's side of the CUDA context, and the kernels that cuDNN and cuBLAS load
    workers     DataLoader's processes, which tracing does without, and the batches they have ready
    pinned      page-locked copies of batches

Figures were measured on torch 2.12.1 to 2.15.0, Python 3.11, x86-64, where no source is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Range, Verdict, verdict_of
from sojourn.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sojourn.forecast.trace import LoaderUse, Trace

# What a machine's own processes and the notebook's server take: 0.9 to 1.4 GB on a Colab runtime.
# Source: linux-blog.anracom.com, "Google Colab, RAM, VRAM and GPU usage limits - I".
SYSTEM_BYTES = 1_400_000_000
# Resident memory of a process of its own after two steps of a small model, with CUDA builds: from
# 632 MiB (2.12.1) to 687 MiB (2.15.0), and 52 MiB more once cuDNN is loaded; the CPU build takes
# 347 MiB. What the traced process had before the script is no measure: it shares most of it with
# others.
_LIBRARIES = Range(low=632 * MIB, expected=687 * MIB, high=739 * MIB)
# Not calibrated. Low: the first tensor on an RTX 3090, CUDA 11.8, kernels loaded as they are needed
# (PyTorch issue 113326). High: the same, all loaded at once. Expected: the low figure, and 594 MiB
# for the first convolution (PyTorch issue 12873, from before kernels were loaded one by one).
_CONTEXT = Range(low=114 * MIB, expected=708 * MIB, high=1694 * MIB)
# Private memory of one forked worker, data aside: 13 to 18 MiB.
_WORKER_BYTES = 16 * MIB
# Share of the script's Python objects that each worker ends up with a copy of. Of a list of dicts
# (361 MiB), 130 MiB were copied by each of four workers after a sixth of an epoch, and all are in
# the end; of an array none. Which of the two a script has is not known.
# Source of the reason: ppwwyyxx.com, "Demystify RAM Usage in Multi-Process Data Loaders".
_COPIED = Range(low=0.0, expected=0.5, high=1.0)
# Page-locked batches of a loader that makes them: the one in use and the next; at least one, and at
# most that one and all that can be ready.
_PINNED_BATCHES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HostForecast:
    """Host memory of one job on one runtime type, in bytes.

    `usable_bytes` is the host's memory less what its system takes, None where it is not known;
    `by_part_bytes` says what the expected value is made of.
    """

    usable_bytes: int | None
    peak_bytes: Range
    by_part_bytes: Mapping[str, int]
    verdict: Verdict


def forecast_host(trace: Trace, *, memory_bytes: int | None, has_card: bool) -> HostForecast:
    """Forecast the host memory that a traced script takes.

    Args:
        trace: The traced script.
        memory_bytes: The host's memory, all of it; None if it is not known.
        has_card: Whether the runtime has a CUDA card.

    Returns:
        The forecast. Its verdict is unknown too where there is no card for a script that uses one:
        what it would put there instead is not in the peak.
    """
    loaders = trace.host.loaders
    parts = {
        "script": _exactly(max(0, trace.host_memory_bytes - trace.host.before_bytes)),
        "libraries": _LIBRARIES,
        "context": _CONTEXT if has_card and trace.uses_device else _NOTHING,
        "workers": _workers(loaders),
        "pinned": _sum(_pinned(loader) for loader in loaders) if has_card else _NOTHING,
    }
    peak = _sum(parts.values())
    usable = None if memory_bytes is None else max(0, memory_bytes - SYSTEM_BYTES)
    verdict = Verdict.UNKNOWN
    if usable is not None and (has_card or not trace.uses_device):
        verdict = verdict_of(peak, usable)
    return HostForecast(
        usable_bytes=usable,
        peak_bytes=peak,
        by_part_bytes={name: round(part.expected) for name, part in parts.items()},
        verdict=verdict,
    )


def _workers(loaders: Sequence[LoaderUse]) -> Range:
    """Return what workers take: persistent ones stay, of the others one loader's run at a time."""
    staying = [_workers_of(loader) for loader in loaders if loader.is_persistent]
    passing = [_workers_of(loader) for loader in loaders if not loader.is_persistent]
    return _sum((*staying, max(passing, key=lambda one: one.expected, default=_NOTHING)))


def _workers_of(loader: LoaderUse) -> Range:
    each = _WORKER_BYTES + loader.batches_ahead * loader.batch_bytes
    return Range(
        low=loader.workers * (each + _COPIED.low * loader.objects_bytes),
        expected=loader.workers * (each + _COPIED.expected * loader.objects_bytes),
        high=loader.workers * (each + _COPIED.high * loader.objects_bytes),
    )


def _pinned(loader: LoaderUse) -> Range:
    """Return what a loader page-locks; torch rounds each such block up to a power of two.

    Source: PyTorch, ATen/core/CachingHostAllocator.h, which also keeps what is freed.
    """
    if not loader.is_pinned or not loader.batch_bytes:
        return _NOTHING
    block = 1 << (loader.batch_bytes - 1).bit_length()
    most = max(_PINNED_BATCHES, loader.workers * loader.batches_ahead + 1)
    return Range(low=block, expected=_PINNED_BATCHES * block, high=most * block)


def _exactly(value: float) -> Range:
    return Range(low=value, expected=value, high=value)


def _sum(parts: Iterable[Range]) -> Range:
    low = expected = high = 0.0
    for part in parts:
        low, expected, high = low + part.low, expected + part.expected, high + part.high
    return Range(low=low, expected=expected, high=high)


_NOTHING = _exactly(0)
