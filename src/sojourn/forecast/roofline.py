"""How long the kernels of one step take on an accelerator: a roofline for each of them.

A kernel takes as long as what limits it: its arithmetic, or the bytes that it moves.

    compute = (flops / (peak x share) + flops x item / (bandwidth x reuse)) x loss
    memory  = bytes / (bandwidth x share)
    kernel  = (compute^3 + memory^3)^(1/3) + turning + launches x gap
    step    = ((sum of kernels)^4 + (operators x host)^4)^(1/4)

`reuse` is how many operations a kernel does with an element (of `item` bytes) before it has to
fetch it again: as a chip's peak grows faster than its bandwidth, the share of the peak that is
reached falls. `loss` is for what a card takes badly, `turning` for a layout that tensor cores do
not take. `host` is what Python and torch take for one operator; where kernels are small, the
accelerator waits for them. The shares are fitted to measured training steps; see `step_time_table`.

Powers instead of the larger of two, as neither limit is sharp: both are felt near where they meet.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sojourn.forecast.kernels import Family, Kernel, Phase, Precision
from sojourn.forecast.memory import Range
from sojourn.forecast.step_time import TRACED_AS_EAGER, StepTime
from sojourn.forecast.step_time_table import BANDS, PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.kernels import Kernels
    from sojourn.forecast.trace import Trace

_SHARPNESS = 3
_OVERLAP = 4
# Since when cards have tensor cores for a precision. Source: NVIDIA, CUDA C programming guide,
# compute capabilities.
_TENSOR_CORES_SINCE = {Precision.FP16: (7, 0), Precision.BF16: (8, 0), Precision.TF32: (8, 0)}
# Bytes by which the inner and the outer size of a product must divide for tensor cores to be fed
# at full speed. Source: NVIDIA, Matrix Multiplication Background User's Guide, section 3.
_ALIGNED_BYTES = 16
# Elements that a tile of a product has at least in either direction, and along the sum; assumed,
# the guide's section "Tile Quantization" says why there are any.
_TILE, _TILE_INNER = 32, 8
# What an operator costs the host where no module calls it and no graph is recorded, as a share of
# what it costs elsewhere. Assumed; hardly any of the measured steps tells it.
_OPTIMIZER_SHARE = 0.25
# Cards whose tensor cores have their peak at a clock that 70 to 72 W do not hold, by catalog id.
# Source: NVIDIA's data sheets of the T4 and the L4; Jia et al., "Dissecting the NVidia Turing T4
# GPU via Microbenchmarking" (arXiv 1903.07486), on clock throttling.
_LOW_POWER = ("t4", "l4")
# Generations of cards with ten measured rows or more.
_MEASURED = ("7.0", "8.0", "8.6", "9.0")
_MULTIPLYING = {
    Family.MATMUL: "matmul",
    Family.CONVOLUTION: "convolution",
    Family.GROUPED_CONVOLUTION: "convolution",
    Family.DEPTHWISE_CONVOLUTION: "depthwise",
    Family.ATTENTION: "attention",
    Family.RECURRENT: "recurrent",
}
# What torch.compile leaves of a step's time at best. Source: karpathy/nanoGPT, README, "efficiency
# notes": 250 ms become 135 ms for GPT-2 on an A100.
_COMPILED = 0.54
# What a fast host takes for an operator, as a share of what the slow one takes whose steps the
# parameter follows. Source: rows of bench/time: 14 billion parameters with 256 tokens need less
# than 23 us for each operator (PyTorch 2.0), small networks at batch 12 need 59 us (PyTorch 1.7).
FAST_HOST = 0.4
_CONVOLUTIONS = {Family.CONVOLUTION, Family.GROUPED_CONVOLUTION}
_MOVING = {
    Family.NORMALIZATION: "normalization",
    Family.INDEXING: "indexing",
}
# Channels of a group that are taken to have channels-last kernels of their own. Source: measured
# steps on an RTX 3090 (rows of bench/time): RegNetY, with groups of 24, takes 1.4 times as long in
# channels last as in channels first; networks with groups of these sizes, and without groups, less.
_FAST_GROUPS = (4, 8, 16, 32)
_STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kernel on one accelerator: what its time follows from, less the fitted parameters.

    `math`, `reuse`, `loss`, `power`, `narrow`, `layout` and `memory` name the parameters that
    apply; "" is none. `flops` are those of whole tiles; `inverse_width` is one over the channels of
    a group. `operators` is how often the host has to do something. `steps` wait for each other.
    `layout_bytes` is what turning tensors into the order that tensor cores want moves.
    """

    math: str
    flops: float
    peak_flops_per_s: float
    reuse: str
    item_bytes: int
    loss: str
    power: str
    narrow: str
    inverse_width: float
    memory: str
    moved_bytes: float
    layout: str
    layout_bytes: float
    bandwidth_bytes_per_s: float
    launches: int
    operators: float
    steps: int
    is_transfer: bool


