"""The largest batch that fits, and ways to make a job fit that does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.memory import MemoryForecast, Range, Verdict, forecast_memory
from sojourn.forecast.trace import Role

if TYPE_CHECKING:
    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.trace import BatchScale, Trace, Traced

# Samples; no search goes past it, and nobody trains with more on one card.
_LARGEST_BATCH = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WayToFit:
    """A change to the script under which it fits, and what it then takes, in bytes."""

    change: str
    code: str
    verdict: Verdict
    peak_reserved_bytes: Range


def forecast_on(trace: Trace, accelerator: Accelerator) -> MemoryForecast | None:
    """Forecast device memory; None where the catalog does not know the card well enough."""
    if accelerator.memory_bytes is None or accelerator.compute_capability is None:
        return None
    return forecast_memory(
        trace,
        memory_bytes=accelerator.memory_bytes,
        compute_capability=accelerator.compute_capability,
    )


def find_max_batch_size(traced: Traced, accelerator: Accelerator) -> int | None:
    """Find the largest batch size, in samples, whose high bound fits; 0 if not even one sample.

    None where it is not known how the job scales.
    """
    if traced.scale is None:
        return None
    if not _fits(traced.scale, accelerator, 1):
        return 0
    fits, too_large = 1, 2
    while too_large <= _LARGEST_BATCH and _fits(traced.scale, accelerator, too_large):
        fits, too_large = too_large, too_large * 2
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if _fits(traced.scale, accelerator, middle):
            fits = middle
        else:
            too_large = middle
    return fits


def _fits(scale: BatchScale, accelerator: Accelerator, batch_size: int) -> bool:
    forecast = forecast_on(scale.at(batch_size), accelerator)
    return forecast is not None and forecast.verdict is Verdict.FITS


def find_ways_to_fit(
    traced: Traced, accelerator: Accelerator, max_batch_size: int | None
) -> tuple[WayToFit, ...]:
    """Find changes under which the job fits: so far, micro-batches with gradient accumulation."""
    batch_size = traced.trace.batch_size
    if traced.scale is None or not batch_size or not max_batch_size:
        return ()
    for accumulate in range(2, batch_size + 1):
        micro = batch_size // accumulate
        if batch_size % accumulate or micro > max_batch_size:
            continue
        way = _accumulation(traced.scale, accelerator, micro, accumulate)
        if way is not None and way.verdict is Verdict.FITS:
            return (way,)
    return ()


def _accumulation(
    scale: BatchScale, accelerator: Accelerator, micro: int, accumulate: int
) -> WayToFit | None:
    """Forecast `accumulate` micro-batches per step.

    Gradients then live through the forward pass as well; where the trace freed them before it,
    they come on top.
    """
    trace = scale.at(micro)
    forecast = forecast_on(trace, accelerator)
    if forecast is None:
        return None
    parameters = forecast.peak.by_role_bytes[Role.PARAMETERS]
    kept = max(0, parameters - forecast.peak.by_role_bytes[Role.GRADIENTS])
    peak = forecast.peak_reserved_bytes
    reserved = Range(low=peak.low, expected=peak.expected + kept, high=peak.high + kept)
    fits = reserved.high <= forecast.usable_bytes
    return WayToFit(
        change=f"micro-batch {micro}, accumulate {accumulate}",
        code=_ACCUMULATION_CODE.format(micro=micro, accumulate=accumulate),
        verdict=Verdict.FITS if fits else Verdict.TIGHT,
        peak_reserved_bytes=reserved,
    )


_ACCUMULATION_CODE = """\
for i, batch in enumerate(loader):  # DataLoader(..., batch_size={micro})
    loss = compute_loss(batch) / {accumulate}
    loss.backward()
    if (i + 1) % {accumulate} == 0:
        optimizer.step()
        optimizer.zero_grad()
"""
