"""From kernels to seconds, on kernels written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.catalog import load_catalog
from sojourn.catalog.models import Accelerator
from sojourn.forecast.kernels import Family, Kernel, Kernels, Phase, Precision
from sojourn.forecast.roofline import forecast_step
from sojourn.forecast.step_time import TRACED_AS_EAGER
from sojourn.forecast.trace import Trace

A100 = Accelerator(
    id="a100",
    name="A100",
    memory_bandwidth_bytes_per_s=1555e9,
    fp32_flops_per_s=19.5e12,
    tf32_flops_per_s=156e12,
    fp16_flops_per_s=312e12,
    bf16_flops_per_s=312e12,
    compute_capability="8.0",
)
T4 = Accelerator(
    id="t4",
    name="T4",
    memory_bandwidth_bytes_per_s=320e9,
    fp32_flops_per_s=8.1e12,
    fp16_flops_per_s=65e12,
    compute_capability="7.5",
)


def product(precision: Precision = Precision.FP32, *, width: int = 4096) -> Kernel:
    item_bytes = 4 if precision in {Precision.FP32, Precision.TF32} else 2
    return Kernel(
        operator="mm",
        family=Family.MATMUL,
        phase=Phase.FORWARD,
        precision=precision,
        flops=2 * 4096 * width * 4096,
        read_bytes=item_bytes * (4096 * 4096 + 4096 * width),
        written_bytes=item_bytes * 4096 * width,
        groups=1,
        rows=4096,
        width=width,
        inner=4096,
        item_bytes=item_bytes,
    )


def addition(size_bytes: int, *, family: Family = Family.ELEMENTWISE) -> Kernel:
    return Kernel(
        operator="add",
        family=family,
        phase=Phase.FORWARD,
        precision=Precision.FP32,
        flops=0,
        read_bytes=2 * size_bytes,
        written_bytes=size_bytes,
    )


def convolution(*, is_channels_last: bool) -> Kernel:
    return replace(
        product(Precision.FP16),
        family=Family.CONVOLUTION,
        operator="forward",
        is_channels_last=is_channels_last,
    )


def trace(*kernels: Kernel, times: int = 1) -> Trace:
    found = Kernels(kinds=kernels, order=tuple(range(len(kernels))) * times)
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1,
        batch_size=8,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(),
        step_kernels=found,
        evaluation_kernels=None,
    )


def seconds(*kernels: Kernel, on: Accelerator = A100, times: int = 1) -> float:
    found = forecast_step(trace(*kernels, times=times), on).step_s
    assert found is not None
    assert found.low <= found.expected <= found.high
    return found.expected


def test_a_large_product_takes_between_what_the_peak_allows_and_four_times_that() -> None:
    least_s = 2 * 4096**3 / 19.5e12
    assert least_s < seconds(product()) < 4 * least_s


def test_moving_bytes_takes_between_what_the_bandwidth_allows_and_twice_that() -> None:
    least_s = 3 * 2**30 / 1555e9
    assert least_s < seconds(addition(2**30)) < 2 * least_s


def test_tensor_cores_are_faster_where_a_card_has_them() -> None:
    single, tf32, half = (
        seconds(product(p)) for p in (Precision.FP32, Precision.TF32, Precision.FP16)
    )
    assert single > tf32 > half
    assert seconds(product(Precision.TF32), on=T4) == seconds(product(), on=T4)


def test_a_card_without_bfloat16_emulates_it_more_slowly_than_single_precision() -> None:
    of_bf16 = seconds(product(Precision.BF16), on=T4)
    assert of_bf16 > seconds(product(), on=T4) > seconds(product(Precision.FP16), on=T4)


def test_sizes_that_do_not_divide_feed_tensor_cores_badly() -> None:
    even, odd = product(Precision.FP16), product(Precision.FP16, width=4097)
    assert seconds(odd) > 1.1 * seconds(even)
    assert seconds(product(width=4097)) < 1.05 * seconds(product())


def test_channels_first_is_slower_for_convolutions_in_half_precision() -> None:
    first = seconds(convolution(is_channels_last=False))
    assert first > 1.1 * seconds(convolution(is_channels_last=True))


def test_many_small_kernels_take_what_launching_them_takes() -> None:
    found = forecast_step(trace(addition(1024), times=5000), A100)
    assert found.step_s is not None
    assert 5000 * 2e-6 < found.step_s.expected < 5000 * 100e-6
    assert found.by_family_s["launching"] > found.by_family_s["elementwise"]


def test_families_add_up_to_the_step() -> None:
    found = forecast_step(trace(product(), addition(2**20)), A100)
    assert found.step_s is not None
    assert sum(found.by_family_s.values()) == pytest.approx(found.step_s.expected)


def test_time_steps_of_a_recurrent_layer_wait_for_each_other() -> None:
    layer = Kernel(
        operator="lstm forward",
        family=Family.RECURRENT,
        phase=Phase.FORWARD,
        precision=Precision.FP32,
        flops=10_000 * 2 * 64 * 64,
        read_bytes=1,
        written_bytes=1,
        launches=10_000,
        groups=1,
        rows=1,
        width=256,
        inner=64,
        steps=10_000,
    )
    waiting = seconds(layer)
    assert waiting > 10_000 * 1e-6
    assert waiting > 50 * seconds(replace(layer, steps=0, launches=1))


def test_evaluation_is_forecast_where_it_was_seen() -> None:
    seen = trace(product())
    assert forecast_step(seen, A100).evaluation_batch_s is None
    evaluated = replace(seen, evaluation_kernels=seen.step_kernels)
    found = forecast_step(evaluated, A100)
    assert found.evaluation_batch_s == found.step_s


@pytest.mark.parametrize(
    ("accelerator", "kernel", "said"),
    [
        (replace(A100, memory_bandwidth_bytes_per_s=None), product(), "bandwidth of A100"),
        (replace(A100, fp32_flops_per_s=None), product(), "A100 in fp32"),
        (replace(A100, fp16_flops_per_s=None), product(Precision.FP16), "A100 in fp16"),
        (replace(A100, compute_capability=None), product(), "no CUDA device"),
        (A100, product(Precision.OTHER), "double, or integers"),
        (A100, replace(addition(1), family=Family.CUSTOM, operator="my::op"), "my::op"),
    ],
)
def test_what_is_not_known_is_said(accelerator: Accelerator, kernel: Kernel, said: str) -> None:
    found = forecast_step(trace(kernel), accelerator)
    assert found.step_s is None
    assert said in found.reason


def test_a_trace_without_kernels_has_no_step_time() -> None:
    found = forecast_step(replace(trace(), step_kernels=None), A100)
    assert found.step_s is None
    assert found.reason


def test_a_step_that_runs_nothing_on_the_card_is_not_known() -> None:
    found = forecast_step(trace(), A100)
    assert found.step_s is None
    assert "runs nothing on the accelerator" in found.reason


def test_a_compiled_script_may_be_faster_than_it_was_traced() -> None:
    eager = forecast_step(trace(product()), A100).step_s
    noted = replace(trace(product()), assumptions=(TRACED_AS_EAGER,))
    compiled = forecast_step(noted, A100).step_s
    assert eager is not None
    assert compiled is not None
    assert compiled.low < 0.6 * eager.low
    assert (compiled.expected, compiled.high) == (eager.expected, eager.high)


def test_every_accelerator_of_the_catalog_has_a_step_time_or_a_reason() -> None:
    for accelerator in load_catalog().accelerators.values():
        found = forecast_step(trace(product(), addition(2**20)), accelerator)
        assert (found.step_s is None) == bool(found.reason)


@given(st.integers(1, 64), st.floats(1.0, 4.0))
def test_more_of_anything_never_makes_a_step_shorter(times: int, factor: float) -> None:
    kernels = (product(Precision.FP16), addition(2**22))
    faster = replace(
        A100,
        memory_bandwidth_bytes_per_s=1555e9 * factor,
        fp16_flops_per_s=312e12 * factor,
    )
    assert seconds(*kernels, times=times + 1) > seconds(*kernels, times=times)
    assert seconds(*kernels, times=times, on=faster) <= seconds(*kernels, times=times)
