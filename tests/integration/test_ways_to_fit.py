"""Ways to fit on real scripts: each change does what its lines do; plans name the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.growth import WORTH_NAMING_BYTES, suspected_growth_bytes
from sojourn.forecast.memory import MemoryForecast, Verdict, forecast_memory
from sojourn.forecast.trace import Alloc, Role, Trace
from sojourn.forecast.workspace import context_bytes
from sojourn.planning.plan import Option, Plan, make_plan
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_variants
from sojourn.tracing.server import TraceServer
from sojourn.tracing.tracer import Tracer
from sojourn.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.torch

BLOCKS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(512)
        self.mlp = nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 512))
    def forward(self, x):
        return x + self.mlp(self.norm(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(8))
        self.head = nn.Linear(512, 10)
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)

model = Net().cuda()
{before}
optimizer = torch.optim.AdamW(model.parameters())
loader = DataLoader(TensorDataset(torch.zeros(256, 512)), batch_size={batch})
for i, (x,) in enumerate(loader):
    x = x.cuda().repeat(256, 1)
{step}
"""
PLAIN_STEP = """
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
AUTOCAST_STEP = """
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
ACCUMULATED_STEP = """
    loss = model(x).square().mean() / 4
    loss.backward()
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
"""
CHECKPOINTED = """
from functools import partial
from torch.utils.checkpoint import checkpoint
for block in model.modules():
    if type(block).__name__ in ['Block']:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
"""


def blocks_script(
    folder: Path, name: str, *, step: str = PLAIN_STEP, before: str = "", batch: int = 32
) -> Path:
    return written(folder, name, BLOCKS.format(before=before, step=step, batch=batch))


def written(folder: Path, name: str, code: str) -> Path:
    script = folder / name
    script.write_text(code, "utf-8")
    return script


@pytest.fixture(scope="module")
def server() -> Iterator[TraceServer]:
    with TraceServer() as started:
        yield started


def varied(server: TraceServer, script: Path, *changes: Changes) -> list[Trace]:
    traces = trace_variants(
        script,
        [Variant(compute_capability="8.0", changes=one) for one in changes],
        timeout_s=120,
        workers=2,
        server=server,
        progress=NoProgress(),
    )
    for trace in traces:
        assert isinstance(trace, Trace), trace
    return [trace for trace in traces if isinstance(trace, Trace)]


def traced(server: TraceServer, script: Path) -> Trace:
    (trace,) = varied(server, script, Changes())
    return trace


def on_a100(trace: Trace) -> MemoryForecast:
    return forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0")


def planned(server: TraceServer, script: Path, usable_bytes: int, *capabilities: str) -> Plan:
    """Plan for cards that can give so much."""
    cards = {
        f"card-{capability}": Accelerator(
            id=f"card-{capability}",
            name=capability,
            memory_bytes=usable_bytes + context_bytes(capability),
            compute_capability=capability,
        )
        for capability in capabilities
    }
    rows = {name: RuntimeType(id=name, name=name, provider="x", accelerator=name) for name in cards}
    tracer = Tracer(
        script=script,
        arguments=(),
        rules=(),
        batch_size=None,
        timeout_s=120,
        echo=False,
        progress=NoProgress(),
        server=server,
        capabilities=capabilities,
    )
    return make_plan(
        target=script.name,
        runtime_types=list(rows.values()),
        catalog=Catalog(accelerators=cards, runtime_types=rows, subscriptions={}),
        trace_for=tracer.trace_for,
        retrace=tracer.retrace,
    )


def the_option(plan: Plan, capability: str) -> Option:
    (option,) = (o for o in plan.options if o.runtime_type.id == f"card-{capability}")
    return option


def changes_of(option: Option) -> list[str]:
    return [way.change for way in option.ways_to_fit]


def test_each_change_is_traced_as_its_lines_would_be(server: TraceServer, tmp_path: Path) -> None:
    script = blocks_script(tmp_path, "plain.py")
    plain, autocast, accumulated, checkpointed, small = varied(
        server,
        script,
        Changes(),
        Changes(autocast="bfloat16"),
        Changes(batch_size=8, accumulate=4),
        Changes(is_checkpointed=True),
        Changes(optimizer="AdamW8bit"),
    )
    by_hand = {
        "autocast": blocks_script(tmp_path, "autocast.py", step=AUTOCAST_STEP),
        "accumulated": blocks_script(tmp_path, "accumulated.py", step=ACCUMULATED_STEP, batch=8),
        "checkpointed": blocks_script(tmp_path, "checkpointed.py", before=CHECKPOINTED),
    }
    hand_made = {name: traced(server, path) for name, path in by_hand.items()}
    found = {"autocast": autocast, "accumulated": accumulated, "checkpointed": checkpointed}
    before = on_a100(plain).peak_reserved_bytes.expected
    for name, trace in found.items():
        peak = on_a100(trace).peak_reserved_bytes.expected
        by_lines = on_a100(hand_made[name]).peak_reserved_bytes.expected
        assert peak == pytest.approx(by_lines, rel=0.01), name
        assert peak < 0.75 * before, name
    (blocks,) = plain.traits.blocks
    assert (blocks.kind, len(blocks.paths), blocks.paths[0]) == ("Block", 8, "blocks.0")
    assert (plain.traits.optimizers, len(plain.step_ends)) == (("AdamW",), 2)
    assert (plain.traits.is_half, plain.traits.is_checkpointed) == (False, False)
    assert hand_made["autocast"].traits.is_half
    assert hand_made["checkpointed"].traits.is_checkpointed
    assert hand_made["accumulated"].traits.passes == 4
    state = [on_a100(trace).peak.by_role_bytes[Role.OPTIMIZER] for trace in (plain, small)]
    assert state[1] < 0.27 * state[0]


