"""Scripts that a card would refuse: refused by the plan as well, in the words that torch has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sojourn.errors import TraceError
from sojourn.forecast.changes import NO_CHANGES, Variant
from sojourn.forecast.trace import Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_variants
from sojourn.tracing.server import TraceServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.torch

TRAINING = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
def on_card(*shape, dtype=torch.float32):
    return torch.ones(*shape, device="cuda", dtype=dtype)
model = nn.Linear(10, 10).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    {before}
    loss = model(torch.randn(8, 10, device="cuda")).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    {after}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[TraceServer]:
    with TraceServer() as started:
        yield started


def traced(
    server: TraceServer, folder: Path, *, before: str = "pass", after: str = "pass"
) -> Trace | TraceError:
    script = folder / "train.py"
    script.write_text(TRAINING.format(before=before, after=after), "utf-8")
    (outcome,) = trace_variants(
        script,
        [Variant(compute_capability="8.0", changes=NO_CHANGES)],
        timeout_s=120,
        server=server,
        progress=NoProgress(),
    )
    return outcome


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "model(on_card(8, 10).double())",
            "mat1 and mat2 must have the same dtype, but got Double and Float",
        ),
        (
            "on_card(8, 10, dtype=torch.half) @ on_card(10, 4)",
            "expected mat1 and mat2 to have the same dtype, but got: c10::Half != float",
        ),
        (
            "F.linear(on_card(8, 10).half(), on_card(4, 10).half(), on_card(4))",
            "self and mat2 must have the same dtype, but got Float and Half",
        ),
        (
            "on_card(2, 8, 10).double() @ on_card(2, 10, 4)",
            "expected scalar type Double but found Float",
        ),
        (
            "on_card(8, 10).double() @ on_card(10)",
            "addmv input tensors must have the same dtype, but got Float, Double, and Float",
        ),
        (
            "F.conv2d(on_card(1, 3, 8, 8).double(), on_card(4, 3, 3, 3))",
            (
                "Input type (torch.cuda.DoubleTensor) and weight type (torch.cuda.FloatTensor) "
                "should be the same"
            ),
        ),
        (
            "on_card(4, 4).long() @ on_card(4, 4).long()",
            "\"addmm_cuda\" not implemented for 'Long'",
        ),
        (
            "F.cross_entropy(on_card(8, 10), on_card(8).int())",
            "\"nll_loss_forward_reduce_cuda_kernel_2d_index\" not implemented for 'Int'",
        ),
        (
            "nn.Linear(12, 4).cuda()(on_card(8, 10))",
            "mat1 and mat2 shapes cannot be multiplied (8x10 and 12x4)",
        ),
    ],
)
def test_operands_that_do_not_go_together_are_refused_as_on_a_card(
    server: TraceServer, tmp_path: Path, line: str, said: str
) -> None:
    outcome = traced(server, tmp_path, before=line)
    assert isinstance(outcome, TraceError)
    assert outcome.message == f"train.py:11 raised RuntimeError: {said}."


@pytest.mark.parametrize(
    "line", ["loss.detach().numpy()", "np.asarray(loss.detach())", "np.mean([loss.detach()])"]
)
def test_numpy_gets_nothing_from_a_card_and_the_line_is_named_after_a_step_too(
    server: TraceServer, tmp_path: Path, line: str
) -> None:
    outcome = traced(server, tmp_path, after=line)
    assert isinstance(outcome, TraceError)
    assert outcome.message == (
        "train.py:16 raised TypeError: can't convert cuda:0 device type tensor to numpy. Use "
        "Tensor.cpu() to copy the tensor to host memory first."
    )


@pytest.mark.parametrize(
    "line",
    [
        "values = loss.detach().cpu().numpy()",
        "values = loss.detach().numpy(force=True)",
        # Equal operands of other kinds go together.
        "on_card(4, 4).bfloat16() @ on_card(4, 4).bfloat16()",
    ],
)
def test_what_a_card_takes_is_taken(server: TraceServer, tmp_path: Path, line: str) -> None:
    outcome = traced(server, tmp_path, after=line)
    assert isinstance(outcome, Trace), outcome
    assert outcome.steps == 2


@pytest.mark.parametrize(
    "line", ["undefined_name", "torch.ones(2) @ torch.ones(3)", "assert step > 5, 'a mistake'"]
)
def test_a_mistake_between_two_steps_is_the_script_s_own(
    server: TraceServer, tmp_path: Path, line: str
) -> None:
    outcome = traced(server, tmp_path, after=line)
    assert isinstance(outcome, TraceError)
    assert outcome.message.startswith("train.py:16 raised")


@pytest.mark.parametrize(
    "line", ["assert loss.item() == 0.25, 'no such value'", "open('/nowhere/log.txt')"]
)
def test_a_failure_that_a_card_may_not_know_leaves_the_step_that_was_seen(
    server: TraceServer, tmp_path: Path, line: str
) -> None:
    outcome = traced(server, tmp_path, after=line)
    assert isinstance(outcome, Trace), outcome
    assert outcome.steps == 1
    assert any("failed after 1 optimizer step:" in text for text in outcome.assumptions)
