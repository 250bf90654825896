"""Scripts as people write them, traced whole: what a plan says of each, by hand where it can be."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sojourn.errors import TraceError, TraceTimeoutError, UsageError
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.memory import MemoryForecast, forecast_memory
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script, trace_variants
from sojourn.units import GIB, MIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent.parent / "scripts"


def traced(
    script: Path, *arguments: str, capability: str = "8.0", batch_size: int | None = None
) -> Trace:
    return trace_script(
        script,
        arguments=arguments,
        batch_size=batch_size,
        compute_capability=capability,
        timeout_s=120,
        progress=NoProgress(),
    )


def written(tmp_path: Path, code: str, name: str = "train.py") -> Path:
    script = tmp_path / name
    script.write_text(code, "utf-8")
    return script


def on_a100(trace: Trace) -> MemoryForecast:
    return forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0")


LINEAR = """
import torch
model = torch.nn.Linear(1024, 1024, bias=False).cuda()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(10):
    optimizer.zero_grad()
    model(torch.randn({batch}, 1024, device="cuda")).sum().backward()
    optimizer.step()
"""


def test_a_linear_layer_with_adam_holds_what_arithmetic_says(tmp_path: Path) -> None:
    forecast = on_a100(traced(written(tmp_path, LINEAR.format(batch=1))))
    weight_bytes = 1024 * 1024 * 4
    roles = forecast.peak.by_role_bytes
    assert roles[Role.PARAMETERS] == weight_bytes
    # Two moments, and the foreach implementation's square root of the second.
    assert forecast.peak.phase is Phase.OPTIMIZER
    assert roles[Role.OPTIMIZER] == weight_bytes * 3
    # Forward in the main thread, backward in autograd's: two cuBLAS handles.
    assert roles[Role.WORKSPACE] == 2 * 8_519_680


def test_activations_grow_with_the_batch(tmp_path: Path) -> None:
    forecast = on_a100(traced(written(tmp_path, LINEAR.format(batch=65_536))))
    # Input, output and the output's gradient, 256 MiB each; sum()'s gradient is expanded, not kept.
    assert forecast.peak.by_role_bytes[Role.ACTIVATIONS] >= 2 * 256 * MIB


LSTM = """
import torch
model = torch.nn.LSTM(32, 256).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    out, _ = model(torch.randn(1000, 64, 32).cuda())
    out.sum().backward()
    optimizer.step()
"""


def test_an_lstm_keeps_cudnn_s_reserve_until_its_backward_pass(tmp_path: Path) -> None:
    forecast = on_a100(traced(written(tmp_path, LSTM)))
    vector_bytes = 1000 * 64 * 256 * 4
    workspace_bytes = forecast.peak.by_role_bytes[Role.WORKSPACE]
    assert 5 * vector_bytes <= workspace_bytes <= 5.5 * vector_bytes
    assert forecast.peak.phase is Phase.BACKWARD
    assert forecast.peak.line == "train.py:8"


def test_a_resnet_with_amp_a_scaler_clipping_and_compile_is_traced() -> None:
    trace = traced(SCRIPTS / "resnet_amp.py")
    assert (trace.steps, trace.batch_size, trace.samples_per_epoch) == (2, 128, 4096)
    assert "torch.compile is traced as eager" in trace.assumptions
    roles = on_a100(trace).peak.by_role_bytes
    # 11.2 M parameters and 0.05 M head in fp32, momentum as much again.
    assert 42 * MIB < roles[Role.PARAMETERS] < 46 * MIB
    assert 42 * MIB < roles[Role.OPTIMIZER] < 46 * MIB


def test_half_precision_needs_less_than_single(tmp_path: Path) -> None:
    code = (SCRIPTS / "resnet_amp.py").read_text()
    single = written(tmp_path, code.replace("dtype=torch.float16", "enabled=False"))
    half_bytes = on_a100(traced(SCRIPTS / "resnet_amp.py")).peak_allocated_bytes
    assert half_bytes < 0.8 * on_a100(traced(single)).peak_allocated_bytes


def test_attention_takes_the_path_that_the_card_has() -> None:
    old, new = (traced(SCRIPTS / "transformer_sdpa.py", capability=c) for c in ("7.5", "8.0"))
    assert old.asked_capability
    assert new.asked_capability
    # The script asks for bf16 support, which torch affirms on any card; but before Ampere no fused
    # kernel takes it, and attention that is taken apart keeps its scores, 16 x 8 heads x 512 x 512
    # in 6 layers, in single precision.
    scores_bytes = 6 * 16 * 8 * 512 * 512 * 4
    old_bytes, new_bytes = (
        on_a100(trace).peak.by_role_bytes[Role.ACTIVATIONS] for trace in (old, new)
    )
    assert new_bytes < 2 * GIB
    assert old_bytes > new_bytes + 0.9 * scores_bytes


def test_a_gan_s_two_optimizers_are_both_seen_stepping_twice() -> None:
    trace = traced(SCRIPTS / "gan.py")
    # Three steps of the critic to one of the generator.
    assert trace.steps == 6
    assert trace.batch_size == 64


def test_a_hugging_face_trainer_is_traced() -> None:
    trace = traced(SCRIPTS / "hf_trainer.py")
    assert (trace.steps, trace.batch_size, trace.samples_per_epoch) == (2, 16, 200)
    assert trace.uses_device


@pytest.mark.parametrize("name", ["packed_rnn_ema.py", "many_operators.py"])
def test_what_people_use_beside_layers_is_traced(name: str) -> None:
    trace = traced(SCRIPTS / name)
    assert trace.steps == 2
    assert trace.uses_device


def test_integers_that_went_to_the_device_come_back_as_they_were(tmp_path: Path) -> None:
    code = LINEAR.replace("{batch}", "lengths.cuda().cpu().sum()")
    code = code.replace("import torch", "import torch\nlengths = torch.tensor([3, 4, 5])")
    assert traced(written(tmp_path, code)).batch_size == 12


def test_a_script_that_uses_no_gpu_allocates_nothing_on_one() -> None:
    assert not traced(SCRIPTS / "cpu_only.py").uses_device


SMALL_SET = """
import torch
from torch.utils.data import DataLoader, TensorDataset
model = torch.nn.Linear(64, 64).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(torch.zeros(100, 64)), batch_size=40, shuffle=True)
for epoch in range(3):
    for (x,) in loader:
        optimizer.zero_grad()
        model(x.cuda()).sum().backward()
        optimizer.step()
        assert len(loader) == 3
