"""A training step as a function, planned without its script being run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import sojourn
from sojourn.errors import TraceError, UsageError
from sojourn.forecast.trace import Alloc, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.request import StepFunction
from sojourn.tracing.script import trace_script

pytestmark = pytest.mark.torch
FILE = Path(__file__).parent / "scripts" / "step_function.py"


def traced(function: str, batch: str = "", batch_size: int | None = None) -> Trace:
    return trace_script(
        FILE,
        step=StepFunction(function=function, batch=batch),
        batch_size=batch_size,
        compute_capability="8.0",
        timeout_s=120,
        progress=NoProgress(),
    )


def test_a_step_in_a_file_is_planned_with_its_largest_batch() -> None:
    plan = sojourn.plan(step=f"{FILE}:train_step", batch="make_batch", on=["colab/t4"])
    assert plan.target.endswith("step_function.py:train_step")
    (option,) = plan.options
    assert option.verdict == "fits"
    # 16 GB hold a few hundred thousand inputs and outputs of 1,000 numbers, and gradients.
    assert option.max_batch_size is not None
    assert 500_000 < option.max_batch_size < 2_000_000


def test_the_batch_function_gets_the_batch_size() -> None:
    trace = traced("train_step", "make_batch", batch_size=24)
    inputs = [e for e in trace.events if isinstance(e, Alloc) and e.role is Role.INPUTS]
    assert [event.size_bytes for event in inputs] == [24 * 1000 * 4] * 2
    assert (trace.steps, trace.batch_size) == (2, 24)


def test_a_step_without_an_optimizer_is_one_call() -> None:
    trace = traced("own_step")
    gradients = [e for e in trace.events if isinstance(e, Alloc) and e.size_bytes == 4_000_000]
    # The weight; in each step its gradient and what is subtracted.
    assert len(gradients) == 1 + 2 * 2
    assert trace.steps == 2


@pytest.mark.parametrize(
    ("function", "batch", "message", "remedy"),
    [
        ("nothing", "", "has no function 'nothing'", "make_batch, train_step"),
        ("own_step", "make_batch", r"own_step\(\) cannot be called", "take the batch"),
        ("never_steps", "", "called 32 times", "optimizer.step()"),
    ],
)
def test_a_step_that_cannot_be_taken_is_refused(
    function: str, batch: str, message: str, remedy: str
) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        traced(function, batch)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("name", ["", "os.system", "a b"])
def test_what_is_no_name_of_a_function_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a function"):
        sojourn.plan(FILE, step=name)
    with pytest.raises(UsageError, match="is no name of a function"):
        sojourn.plan(FILE, step="train_step", batch=name)


@pytest.mark.parametrize(
    ("step", "message"),
    [("nope", "has no function 'nope'"), ("later", "trains as it is imported")],
)
def test_a_file_that_trains_as_it_is_imported_is_no_step(
    tmp_path: Path, step: str, message: str
) -> None:
    file = tmp_path / "train.py"
    file.write_text(
        "import torch\n"
        "model = torch.nn.Linear(4, 4).cuda()\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for _ in range(4):\n"
        "    model(torch.ones(2, 4, device='cuda')).sum().backward()\n"
        "    optimizer.step()\n"
        "def later(): ...\n",
        "utf-8",
    )
    with pytest.raises(TraceError, match=message):
        trace_script(
            file,
            step=StepFunction(function=step),
            compute_capability="8.0",
            timeout_s=120,
            progress=NoProgress(),
        )


def test_a_function_that_no_other_process_finds_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be found from another process"):
        sojourn.plan(step=lambda: None)
    with pytest.raises(UsageError, match="In which file"):
        sojourn.plan(step="train_step")
    with pytest.raises(UsageError, match="no script to plan"):
        sojourn.plan()


def test_a_function_of_a_module_is_found_in_its_file() -> None:
    from sojourn.tracing.step import parse_step

    spec = importlib.util.spec_from_file_location("some_steps", Path(__file__))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert isinstance(module, ModuleType)
    path, step = parse_step(None, traced, traced)
    assert (path, step) == (Path(__file__), StepFunction(function="traced", batch="traced"))
