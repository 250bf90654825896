"""What is seen of the host while a script is traced; and a torch that is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import torch
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.ones(12_500, 2_000))  # 95 MiB
names = [f"sample {i}" for i in range(100_000)]
model = torch.nn.Linear(2_000, 1).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(
    data, batch_size=100, num_workers=3, prefetch_factor=5, pin_memory=True, persistent_workers=True
)
for (x,) in loader:
    optimizer.zero_grad()
    model(x.cuda()).sum().backward()
    optimizer.step()
"""


@pytest.mark.torch
def test_data_and_the_workers_that_tracing_leaves_out_are_seen(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, "utf-8")
    # What this process holds is not the script's, though the system counts it as the child's.
    ballast = b"x" * (600 * MIB)
    trace = trace_script(script, compute_capability="8.0", timeout_s=120, progress=NoProgress())
    del ballast
    own = trace.host_memory_bytes - trace.host.before_bytes
    assert 95 * MIB < own < 300 * MIB
    (loader,) = trace.host.loaders
    assert (loader.workers, loader.batches_ahead) == (3, 5)
    assert (loader.is_persistent, loader.is_pinned) == (True, True)
    assert loader.batch_bytes == 100 * 2_000 * 4
    # A string each, and its place in a list.
    assert 100_000 * 50 < loader.objects_bytes < 100_000 * 500


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_torch_that_is_not_tested_is_refused_with_the_way_round(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    described = tmp_path / "torch-2.99.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.99.0\n")
    (tmp_path / "train.py").write_text("print(1)")
    result = subprocess.run(
        [sys.executable, "-m", "sojourn", "plan", tmp_path / "train.py", *options],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert "torch 2.99.0" in result.stderr
    assert "2.13" in result.stderr
    assert "--any-torch" in result.stderr
    assert not options or json.loads(result.stdout)["error"]["code"] == "usage"


@pytest.mark.torch
def test_it_is_tried_all_the_same_where_that_is_wanted(tmp_path: Path) -> None:
    described = tmp_path / "torch-2.99.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.99.0\n")
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    result = subprocess.run(
        [sys.executable, "-m", "sojourn", "plan", tmp_path / "train.py", "--any-torch"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # It got as far as the script's own end.
    assert result.returncode == 4, result.stderr
    assert "exit status 3" in result.stderr