"""


@pytest.mark.parametrize("batch_size", [10, 400])
def test_a_small_data_set_is_repeated_or_cut_for_another_batch_size(
    tmp_path: Path, batch_size: int
) -> None:
    changes = Changes(batch_size=batch_size, keeps_epoch_of=40)
    (trace,) = trace_variants(
        written(tmp_path, SMALL_SET),
        [Variant(compute_capability="8.0", changes=changes)],
        timeout_s=120,
        progress=NoProgress(),
    )
    assert isinstance(trace, Trace), trace
    assert (trace.batch_size, trace.samples_per_epoch) == (batch_size, 100)
    inputs = [e.size_bytes for e in trace.events if isinstance(e, Alloc) and e.role is Role.INPUTS]
    assert inputs == [batch_size * 64 * 4] * 2


def test_a_batch_size_that_the_user_asks_for_ends_with_the_data(tmp_path: Path) -> None:
    code = SMALL_SET.replace("assert len(loader) == 3", "assert len(loader) == 1")
    trace = traced(written(tmp_path, code), batch_size=400)
    assert trace.batch_size == 100
    assert any("holds 100 samples, fewer than a batch of 400" in line for line in trace.assumptions)


def test_the_batch_size_can_be_overridden() -> None:
    trace = traced(SCRIPTS / "resnet_amp.py", batch_size=32)
    full = traced(SCRIPTS / "resnet_amp.py")
    assert trace.batch_size == 32
    assert on_a100(trace).peak_allocated_bytes < on_a100(full).peak_allocated_bytes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('nothing')", "without an optimizer step"),
        (
            "import torch\nraise ValueError('on purpose')",
            "train.py:2 raised ValueError: on purpose",
        ),
        ("open('/content/nowhere.csv')", "FileNotFoundError"),
        ("import a_package_that_is_not_there", "ModuleNotFoundError"),
        ("import sys\nsys.exit(3)", "exit status 3"),
        ("import os\nos._exit(9)", "status 9"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ],
)
def test_a_script_that_fails_is_refused_with_its_reason(
    tmp_path: Path, code: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message.replace(".", r"\.")) as caught:
        traced(written(tmp_path, code))
    assert caught.value.remedy


def test_a_script_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    script = written(tmp_path, "import time\ntime.sleep(600)")
    with pytest.raises(TraceTimeoutError, match="had not taken"):
        trace_script(script, compute_capability="8.0", timeout_s=4, progress=NoProgress())


def test_a_script_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        traced(tmp_path / "missing.py")


def test_tracing_changes_nothing_in_the_script_s_folder(tmp_path: Path) -> None:
    code = LINEAR.format(batch=1).replace(
        "import torch", "import torch\nopen('log.txt', 'a').write('x')\nopen('new.txt', 'w')"
    )
    script = written(tmp_path, code)
    (tmp_path / "log.txt").write_text("kept")
    traced(script)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "train.py"]
    assert (tmp_path / "log.txt").read_text() == "kept"


def test_a_masked_index_is_taken_as_full_and_said_to_be(tmp_path: Path) -> None:
    code = LINEAR.format(batch=8).replace(".sum()", "[torch.ones(8, device='cuda') > 0].sum()")
    trace = traced(written(tmp_path, code))
    assert any("masks" in line for line in trace.assumptions)


def test_an_optimizer_made_before_the_model_moves_still_trains_it(tmp_path: Path) -> None:
    code = LINEAR.format(batch=4).replace("bias=False).cuda()", "bias=False)")
    code = code.replace("for _ in", "model.to('cuda')\nfor _ in")
    roles = on_a100(traced(written(tmp_path, code))).peak.by_role_bytes
    assert roles[Role.OPTIMIZER] >= 2 * 1024 * 1024 * 4


TIED = """
import torch
class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Linear(512, 512, bias=False) for _ in range(2))
        self.second.weight = self.first.weight
    def forward(self, x):
        return self.second(self.first(x))