class UnknownFigureError(LookupError):
    """A figure that the forecast needs is not known; the text says which, and of what."""


def forecast_step(trace: Trace, accelerator: Accelerator) -> StepTime:
    """Return how long one optimizer step, and one batch of evaluation, take on an accelerator.

    Unknown, with the reason, where the trace holds no kernels, where a step has none, where the
    accelerator lacks a figure that is needed, or where the script runs kernels of its own. What
    torch.compile would make of it is not traced: the low bound leaves room for that.
    """
    if trace.step_kernels is None:
        return StepTime(step_s=None, reason="the trace does not say which kernels a step runs")
    if not trace.step_kernels.order:
        why = "a step runs nothing on the accelerator; how long the processor takes is not known"
        return StepTime(step_s=None, reason=why)
    fastest = _COMPILED if TRACED_AS_EAGER in trace.assumptions else 1.0
    try:
        step = _forecast(trace.step_kernels, accelerator, fastest)
        batch = trace.evaluation_kernels
        evaluation_s = None
        if batch is not None:
            evaluation_s = _forecast(batch, accelerator, fastest).range_s
    except UnknownFigureError as error:
        return StepTime(step_s=None, reason=str(error))
    return StepTime(
        step_s=step.range_s, evaluation_batch_s=evaluation_s, by_family_s=step.by_family_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forecast:
    range_s: Range
    by_family_s: Mapping[str, float]


def _forecast(kernels: Kernels, accelerator: Accelerator, fastest: float) -> _Forecast:
    by_family_s: dict[str, float] = defaultdict(float)
    operators, transfer_s = 0.0, 0.0
    for kernel, count in kernels.counted():
        work = work_of(kernel, accelerator)
        seconds = count * _seconds(work)
        by_family_s[kernel.family.value] += seconds
        transfer_s += seconds if work.is_transfer else 0.0
        operators += count * work.operators
    device_s = sum(by_family_s.values())
    busy_s = device_s - transfer_s
    host_s = PARAMETERS["host_s"]
    expected_s = float(overlapped_s(busy_s, operators, host_s)) + transfer_s
    fast_s = float(overlapped_s(busy_s, operators, host_s * FAST_HOST)) + transfer_s
    by_family_s["launching"] = expected_s - device_s
    low, high = _band(by_family_s, expected_s, accelerator)
    return _Forecast(
        range_s=Range(low=fast_s * low * fastest, expected=expected_s, high=expected_s * high),
        by_family_s=dict(by_family_s),
    )


def work_of(kernel: Kernel, accelerator: Accelerator) -> Work:
    """Return what a kernel's time on an accelerator follows from.

    Raises:
        UnknownFigureError: the accelerator lacks a figure, or the kernel is nobody's but the
            script's.
    """
    if kernel.family is Family.CUSTOM:
        raise UnknownFigureError(
            f"how long {kernel.operator} takes is not known: it is none of torch's own kernels"
        )
    if accelerator.compute_capability is None:
        raise UnknownFigureError(
            f"{accelerator.name} is no CUDA device: what a step takes there was not traced"
        )
    bandwidth = accelerator.memory_bandwidth_bytes_per_s
    if bandwidth is None:
        raise UnknownFigureError(f"the memory bandwidth of {accelerator.name} is not known")
    math, narrow, peak, has_tensor_cores = "", "", 1.0, False
    is_grouped = kernel.family is Family.GROUPED_CONVOLUTION
    if kernel.family in _MULTIPLYING and kernel.flops:
        peak, has_tensor_cores = _peak(kernel, accelerator)
        kind = "tensor" if has_tensor_cores else "plain"
        math = f"{_MULTIPLYING[kernel.family]}_{kind}"
        narrow = f"narrow_{kind}" if is_grouped else ""
    return Work(
        math=math,
        flops=_tiled_flops(kernel) if has_tensor_cores else kernel.flops,
        peak_flops_per_s=peak,
        reuse=_reuse(kernel) if has_tensor_cores else "",
        item_bytes=kernel.item_bytes,
        loss=_loss(kernel, has_tensor_cores=has_tensor_cores),
        power="power" if has_tensor_cores and accelerator.id.lower() in _LOW_POWER else "",
        narrow=narrow,
        inverse_width=1 / kernel.group_channels if is_grouped else 0.0,
        memory=_memory(kernel),
        moved_bytes=kernel.moved_bytes,
        layout="layout_tf32" if kernel.precision is Precision.TF32 else "layout_half",
        layout_bytes=_layout_bytes(kernel) if has_tensor_cores else 0,
        bandwidth_bytes_per_s=bandwidth,
        launches=1 if kernel.steps else kernel.launches,
        operators=_operators(kernel),
        steps=kernel.steps,
        is_transfer=kernel.family is Family.TRANSFER,
    )


def _peak(kernel: Kernel, accelerator: Accelerator) -> tuple[float, bool]:
    """Return the peak that a kernel can come near, in FLOP/s, and whether tensor cores have it.

    Precisions that a card has no tensor cores for are computed in fp32.
    """
    capability = _version(accelerator.compute_capability or "")
    peaks = {
        Precision.FP16: accelerator.fp16_flops_per_s,
        Precision.BF16: accelerator.bf16_flops_per_s,
        Precision.TF32: accelerator.tf32_flops_per_s,
    }
    if kernel.precision is Precision.OTHER:
        raise UnknownFigureError(
            f"{kernel.operator} computes in a precision whose peak on {accelerator.name} is not "
            "known (double, or integers)"
        )
    since = _TENSOR_CORES_SINCE.get(kernel.precision)
    is_depthwise = kernel.family is Family.DEPTHWISE_CONVOLUTION
    if since is not None and capability >= since and not is_depthwise:
        peak = peaks[kernel.precision]
        if peak is None:
            raise UnknownFigureError(
                f"the peak of {accelerator.name} in {kernel.precision.value} is not known"
            )
        return peak, True
    if accelerator.fp32_flops_per_s is None:
        raise UnknownFigureError(f"the peak of {accelerator.name} in fp32 is not known")
    return accelerator.fp32_flops_per_s, False


def _reuse(kernel: Kernel) -> str:
    return "convolution_reuse" if kernel.family in _CONVOLUTIONS else "matmul_reuse"


def _tiled_flops(kernel: Kernel) -> float:
    """Return the operations with every size rounded up to whole tiles."""
    if not kernel.rows or kernel.family not in {Family.MATMUL, Family.CONVOLUTION}:
        return kernel.flops
    whole = (
        _rounded(kernel.rows, _TILE)
        * _rounded(kernel.width, _TILE)
        * _rounded(kernel.inner, _TILE_INNER)
    )
    return kernel.flops * whole / (kernel.rows * kernel.width * kernel.inner)


def _layout_bytes(kernel: Kernel) -> float:
    """Return what cuDNN moves to turn channels-first tensors into channels-last and back.

    Source: NVIDIA, Convolutional Layers User's Guide, "Tensor Layouts In Memory: NCHW vs NHWC".
    """
    if kernel.family not in _CONVOLUTIONS or kernel.is_channels_last:
        return 0
    return 2 * kernel.moved_bytes


def _loss(kernel: Kernel, *, has_tensor_cores: bool) -> str:
    """Return the parameter for what a card takes badly: shapes, or bf16 that it must emulate."""
    if not has_tensor_cores:
        is_emulated = kernel.precision is Precision.BF16 and kernel.family in _MULTIPLYING
        return "emulated" if is_emulated else ""
    if kernel.family is Family.MATMUL:
        step = _ALIGNED_BYTES // max(1, kernel.item_bytes)
        is_aligned = kernel.inner % step == 0 and kernel.width % step == 0
        return "" if is_aligned else "unaligned"
    is_grouped = kernel.family is Family.GROUPED_CONVOLUTION and kernel.is_channels_last
    return "odd_groups" if is_grouped and kernel.group_channels not in _FAST_GROUPS else ""


def _operators(kernel: Kernel) -> float:
    """Return how often the host does what it does for an operator of a module."""
    often = kernel.launches if kernel.family is Family.OPTIMIZER else 1
    return often * (_OPTIMIZER_SHARE if kernel.phase is Phase.OPTIMIZER else 1.0)


def _memory(kernel: Kernel) -> str:
    if kernel.family is Family.DEPTHWISE_CONVOLUTION:
        return "depthwise_last" if kernel.is_channels_last else "depthwise_first"
    return _MOVING.get(kernel.family, _STREAM)


def _seconds(work: Work) -> float:
    """Return the expected seconds of one kernel."""
    given = PARAMETERS
    if work.is_transfer:
        return work.moved_bytes / given["transfer_bytes_per_s"]
    return float(
        kernel_seconds(
            compute_s=compute_seconds(
                flops=work.flops
                * (given[work.loss] if work.loss else 1.0)
                * (given[work.power] if work.power else 1.0)
                * (1 + (given[work.narrow] * work.inverse_width if work.narrow else 0.0)),
                rate=work.peak_flops_per_s * (given[work.math] if work.math else 1.0),
                fetched_rate=work.bandwidth_bytes_per_s / work.item_bytes * given[work.reuse]
                if work.reuse
                else None,
            ),
            memory_s=work.moved_bytes / (work.bandwidth_bytes_per_s * given[work.memory]),
            turning_s=work.layout_bytes * given[work.layout] / work.bandwidth_bytes_per_s,
            launches=work.launches,
            gap_s=given["gap_s"],
        )
        + work.steps * given["recurrent_step_s"]
    )


def compute_seconds(*, flops: Any, rate: Any, fetched_rate: Any) -> Any:
    """Return the seconds that arithmetic takes; numbers, or arrays of them.

    `rate` is in FLOP/s, and so is `fetched_rate`, what memory can feed (None: never the limit).
    """
    seconds = flops / rate
    return seconds if fetched_rate is None else seconds + flops / fetched_rate


def kernel_seconds(
    *, compute_s: Any, memory_s: Any, turning_s: Any, launches: Any, gap_s: Any
) -> Any:
    """Return the seconds of one kernel; numbers, or arrays of them."""
    limit = (compute_s**_SHARPNESS + memory_s**_SHARPNESS) ** (1 / _SHARPNESS)
    return limit + turning_s + launches * gap_s


def overlapped_s(device_s: Any, operators: Any, host_s: Any) -> Any:
    """Return the seconds of a step whose kernels are launched while others run."""
    return (device_s**_OVERLAP + (operators * host_s) ** _OVERLAP) ** (1 / _OVERLAP)


def _band(
    by_family_s: Mapping[str, float], expected_s: float, accelerator: Accelerator
) -> tuple[float, float]:
    if not expected_s:
        return 1.0, 1.0
    recurrent = by_family_s.get(Family.RECURRENT.value, 0.0) / expected_s
    return mixed_band(BANDS, min(1.0, recurrent), accelerator)


def mixed_band(
    bands: Mapping[str, tuple[float, float]], recurrent: float, accelerator: Accelerator
) -> tuple[float, float]:
    """Return the bounds as factors: the low one of a step on a fast host, the high one of any.

    Wider by the share of the step that recurrent layers have, and on cards of a generation that
    hardly any of the rows was measured on.
    """
    is_known = accelerator.compute_capability in _MEASURED
    low, high = bands["all" if is_known else "seldom"]
    low_recurrent, high_recurrent = bands["recurrent"]
    return (
        min(low, low + (low_recurrent - low) * recurrent),
        max(high, high + (high_recurrent - high) * recurrent),
    )


def _version(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step
