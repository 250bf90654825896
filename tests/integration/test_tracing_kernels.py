"""Which kernels a traced step runs, against what arithmetic says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sojourn.forecast.kernels import Family, Kernels, Phase, Precision
from sojourn.forecast.scaling import BatchScale
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sojourn.forecast.trace import Trace

pytestmark = pytest.mark.torch

NET = """
import torch
from torch.utils.data import DataLoader, TensorDataset
torch.backends.cuda.matmul.allow_tf32 = {tf32}
model = torch.nn.Sequential(
    torch.nn.Conv2d(16, 32, 3, padding=1, bias=False),
    torch.nn.Conv2d(32, 32, 3, padding=1, groups=4, bias=False),
    torch.nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
    torch.nn.BatchNorm2d(32),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(32 * 8 * 8, 10),
).cuda()
optimizer = torch.optim.AdamW(model.parameters(), fused={fused})
data = TensorDataset(torch.zeros(64, 16, 8, 8), torch.zeros(64, dtype=torch.int64))
for images, labels in DataLoader(data, batch_size=4):
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16, enabled={amp}):
        loss = torch.nn.functional.cross_entropy(model(images.cuda()), labels.cuda())
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    for images, _ in DataLoader(data, batch_size=16):
        model(images.cuda())
"""


@pytest.fixture
def traced(tmp_path: Path) -> Callable[..., Trace]:
    def run(code: str, *, batch_size: int | None = None, **figures: object) -> Trace:
        given = {"tf32": False, "amp": False, "fused": False} | figures
        script = tmp_path / "train.py"
        script.write_text(code.format(**given), "utf-8")
        return trace_script(
            script,
            batch_size=batch_size,
            compute_capability="8.0",
            timeout_s=120,
            progress=NoProgress(),
        )

    return run


def kernels_of(trace: Trace) -> Kernels:
    assert trace.step_kernels is not None
    return trace.step_kernels


def flops(kernels: Kernels, family: Family, phase: Phase) -> int:
    return sum(
        kind.flops * count
        for kind, count in kernels.counted()
        if kind.family is family and kind.phase is phase
    )


def test_products_and_convolutions_compute_what_arithmetic_says(
    traced: Callable[..., Trace],
) -> None:
    found = kernels_of(traced(NET))
    places = 4 * 8 * 8
    plain, grouped, depthwise = (2 * places * 32 * inner * 9 for inner in (16, 8, 1))
    linear = 2 * 4 * 2048 * 10
    # The input of the first convolution needs no gradient.
    for family, forward, backward in (
        (Family.CONVOLUTION, plain, plain),
        (Family.GROUPED_CONVOLUTION, grouped, 2 * grouped),
        (Family.DEPTHWISE_CONVOLUTION, depthwise, 2 * depthwise),
        (Family.MATMUL, linear, 2 * linear),
    ):
        assert flops(found, family, Phase.FORWARD) == forward
        assert flops(found, family, Phase.BACKWARD) == backward


def test_a_step_is_seen_from_end_to_end_and_evaluation_is_not_in_it(
    traced: Callable[..., Trace],
) -> None:
    trace = traced(NET)
    kinds = [kernels_of(trace).kinds[number] for number in kernels_of(trace).order]
    assert sum(kind.operator == "addmm" for kind in kinds) == 1
    assert {kind.phase for kind in kinds} == {Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER}
    assert trace.evaluation_kernels is not None
    evaluated = trace.evaluation_kernels.counted()
    assert {kind.phase for kind, _ in evaluated} == {Phase.EVALUATION}
    (linear,) = [kind for kind, _ in evaluated if kind.operator == "addmm"]
    assert linear.rows == 16


def test_precision_follows_flags_and_autocast(traced: Callable[..., Trace]) -> None:
    def precisions(family: Family, **figures: object) -> set[Precision]:
        found = kernels_of(traced(NET, **figures))
        return {kind.precision for kind in found.kinds if kind.family is family}

    # torch lets convolutions round to TF32 unless told otherwise, products only if told so.
    assert precisions(Family.MATMUL) == {Precision.FP32}
    assert precisions(Family.CONVOLUTION) == {Precision.TF32}
    assert precisions(Family.MATMUL, tf32=True) == {Precision.TF32}
    assert precisions(Family.CONVOLUTION, amp=True) == {Precision.FP16}


def test_an_optimizer_moves_what_its_states_are(traced: Callable[..., Trace]) -> None:
    weights = 9 * (16 * 32 + 8 * 32 + 32) + 2 * 32 + 2048 * 10 + 10
    found = kernels_of(traced(NET, fused=True))
    (step,) = [kind for kind in found.kinds if kind.operator == "_fused_adamw_"]
    assert step.family is Family.OPTIMIZER
    # Parameters, gradients and two moments are read, all but the gradients written.
    assert step.written_bytes == 4 * 3 * weights
    assert 4 * 4 * weights <= step.read_bytes <= 4 * 4 * weights + 4 * 7  # and counts of steps
    assert step.launches == 1


def test_kernels_scale_with_the_batch(traced: Callable[..., Trace]) -> None:
    scale = BatchScale(traced(NET), traced(NET, batch_size=8))
    assert scale.is_possible
    assert scale.at(16).step_kernels == traced(NET, batch_size=16).step_kernels


LSTM = """
import torch
model = torch.nn.LSTM(8, 64, num_layers=2, batch_first=True).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    model(torch.zeros(4, 50, 8, device="cuda"))[0].sum().backward()
    optimizer.step()
