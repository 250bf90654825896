"""The traces that one plan needs: each made once, and all with the cost that was measured alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