# The second optimizer has its turn with every fifth batch of an epoch.
IN_TURNS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
often, seldom = nn.Linear(64, 1024).cuda(), nn.Linear(1024, 64).cuda()
first = torch.optim.Adam(often.parameters())
second = torch.optim.Adam(seldom.parameters())
loader = DataLoader(TensorDataset(torch.zeros({samples}, 64)), batch_size=64, drop_last=True)
for epoch in range(4):
    for i, (x,) in enumerate(loader):
        y = seldom(often(x.cuda().repeat(64, 1)).relu())
        y.square().mean().backward()
        first.step()
        first.zero_grad()
        if i % 5 == 4:
            second.step()
            second.zero_grad()
"""


def test_the_largest_batch_is_not_bounded_by_the_data_set(
    server: TraceServer, tmp_path: Path
) -> None:
    sizes = []
    for samples in (512, 8192):
        script = written(tmp_path, f"train_{samples}.py", IN_TURNS.format(samples=samples))
        sizes.append(the_option(planned(server, script, 2 * GIB, "8.6"), "8.6").max_batch_size)
    assert sizes[0] == sizes[1]
    # In the backward pass an input, its layer's two outputs and their gradients, in floats.
    assert sizes[0] == pytest.approx(2 * GIB / (64 * (2 * 64 + 4 * 1024) * 4), rel=0.5)
    assert sizes[0] is not None
    assert sizes[0] > 512


# Nothing is repeated, no DataLoader gives a batch size, and SGD has no state.
ONLY_AUTOCAST = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(256, 4096), nn.Linear(4096, 4096)
        self.third = nn.Linear(4096, 256)
    def forward(self, x):
        return self.third(self.second(self.first(x)).cos().mul(2).sin())
model = Net().cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(4):
    x = torch.randn(32768, 256, device="cuda")
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_a_job_that_only_mixed_precision_makes_fit_is_told_in_which_type(
    server: TraceServer, tmp_path: Path
) -> None:
    script = written(tmp_path, "train.py", ONLY_AUTOCAST)
    plan = planned(server, script, int(2.3 * GIB), "8.6", "7.5")
    option = the_option(plan, "8.6")
    assert option.verdict is Verdict.DOES_NOT_FIT
    assert changes_of(option) == ["mixed precision (bfloat16)"]
    (way,) = option.ways_to_fit
    assert way.verdict is Verdict.FITS
    assert option.memory is not None
    assert way.peak_reserved_bytes.high < 0.75 * option.memory.peak_reserved_bytes.expected
    older = the_option(plan, "7.5")
    assert changes_of(older) == ["mixed precision (float16)"]
    assert "GradScaler" in older.ways_to_fit[0].code


def test_blocks_and_batches_give_ways_ranked_by_their_cost(
    server: TraceServer, tmp_path: Path
) -> None:
    script = blocks_script(tmp_path, "train.py", batch=64)
    option = the_option(planned(server, script, int(2.2 * GIB), "8.6"), "8.6")
    assert option.verdict is Verdict.DOES_NOT_FIT
    found = changes_of(option)
    assert found[-1] == "gradient checkpointing"
    assert "micro-batch 32, accumulate 2" in found
    assert all(way.verdict is Verdict.FITS for way in option.ways_to_fit)
    assert option.max_batch_size is not None
    assert 32 <= option.max_batch_size < 64
    assert option.curve is not None
    top = option.curve.top_lines[0]
    assert top.line is not None
    assert (top.line.partition(":")[0], top.role) == ("train.py", Role.ACTIVATIONS)


KEEPING = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
model = nn.Sequential(*[nn.Sequential(nn.Linear(512, 512), nn.GELU()) for _ in range(4)]).cuda()
probe = nn.Linear(512, 512).cuda()
optimizer = torch.optim.SGD([*model.parameters(), *probe.parameters()], lr=0.1)
last, losses = None, []
for (x,) in DataLoader(TensorDataset(torch.zeros(640, 512)), batch_size=64):
    y = model(x.cuda().repeat(64, 1))
    extra = probe(y.detach()).square().mean()
    loss = y.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    last = y.detach()
    losses.append(extra{fix})
"""