model = Tied()
parameters = list(model.parameters())
model.to("cuda")
assert model.first.weight is model.second.weight
optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(4, 512).cuda()).sum().backward()
    optimizer.step()
"""


def test_tied_weights_stay_one_tensor_on_the_device(tmp_path: Path) -> None:
    roles = on_a100(traced(written(tmp_path, TIED))).peak.by_role_bytes
    assert roles[Role.PARAMETERS] == roles[Role.OPTIMIZER] == 512 * 512 * 4


@pytest.mark.parametrize(
    "line",
    [
        "print(f'loss {loss:.4f} {loss!r}')",
        "torch.distributions.Normal(loss, torch.ones(1, device='cuda')).rsample()",
        "assert not torch.allclose(loss, loss)",
        "optimizer.state['calls'] = 1",
        "model = torch.nn.DataParallel(model.cuda()); model(torch.ones(1, 1024).cuda())",
    ],
)
def test_ordinary_lines_about_values_are_traced(tmp_path: Path, line: str) -> None:
    code = LINEAR.format(batch=4).replace(
        'model(torch.randn(4, 1024, device="cuda")).sum().backward()',
        f'loss = model(torch.randn(4, 1024, device="cuda")).sum()\n    loss.backward()\n    {line}',
    )
    assert traced(written(tmp_path, code)).steps == 2


def test_a_script_that_catches_everything_is_ended_all_the_same(tmp_path: Path) -> None:
    body = LINEAR.format(batch=4).partition("for _ in")
    loop = body[2].partition("\n")[2].replace("    ", "        ")
    code = f"{body[0]}while True:\n    try:\n{loop}    except BaseException:\n        pass\n"
    trace = traced(written(tmp_path, code))
    assert trace.steps == 2


def test_code_below_python_cannot_change_the_user_s_files(tmp_path: Path) -> None:
    kept = tmp_path / "model.pt"
    kept.write_bytes(b"x" * 2_000_000)
    victim = tmp_path / "victim"
    victim.mkdir()
    tries = (
        "torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), 'model.pt')",
        "torch.from_file('model.pt', shared=True, size=100, dtype=torch.uint8).fill_(1)",
        f"__import__('posix').open({str(victim / 'a')!r}, 65, 0o600)",
        f"__import__('os').posix_spawn('/bin/touch', ['touch', {str(victim / 'b')!r}], {{}})",
        f"__import__('_io').open({str(victim / 'c')!r}, 'w')",
    )
    attempts = "".join(f"try:\n    {line}\nexcept Exception: pass\n" for line in tries)
    code = LINEAR.format(batch=4).replace("import torch", f"import torch\n{attempts}")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model.pt").symlink_to(kept)
    traced(written(folder, code))
    assert kept.read_bytes() == b"x" * 2_000_000
    assert list(victim.iterdir()) == []


def test_the_child_ends_with_whoever_started_it(tmp_path: Path) -> None:
    script = written(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    code = (
        "from pathlib import Path; from sojourn.tracing.script import trace_script; "
        "from sojourn.progress import NoProgress; "
        f"trace_script(Path({str(script)!r}), compute_capability='8.0', timeout_s=60, "
        "progress=NoProgress())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    child = _wait_for_child(parent.pid)
    parent.kill()
    parent.wait()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def _wait_for_child(pid: int) -> psutil.Process:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        for child in psutil.Process(pid).children():
            # From then on the child has asked to end with its parent: it has begun with torch.
            if any("torch" in mapped.path for mapped in child.memory_maps()):
                return child
    raise AssertionError("no child was started")


def test_a_loader_s_positional_arguments_keep_their_meaning(tmp_path: Path) -> None:
    collate = "lambda rows: torch.ones(len(rows), 1024)"
    loader = f"DataLoader(list(range(90)), 9, False, None, None, 2, {collate})"
    code = LINEAR.replace("for _ in range(10):", f"for x in {loader}:").replace(
        'torch.randn({batch}, 1024, device="cuda")', "x.cuda()"
    )
    code = code.replace("import torch", "import torch\nfrom torch.utils.data import DataLoader")
    trace = traced(written(tmp_path, code))
    assert (trace.batch_size, trace.samples_per_epoch) == (9, 90)
    assert traced(tmp_path / "train.py", batch_size=3).batch_size == 3


def test_what_torch_has_under_two_names_answers_under_both(tmp_path: Path) -> None:
    # transformers' Trainer saves the generators' states with each checkpoint.
    asked = "states = torch.cuda.random.get_rng_state_all(), torch.cuda.random.get_rng_state()\n"
    asked += (
        "torch.cuda.random.set_rng_state_all(states[0])\nprint(torch.cuda.memory.memory_stats())"
    )
    trace = traced(
        written(tmp_path, LINEAR.format(batch=1).replace("model =", f"{asked}\nmodel =", 1))
    )
    assert trace.steps == 2
