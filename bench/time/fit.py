"""Fit the parameters of the roofline to the measured rows, and try them on models left out.

    python bench/time/fit.py [--write]

Least squares on the logarithm of forecast / measured, less steep beyond 20 %, with a weak pull
towards what each parameter was first thought to be. Every model is left out once, with all its
rows and twins, and forecast by what the others say. With `--write` the parameters and the band go
into src/sojourn/forecast/step_time_table.py. The traces must have been made (see traces.py).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from cards import card_of
from results import Result, summarize
from rows import HERE, Row, read_rows
from table import write_table
from traces import read_trace
from workloads import NotRebuiltError, script_of

from sojourn.forecast import roofline
from sojourn.forecast.roofline import UnknownFigureError, Work, work_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sojourn.forecast.trace import Trace

TABLE = HERE.parents[1] / "src" / "sojourn" / "forecast" / "step_time_table.py"
# What each parameter is, and what it was thought to be before any row was looked at.
PRIORS: dict[str, tuple[float, str]] = {
    "matmul_tensor": (0.8, "share of the peak of tensor cores that matrix products reach"),
    "matmul_plain": (0.75, "the same, without tensor cores"),
    "convolution_tensor": (0.7, "share of the peak, convolutions"),
    "convolution_plain": (0.7, "the same, without tensor cores (Winograd counts as more)"),
    "narrow_tensor": (16.0, "channels of a group at which half the speed of convolutions is left"),
    "narrow_plain": (16.0, "the same, without tensor cores"),
    "odd_groups": (3.0, "how much slower channels-last groups of odd numbers of channels are"),
    "depthwise_plain": (0.3, "share of the fp32 peak, depthwise convolutions"),
    "attention_tensor": (0.5, "share of the peak, fused attention"),
    "attention_plain": (0.4, "the same, without tensor cores"),
    "recurrent_tensor": (0.9, "share of the peak, one time step of a recurrent layer"),
    "recurrent_plain": (0.5, "the same, without tensor cores"),
    "matmul_reuse": (300.0, "FLOP for each element that is fetched, matrix products"),
    "convolution_reuse": (300.0, "the same, convolutions"),
    "stream": (
        0.8,
        "share of the bandwidth: elementwise, copies, reductions, optimizers, operands",
    ),
    "normalization": (0.7, "share of the bandwidth, normalisations"),
    "indexing": (0.4, "share of the bandwidth, rows picked and placed"),
    "depthwise_first": (0.3, "share of the bandwidth, depthwise convolutions, channels first"),
    "depthwise_last": (0.4, "the same, channels last"),
    "layout_half": (1.0, "how often channels-first tensors are turned for half precision and back"),
    "layout_tf32": (0.5, "the same for TF32, for which some kernels take them as they are"),
    "unaligned": (1.7, "how much slower products are whose sizes do not divide by 16 bytes"),
    "emulated": (1.5, "how much slower bf16 is than fp32 on cards that emulate it"),
    "power": (1.6, "how much slower tensor cores are than at their peak's clock, on cards of 70 W"),
    "gap_s": (2e-6, "seconds between two kernels on the device"),
    "host_s": (20e-6, "seconds that Python and torch take for one operator"),
    "recurrent_step_s": (4e-6, "seconds for which a time step waits for the one before"),
    "transfer_bytes_per_s": (5e9, "bytes/s between pageable host memory and the device"),
}
_NAMES = list(PRIORS)
# None of these can be more than all of it. Tensor cores may: cards of which the peak is given at a
# boost clock run above it.
_MOST = {
    **dict.fromkeys(("matmul_tensor", "convolution_tensor"), 1.2),
    **dict.fromkeys(("attention_tensor", "recurrent_tensor", "matmul_plain", "stream"), 1.0),
    **dict.fromkeys(("normalization", "indexing", "depthwise_first", "depthwise_last"), 1.0),
}
_PULL = 0.15  # of a row, for a parameter that is off by a factor of e
_KNEE = 0.2
_STEPS, _STEPS_LEFT_OUT = 15, 2
# Of the rows, how many lie below the band and how many below its upper end.
_BAND = (0.04, 0.96)
# Not fitted: recurrent layers were measured in two rows, of one model; of cards that are not of a
# generation with ten rows or more, four rows.
_WIDER = {"recurrent": (0.5, 2.0), "seldom": (0.6, 1.7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A row with its trace, and what its kernels are on its card."""

    row: Row
    work: list[tuple[Work, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All kernels of all rows as arrays; `row` says whose each is."""

    rows: int
    row: NDArray[Any]
    count: NDArray[Any]
    flops: NDArray[Any]
    peak: NDArray[Any]
    math: NDArray[Any]
    reuse: NDArray[Any]
    memory: NDArray[Any]
    moved: NDArray[Any]
    layout: NDArray[Any]
    layout_bytes: NDArray[Any]
    bandwidth: NDArray[Any]
    launches: NDArray[Any]
    steps: NDArray[Any]
    item: NDArray[Any]
    loss: NDArray[Any]
    power: NDArray[Any]
    narrow: NDArray[Any]
    inverse_width: NDArray[Any]
    transferred: NDArray[Any]
    operators: NDArray[Any]


def scored_rows() -> tuple[list[Scored], dict[str, str]]:
    """Return the rows that can be forecast, and by id why the others cannot."""
    found, left_out = [], {}
    for row in read_rows(HERE / "rows.csv"):
        reason = row.left_out
        if not reason:
            try:
                trace = read_trace(script_of(row))
                if trace is None:
                    reason = "its script could not be traced"
                else:
                    found.append(Scored(row=row, work=_work(row, trace)))
            except (NotRebuiltError, UnknownFigureError) as error:
                reason = str(error)
        if reason:
            left_out[row.id] = reason
    return found, left_out


def _work(row: Row, trace: Trace) -> list[tuple[Work, int]]:
    card = card_of(row.gpu)
    assert trace.step_kernels is not None
    return [(work_of(kernel, card), count) for kernel, count in trace.step_kernels.counted()]


def design_of(scored: Sequence[Scored]) -> Design:
    flat = [(n, work, count) for n, each in enumerate(scored) for work, count in each.work]
    number = {name: n for n, name in enumerate(_NAMES)}
    works = [work for _, work, _ in flat]

    def column(values: Any, kind: Any = float) -> NDArray[Any]:
        return np.array(list(values), dtype=kind)

    row = column((n for n, _, _ in flat), int)
    count = column(c for _, _, c in flat)
    return Design(
        rows=len(scored),
        row=row,
        count=count,
        flops=column(w.flops for w in works),
        peak=column(w.peak_flops_per_s for w in works),
        math=column((number.get(w.math, 0) for w in works), int),
        reuse=column((number.get(w.reuse, -1) for w in works), int),
        memory=column((number[w.memory] for w in works), int),
        moved=column(0 if w.is_transfer else w.moved_bytes for w in works),
        layout=column((number[w.layout] for w in works), int),
        layout_bytes=column(w.layout_bytes for w in works),
        bandwidth=column(w.bandwidth_bytes_per_s for w in works),
        launches=column(0 if w.is_transfer else w.launches for w in works),
        steps=column(w.steps for w in works),
        item=column(w.item_bytes for w in works),
        loss=column((number.get(w.loss, -1) for w in works), int),
        power=column((bool(w.power) for w in works), bool),
        narrow=column((number.get(w.narrow, -1) for w in works), int),
        inverse_width=column(w.inverse_width for w in works),
        transferred=np.bincount(
            row,
            weights=count * column(w.moved_bytes if w.is_transfer else 0 for w in works),
            minlength=len(scored),
        ),
        operators=np.bincount(
            row, weights=count * column(w.operators for w in works), minlength=len(scored)
        ),
    )


def forecast(design: Design, logs: NDArray[Any], *, host: float = 1.0) -> NDArray[Any]:
    """Return the expected seconds of each row; `logs` are the parameters' logarithms.

    `host` is what an operator costs on the host, as a share of the parameter.
    """
    values = np.exp(logs)
    given = dict(zip(_NAMES, values, strict=True))
    reuse = np.where(design.reuse >= 0, values[design.reuse], np.inf)
    seconds = roofline.kernel_seconds(
        compute_s=roofline.compute_seconds(
            flops=design.flops
            * np.where(design.loss >= 0, values[design.loss], 1.0)
            * np.where(design.power, given["power"], 1.0)
            * (1 + np.where(design.narrow >= 0, values[design.narrow], 0.0) * design.inverse_width),
            rate=design.peak * np.where(design.flops > 0, values[design.math], 1.0),
            fetched_rate=design.bandwidth / design.item * reuse,
        ),
        memory_s=design.moved / (design.bandwidth * values[design.memory]),
        turning_s=design.layout_bytes * values[design.layout] / design.bandwidth,
        launches=design.launches,
        gap_s=given["gap_s"],
    )
    seconds = seconds + design.steps * given["recurrent_step_s"]
    device = np.bincount(design.row, weights=seconds * design.count, minlength=design.rows)
    found: NDArray[Any] = roofline.overlapped_s(device, design.operators, given["host_s"] * host)
    return found + design.transferred / given["transfer_bytes_per_s"]


def fit(
    design: Design,
    measured: NDArray[Any],
    weights: NDArray[Any],
    start: NDArray[Any],
    *,
    steps: int,
    first_slopes: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the logarithms of the parameters: damped Gauss-Newton on reweighted residuals.

    `first_slopes` are those at the start, where they are known.
    """
    prior, ceiling = _prior(), np.log([_MOST.get(name, np.inf) for name in _NAMES])
    logs, damping = start.copy(), 0.3
    residuals = np.log(forecast(design, logs) / measured)
    for step in range(steps):
        known = first_slopes if step == 0 else None
        slopes = slopes_at(design, logs) if known is None else known
        steep = weights * np.minimum(1.0, _KNEE / np.maximum(np.abs(residuals), 1e-9))
        normal = slopes.T @ (slopes * steep[:, None]) + np.eye(len(logs)) * _PULL
        right = -(slopes.T @ (steep * residuals) + _PULL * (logs - prior))
        before = _cost(weights, residuals, logs - prior)
        for _ in range(8):
            change = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), right)
            tried = np.minimum(logs + np.clip(change, -1, 1), ceiling)
            new = np.log(forecast(design, tried) / measured)
            if _cost(weights, new, tried - prior) < before:
                logs, residuals, damping = tried, new, damping / 3
                break
            damping *= 4
        else:
            break
    return logs


