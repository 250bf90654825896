"""Evaluation passes that come after training: what they hold, to the byte where it can be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sojourn.forecast.memory import Peak, forecast_memory
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"


def traced(name: str, *arguments: str, batch_size: int | None = None) -> Trace:
    return trace_script(
        SCRIPTS / name,
        arguments=arguments,
        batch_size=batch_size,
        compute_capability="8.0",
        timeout_s=120,
        progress=NoProgress(),
    )


def peak_of(trace: Trace) -> Peak:
    return forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0").peak


def largest_of(trace: Trace, phase: Phase) -> int:
    sizes = [e.size_bytes for e in trace.events if isinstance(e, Alloc) and e.phase is phase]
    return max(sizes, default=0)


def test_a_validation_loop_with_a_larger_batch_makes_the_peak() -> None:
    # Another batch size is for training only.
    trace = traced("evaluation_loop.py", batch_size=64)
    assert (trace.steps, trace.batch_size, trace.samples_per_epoch) == (2, 64, 640)
    assert largest_of(trace, Phase.FORWARD) == 64 * 1024 * 4
    peak = peak_of(trace)
    assert (peak.phase, peak.line) == (Phase.EVALUATION, "evaluation_loop.py:24")
    # 4,000 inputs of 256; the hidden layer before and after its ReLU; the training loss.
    assert peak.by_role_bytes[Role.INPUTS] == 4000 * 256 * 4
    assert peak.by_role_bytes[Role.ACTIVATIONS] == 2 * 4000 * 1024 * 4 + 4


LOGITS_BYTES = 10 * 4096 * 4


def test_what_is_gathered_of_few_batches_is_seen() -> None:
    # Twice, as all is joined once more; that is the largest the device holds.
    peak = peak_of(traced("evaluation_gathered.py", "list", "10"))
    assert peak.by_role_bytes[Role.ACTIVATIONS] == 2 * 10 * LOGITS_BYTES


def test_what_is_gathered_of_many_batches_is_counted() -> None:
    trace = traced("evaluation_gathered.py", "list", "50000")
    activations_bytes = peak_of(trace).by_role_bytes[Role.ACTIVATIONS]
    assert 50_000 * LOGITS_BYTES <= activations_bytes <= 50_010 * LOGITS_BYTES
    assert any("4 of 50000 evaluation batches" in line for line in trace.assumptions)


def test_what_is_joined_with_every_batch_is_there_twice() -> None:
    by_role = peak_of(traced("evaluation_gathered.py", "cat", "50000")).by_role_bytes
    total_bytes = by_role[Role.ACTIVATIONS] + by_role[Role.WORKSPACE]
    assert 99_990 * LOGITS_BYTES <= total_bytes <= 100_200 * LOGITS_BYTES


def test_an_evaluation_that_keeps_its_graph_is_seen_as_it_is() -> None:
    trace = traced("evaluation_after.py", "graph")
    assert peak_of(trace).line == "evaluation_after.py:25"
    # Input; the layer's output and its sigmoid, which the graph keeps; the sum.
    assert peak_of(trace).by_role_bytes[Role.INPUTS] == 1000 * 128 * 4
    assert peak_of(trace).by_role_bytes[Role.ACTIVATIONS] >= 2 * 1000 * 64 * 4


def test_a_script_without_an_evaluation_is_traced_to_its_second_step_only() -> None:
    trace = traced("evaluation_after.py", "none")
    assert trace.steps == 2
    assert trace.assumptions == ()
    assert largest_of(trace, Phase.EVALUATION) == 0
    inputs = [e for e in trace.events if isinstance(e, Alloc) and e.role is Role.INPUTS]
    assert len(inputs) == 2


@pytest.mark.parametrize(
    ("how", "assumption"),
    [
        ("raise", "after training the script failed: ValueError: no such metric"),
        ("exit", "what the script does after training was not seen"),
    ],
)
def test_a_script_that_fails_after_training_keeps_its_trace(how: str, assumption: str) -> None:
    trace = traced("evaluation_after.py", how)
    assert trace.steps == 2
    assert any(assumption in line for line in trace.assumptions)


def test_a_failure_after_training_names_the_loops_that_were_cut_short() -> None:
    trace = traced("evaluation_after.py", "metric")
    (said,) = (line for line in trace.assumptions if "failed" in line)
    assert "ValueError: 48 of 64" in said
    assert said.endswith(
        "its loops were cut short (training after 2 optimizer steps, evaluation after 3 batches), "
        "which may be why"
    )


def test_a_trainer_that_evaluates_every_so_many_steps_is_seen_to() -> None:
    trace = traced("evaluation_trainer.py", "steps")
    assert trace.batch_size == 4
    # The feed-forward layer's output: 256 sequences of 64 tokens.
    assert largest_of(trace, Phase.EVALUATION) == 256 * 64 * 256 * 4
    assert not any("failed" in line for line in trace.assumptions)


def test_lightning_s_validation_is_seen() -> None:
    trace = traced("evaluation_lightning.py")
    assert largest_of(trace, Phase.EVALUATION) == 1000 * 512 * 4
    assert peak_of(trace).phase is Phase.EVALUATION
