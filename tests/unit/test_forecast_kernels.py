"""Kernels of a step: written and read again, and laid between two batch sizes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sojourn.errors import TraceError
from sojourn.forecast.kernels import Family, Kernel, Kernels, Phase, Precision, blend_kernels
from sojourn.forecast.scaling import BatchScale
from sojourn.forecast.trace import Trace, dump_trace, load_trace


def product(batch: int, *, operator: str = "mm") -> Kernel:
    return Kernel(
        operator=operator,
        family=Family.MATMUL,
        phase=Phase.FORWARD,
        precision=Precision.FP16,
        flops=2 * batch * 64 * 32,
        read_bytes=2 * (batch * 64 + 64 * 32),
        written_bytes=2 * batch * 32,
        groups=1,
        rows=batch,
        width=32,
        inner=64,
        item_bytes=2,
    )


def addition(batch: int) -> Kernel:
    return Kernel(
        operator="add",
        family=Family.ELEMENTWISE,
        phase=Phase.BACKWARD,
        precision=Precision.FP32,
        flops=0,
        read_bytes=8 * batch,
        written_bytes=4 * batch,
    )


def step(batch: int) -> Kernels:
    return Kernels(kinds=(product(batch), addition(batch)), order=(0, 1, 0))


def trace(batch: int, kernels: Kernels | None) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=1,
        batch_size=batch,
        samples_per_epoch=100,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(),
        step_kernels=kernels,
        evaluation_kernels=kernels,
    )


def test_a_trace_keeps_its_kernels_when_written_and_read() -> None:
    given = trace(8, step(8))
    assert load_trace(dump_trace(given)) == given


def test_a_trace_without_kernels_says_so() -> None:
    assert load_trace(dump_trace(trace(8, None))).step_kernels is None


@pytest.mark.parametrize("order", [[2], [-1], ["a"]])
def test_a_kernel_of_no_kind_is_refused(order: list[object]) -> None:
    document = json.loads(dump_trace(trace(8, step(8))))
    document["step_kernels"]["order"] = order
    with pytest.raises(TraceError):
        load_trace(json.dumps(document))


def test_each_kind_is_counted() -> None:
    assert step(8).counted() == [(product(8), 2), (addition(8), 1)]


def test_between_two_batch_sizes_kernels_are_affine() -> None:
    assert blend_kernels(step(8), step(16), 3.0) == step(32)


def test_kinds_that_are_alike_at_one_size_may_part_at_another() -> None:
    both = Kernels(kinds=(product(8),), order=(0, 0))
    parted = Kernels(kinds=(product(16), product(8)), order=(0, 1))
    found = blend_kernels(both, parted, 2.0)
    assert found is not None
    assert [found.kinds[number].rows for number in found.order] == [24, 8]


def test_steps_that_run_other_kernels_have_none_between_them() -> None:
    other = Kernels(kinds=(product(16, operator="bmm"), addition(16)), order=(0, 1, 0))
    assert blend_kernels(step(8), other, 0.5) is None
    assert blend_kernels(step(8), replace(step(16), order=(0, 1)), 0.5) is None


def test_a_scaled_trace_has_scaled_kernels() -> None:
    scale = BatchScale(trace(8, step(8)), trace(16, step(16)))
    assert scale.at(64).step_kernels == step(64)