def slopes_at(design: Design, logs: NDArray[Any]) -> NDArray[Any]:
    """Return by how much the logarithm of each forecast follows that of each parameter."""
    here, width = np.log(forecast(design, logs)), 1e-3
    columns = []
    for n in range(len(logs)):
        moved = logs.copy()
        moved[n] += width
        columns.append((np.log(forecast(design, moved)) - here) / width)
    return np.stack(columns, axis=1)


def _cost(weights: NDArray[Any], residuals: NDArray[Any], pulled: NDArray[Any]) -> float:
    sizes = np.abs(residuals)
    huber = np.where(sizes < _KNEE, sizes**2, 2 * _KNEE * sizes - _KNEE**2)
    return float((weights * huber).sum() + _PULL * (pulled**2).sum())


def leave_one_out(
    design: Design, scored: Sequence[Scored], measured: NDArray[Any], whole: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return each row's forecast by parameters that its model had no say in.

    And the same on a fast host.
    """
    groups = np.array([each.row.group for each in scored])
    slopes = slopes_at(design, whole)
    found, fast = np.empty(len(scored)), np.empty(len(scored))
    for group in dict.fromkeys(groups):
        outside = groups == group
        logs = fit(
            design,
            measured,
            1.0 * ~outside,
            whole,
            steps=_STEPS_LEFT_OUT,
            first_slopes=slopes,
        )
        found[outside] = forecast(design, logs)[outside]
        fast[outside] = forecast(design, logs, host=roofline.FAST_HOST)[outside]
    return found, fast


def _prior() -> NDArray[Any]:
    return np.log([value for value, _ in PRIORS.values()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table")
    options = parser.parse_args()
    found = fitted()
    for name, value in found.parameters.items():
        prior, what = PRIORS[name]
        print(f"{name:<22} {value:10.3g}  was {prior:<8.3g} {what}")
    whole = summarize(found.results)
    print(f"{whole.rows} rows, {len(found.left_out)} without a forecast")
    print(f"fitted    median {whole.fitted_median:6.1%}  p90 {whole.fitted_p90:6.1%}")
    print(f"left out  median {whole.median:6.1%}  p90 {whole.p90:6.1%}  bias {whole.bias:+.1%}")
    if options.write:
        write_table(
            TABLE,
            parameters=found.parameters,
            meanings={name: what for name, (_, what) in PRIORS.items()},
            bands=found.bands,
            rows=whole.rows,
            share=whole.inside / whole.rows,
        )
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The parameters, the band, and each row's forecast; by id why the others have none."""

    parameters: dict[str, float]
    bands: dict[str, tuple[float, float]]
    results: list[Result]
    left_out: dict[str, str]


def fitted() -> Fitted:
    """Fit all rows, and once more without each model."""
    scored, left_out = scored_rows()
    design = design_of(scored)
    measured = np.array([each.row.step_s for each in scored])
    logs = fit(design, measured, np.ones(len(scored)), _prior(), steps=_STEPS)
    inside = forecast(design, logs)
    outside, fast = leave_one_out(design, scored, measured, logs)
    low, high = np.quantile(measured / outside, _BAND)
    bands = {"all": (float(low), float(high)), **_WIDER}
    results = [
        Result(
            row=each.row,
            measured_s=float(measured[n]),
            fitted_s=float(inside[n]),
            left_out_s=float(outside[n]),
            low_s=float(fast[n] * _band_of(each, bands)[0]),
            high_s=float(outside[n] * _band_of(each, bands)[1]),
        )
        for n, each in enumerate(scored)
    ]
    parameters = dict(zip(_NAMES, (float(value) for value in np.exp(logs)), strict=True))
    return Fitted(parameters=parameters, bands=bands, results=results, left_out=left_out)


def _band_of(each: Scored, bands: dict[str, tuple[float, float]]) -> tuple[float, float]:
    is_recurrent = any(work.steps for work, _ in each.work)
    share = 1.0 if is_recurrent else 0.0
    return roofline.mixed_band(bands, share, card_of(each.row.gpu))


if __name__ == "__main__":
    sys.exit(main())
