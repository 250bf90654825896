"""The traces that one plan needs: each made once, and all with the cost that was measured alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sojourn.forecast.changes import Changes, Variant
from sojourn.progress import NoProgress
from sojourn.tracing.server import TraceServer
from sojourn.tracing.tracer import Tracer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch
ASKING = """
import torch
from torch.utils.data import DataLoader, TensorDataset

half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
data = TensorDataset(torch.randn(640, 16), torch.randint(0, 4, (640,)))
model = torch.nn.Linear(16, 4).cuda().to(half)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(4):
    for x, y in DataLoader(data, batch_size=32):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x.cuda().to(half)), y.cuda()).backward()
        optimizer.step()
"""


def test_old_and_new_cards_share_what_a_batch_costs(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(ASKING)
    with TraceServer() as server:
        tracer = Tracer(
            script=script,
            arguments=(),
            rules=(),
            batch_size=None,
            timeout_s=120,
            echo=False,
            progress=NoProgress(),
            server=server,
            capabilities=("7.5", "8.0", "9.0"),
        )
        old, new, newer = (tracer.trace_for(capability) for capability in ("7.5", "8.0", "9.0"))
        again = tracer.trace_for("7.5")
    assert old.trace.compute_capability == "7.5"
    assert new.trace.compute_capability == "8.0"
    # Cards of one trace are studied together, which goes by the trace's being the same.
    assert newer.trace is new.trace
    assert again.trace is old.trace
    assert old.trace.loading == new.trace.loading
    assert new.trace.loading is not None
    assert new.trace.loading.measured_batches > 5
    assert old.trace.schedule == new.trace.schedule


QUESTION = "torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16"
INDIFFERENT = ASKING.replace(QUESTION, f"{QUESTION}\nhalf = torch.float32", 1)
CHOOSING = ASKING.replace(
    QUESTION, "torch.float16 if torch.cuda.get_device_capability() < (8, 0) else torch.float32"
)


def test_who_asks_and_does_the_same_for_either_answer_is_traced_for_one(tmp_path: Path) -> None:
    made = traces_made(INDIFFERENT, tmp_path)
    as_it_is, changes = Changes(), Changes(is_checkpointed=True)
    assert made[0] == Variant(compute_capability="8.0", changes=as_it_is)
    assert made[1] == Variant(compute_capability="7.5", changes=as_it_is)
    assert [variant.compute_capability for variant in made[2:]] == ["8.0", "8.0", "7.5"]
    assert made[3].changes == changes
    assert made[4].changes.autocast == "float16"  # in which older cards take other kernels


def test_who_asks_and_does_otherwise_is_traced_for_both(tmp_path: Path) -> None:
    made = traces_made(CHOOSING, tmp_path)
    told = [variant.compute_capability for variant in made]
    assert sorted(told) == ["7.5", "7.5", "7.5", "7.5", "8.0", "8.0", "8.0"]


def traces_made(code: str, folder: Path) -> list[Variant]:
    """Return what is traced for a plan on cards of either side of Ampere, with two changes."""
    script = folder / "train.py"
    script.write_text(code)
    changes = [Changes(is_checkpointed=True), Changes(autocast="float16")]
    with TraceServer() as server:
        tracer = Tracer(
            script=script,
            arguments=(),
            rules=(),
            batch_size=None,
            timeout_s=120,
            echo=False,
            progress=NoProgress(),
            server=server,
            capabilities=("7.5", "8.0"),
        )
        old, new = tracer.trace_for("7.5"), tracer.trace_for("8.0")
        assert old.scale is not None
        assert new.scale is not None
        is_shared = old.trace.events is new.trace.events
        assert is_shared == (old.trace.step_kernels == new.trace.step_kernels)
        both = [Variant(compute_capability="8.0", changes=changes[0])]
        both += [Variant(compute_capability="7.5", changes=one) for one in changes]
        assert None not in tracer.retrace(both)
        assert old.trace.compute_capability == "7.5"
        return list(tracer.variants)