def test_a_list_that_keeps_graphs_is_named_with_the_line_and_let_go(
    server: TraceServer, tmp_path: Path
) -> None:
    script = written(tmp_path, "train.py", KEEPING.format(fix=""))
    fixed = on_a100(traced(server, written(tmp_path, "fixed.py", KEEPING.format(fix=".detach()"))))
    need = fixed.peak_reserved_bytes.high
    plan = planned(server, script, int(need * 1.25), "8.6")
    (kept,) = plan.kept
    assert (kept.holder, kept.line, kept.is_large) == ("losses", "train.py:11", False)
    # What the probe's graph saved: its input and its output, of 4096 x 512 floats each.
    assert 16 * MIB <= kept.step_bytes < 17 * MIB
    assert plan.growth_bytes == 8 * kept.step_bytes
    option = the_option(plan, "8.6")
    assert option.verdict is Verdict.DOES_NOT_FIT
    (way,) = option.ways_to_fit
    assert "losses" in way.change
    assert "train.py:11" in way.code
    assert way.verdict is Verdict.FITS
    expected = fixed.peak_reserved_bytes.expected
    assert way.peak_reserved_bytes.expected == pytest.approx(expected, rel=0.05)


AFTER_STEP = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
outputs = []
for (x,) in DataLoader(TensorDataset(torch.zeros(640, 512)), batch_size=64):
    x = x.cuda().repeat(64, 1)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
    again = model(x)
    {line}
"""


@pytest.mark.parametrize(
    ("line", "is_large", "step_bytes"),
    # The output, of 4096 x 512 floats; or the graph: what goes in, and what the ReLU gives.
    [
        ("outputs.append(again.detach())", True, 8 * MIB),
        ("outputs.append(again.mean())", False, (8 + 32) * MIB),
    ],
)
def test_what_is_kept_after_the_optimizer_s_step_is_named_and_let_go(
    server: TraceServer, tmp_path: Path, *, line: str, is_large: bool, step_bytes: int
) -> None:
    script = written(tmp_path, "train.py", AFTER_STEP.format(line=line))
    plan = planned(server, script, 240 * MIB, "8.6")
    (kept,) = plan.kept
    assert (kept.holder, kept.is_large) == ("outputs", is_large)
    assert step_bytes <= kept.step_bytes < step_bytes + MIB
    assert plan.growth_bytes == 8 * kept.step_bytes
    option = the_option(plan, "8.6")
    assert option.verdict is not Verdict.FITS
    assert "outputs" in option.ways_to_fit[0].change
    assert option.ways_to_fit[0].verdict is Verdict.FITS


def test_what_is_done_after_the_optimizer_s_step_is_seen_twice_and_no_suspicion(
    server: TraceServer, tmp_path: Path
) -> None:
    trace = traced(server, written(tmp_path, "train.py", AFTER_STEP.format(line="pass")))
    assert suspected_growth_bytes(trace) < WORTH_NAMING_BYTES
    made = [e.size_bytes for e in trace.events if isinstance(e, Alloc) and "py:13" in e.line]
    first, second = made[: len(made) // 2], made[len(made) // 2 :]
    assert 4096 * 512 * 4 in first
    assert first == second


def test_what_is_kept_for_one_more_step_raises_a_suspicion_that_does_not_last(
    server: TraceServer,
    tmp_path: Path,
) -> None:
    code = KEEPING.format(fix=".item()").replace("    last = y.detach()\n", "")
    code = code.replace("    loss.back", "    before, last = last, (y, x)\n    loss.back")
    script = written(tmp_path, "train.py", code)
    two_steps, four_steps = varied(server, script, Changes(), Changes(looks_for_kept=True))
    assert suspected_growth_bytes(two_steps) >= WORTH_NAMING_BYTES
    assert four_steps.traits.kept == ()


def test_a_change_that_breaks_the_script_leaves_the_others_alone(
    server: TraceServer, tmp_path: Path
) -> None:
    code = ONLY_AUTOCAST.replace(
        "loss = model(x)", "y = model(x)\n    assert y.dtype is torch.float32\n    loss = y"
    )
    outcomes = trace_variants(
        written(tmp_path, "train.py", code),
        [
            Variant(compute_capability="8.0", changes=change)
            for change in (Changes(autocast="bfloat16"), Changes())
        ],
        timeout_s=120,
        server=server,
        progress=NoProgress(),
    )
    assert not isinstance(outcomes[0], Trace)
    assert "AssertionError" in outcomes[0].message
    assert isinstance(outcomes[1], Trace)