"""


def test_a_recurrent_layer_waits_once_for_each_time_step(traced: Callable[..., Trace]) -> None:
    found = [kind for kind in kernels_of(traced(LSTM)).kinds if kind.family is Family.RECURRENT]
    assert [kind.steps for kind in found] == [100, 100, 0]
    weights = 4 * 64 * (8 + 64) + 4 * 64 * (64 + 64)
    assert {kind.flops for kind in found} == {2 * 4 * 50 * weights}


ATTENTION = """
import torch
query = torch.zeros(2, 4, 128, 64, device="cuda", dtype=torch.float16, requires_grad=True)
optimizer = torch.optim.SGD([query], lr=0.1)
for _ in range(2):
    torch.nn.functional.scaled_dot_product_attention(
        query, query, query, is_causal=True
    ).sum().backward()
    optimizer.step()
"""


def test_causal_attention_computes_half_of_all_pairs(traced: Callable[..., Trace]) -> None:
    found = kernels_of(traced(ATTENTION))
    forward = 2 * 2 * 2 * 4 * 128 * 128 * 64 // 2
    assert flops(found, Family.ATTENTION, Phase.FORWARD) == forward
    assert flops(found, Family.ATTENTION, Phase.BACKWARD) == forward * 5 // 2


ACCUMULATED = """
import torch
model = torch.nn.Linear(64, 64).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(20):
    model(torch.zeros(8, 64, device="cuda")).sum().backward()
    if step % 4 == 3:
        optimizer.step()
        optimizer.zero_grad()
"""


def test_a_step_holds_all_its_micro_batches(traced: Callable[..., Trace]) -> None:
    found = kernels_of(traced(ACCUMULATED))
    assert sum(found.kinds[number].operator == "addmm" for number in found.order) == 4


LOW_BIT = """
import bitsandbytes
import torch
model = torch.nn.Sequential(bitsandbytes.nn.Linear4bit(64, 64), torch.nn.Linear(64, 1)).cuda()
optimizer = bitsandbytes.optim.AdamW8bit(model[1].parameters())
for _ in range(2):
    model(torch.zeros(8, 64, device="cuda")).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
"""


def test_layers_of_bitsandbytes_run_kernels_of_unknown_time(traced: Callable[..., Trace]) -> None:
    found = kernels_of(traced(LOW_BIT))
    custom = [kind for kind in found.kinds if kind.family is Family.CUSTOM]
    assert [kind.operator for kind in custom] == ["bitsandbytes' unpacking of 4-bit weights"]


def test_its_optimizers_move_what_their_states_are(traced: Callable[..., Trace]) -> None:
    found = kernels_of(traced(LOW_BIT))
    (weight, bias) = [kind for kind in found.kinds if kind.operator == "AdamW8bit"]
    # Fewer than 4,096 elements keep their states in 32 bits.
    assert (weight.read_bytes, weight.written_bytes) == (64 * 4 * 4, 64 * 4 * 3)
    assert bias.read_bytes == 4 * 4
