"""How often scripts as people write them step, and what their batches cost, as seen unmodified."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.memory import forecast_memory
from sojourn.forecast.schedule import Loading, Schedule
from sojourn.forecast.trace import Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.request import StepFunction
from sojourn.tracing.script import trace_variants
from sojourn.tracing.server import TraceServer
from sojourn.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "schedules"


@pytest.fixture(scope="module")
def server() -> Iterator[TraceServer]:
    with TraceServer() as server:
        yield server


def traced(server: TraceServer, name: str, *arguments: str, fetches_more: bool = False) -> Trace:
    (trace,) = trace_variants(
        SCRIPTS / name,
        [Variant(compute_capability="8.0", changes=Changes())],
        arguments=arguments,
        timeout_s=120,
        server=server,
        fetches_more=fetches_more,
        progress=NoProgress(),
    )
    assert isinstance(trace, Trace), trace
    return trace


def per_step(batches: int | None = 1, **schedule: int | None) -> Schedule:
    fields: dict[str, Any] = {"evaluation_batches": 0, "final_batches": 0, **schedule}
    return Schedule(batches_per_step=batches, **fields)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain.py", per_step(steps_per_epoch=20, epochs=30)),
        ("bars.py", per_step(steps_per_epoch=20, epochs=12)),
        # 650 samples: 20 whole batches, three to a step, and a last step of two.
        ("accumulating.py", per_step(3, steps_per_epoch=7, epochs=8)),
        ("folds.py", per_step(steps_per_epoch=10, epochs=20, evaluation_batches=5)),
        ("phases.py", per_step(steps_per_epoch=20, epochs=25, evaluation_batches=3)),
        # Loops over steps are followed to no end: each of their rounds may do something else.
        ("steps_from_endless.py", per_step(steps_per_epoch=20, epochs=50, final_batches=None)),
        ("steps_from_zip.py", per_step(steps_per_epoch=20, epochs=25, final_batches=None)),
        ("endless_break.py", per_step(steps_per_epoch=20, epochs=35, final_batches=None)),
        ("next_in_body.py", per_step(steps_per_epoch=20, epochs=6, final_batches=None)),
        ("iterable_with_length.py", per_step(steps_per_epoch=313, epochs=3)),
        ("two_loaders.py", per_step(steps_per_epoch=10, epochs=5)),
        ("critic.py", per_step(steps_per_epoch=20, epochs=7)),
        ("several_per_batch.py", per_step(steps_per_epoch=80, epochs=9)),
        ("sliced.py", per_step(steps_per_epoch=12, epochs=3)),
        # Five batches after every fifth epoch: one to an epoch.
        (
            "evaluation_now_and_then.py",
            per_step(steps_per_epoch=20, epochs=20, evaluation_batches=1, final_batches=2),
        ),
        ("notebook.ipynb", per_step(steps_per_epoch=20, epochs=15)),
        ("kept_locals.py", per_step(steps_per_epoch=20, epochs=3)),
        # Without a loader it is not led on to an evaluation, and whether there is one is not known.
        ("without_loader.py", Schedule(steps_per_epoch=10, epochs=40)),
        ("whole_batch.py", Schedule(steps_per_epoch=1, epochs=250)),
    ],
)
def test_the_scripts_own_loops_say_how_often_it_steps(
    server: TraceServer, name: str, expected: Schedule
) -> None:
    assert traced(server, name).schedule == expected


@pytest.mark.parametrize("where", ["function", "plain"])
@pytest.mark.parametrize(("when", "each", "final"), [("each", 4, 0), ("end", 0, 5), ("both", 4, 5)])
def test_evaluation_counts_in_each_epoch_or_once_at_the_end(
    server: TraceServer, when: str, where: str, each: int, final: int
) -> None:
    trace = traced(server, "evaluation_at_the_end.py", when, where)
    assert trace.schedule == per_step(
        steps_per_epoch=20, epochs=30, evaluation_batches=each, final_batches=final
    )
    assert trace.evaluation_kernels is not None
    # Batches of the held-out data, where an epoch has any, and not of the larger test data.
    size = 50 if each else 60
    assert max(kernel.rows for kernel in trace.evaluation_kernels.kinds) == size
    assert not any("failed" in line for line in trace.assumptions)


def test_evaluation_after_the_epochs_of_each_fold_comes_once_a_fold(server: TraceServer) -> None:
    schedule = traced(server, "evaluation_at_the_end.py", "each", "folds").schedule
    assert (schedule.epochs, schedule.evaluation_batches, schedule.final_batches) == (30, 4, 15)


def test_the_same_data_looked_at_again_after_the_last_epoch_count_again(
    server: TraceServer,
) -> None:
    schedule = traced(server, "comprehensions.py", "again").schedule
    assert schedule == per_step(steps_per_epoch=20, epochs=8, evaluation_batches=4, final_batches=4)


@pytest.mark.parametrize(
    ("where", "epochs", "final"),
    [
        ("batches", 7, 4),
        ("epochs", 9, None),
        ("generator", 5, 4),
        ("expression", 4, None),
        ("else", 6, 4),
        ("class", 3, 4),
    ],
)
def test_comprehensions_generators_and_classes_go_round_too(
    server: TraceServer, where: str, epochs: int, final: int | None
) -> None:
    trace = traced(server, "comprehensions.py", where)
    assert trace.schedule == per_step(steps_per_epoch=20, epochs=epochs, final_batches=final)


def test_evaluation_that_later_epochs_may_have_is_unknown_and_that_at_the_end_known(
    server: TraceServer,
) -> None:
    schedule = traced(server, "evaluation_at_the_end.py", "now and then", "function").schedule
    assert (schedule.evaluation_batches, schedule.final_batches) == (None, 5)


def test_training_on_other_data_afterwards_is_no_evaluation(server: TraceServer) -> None:
    schedule = traced(server, "two_phases.py").schedule
    assert (schedule.epochs, schedule.evaluation_batches, schedule.final_batches) == (4, 0, None)


def test_epochs_come_from_the_arguments_too(server: TraceServer) -> None:
    for arguments, epochs in (((), 14), (("--epochs", "3"), 3)):
        schedule = traced(server, "functions.py", *arguments).schedule
        assert (schedule.steps_per_epoch, schedule.epochs) == (20, epochs)
        assert schedule.evaluation_batches == 4


@pytest.mark.parametrize(
    ("name", "line"),
    [("functions.py", "functions.py:21"), ("early_stopping.py", "early_stopping.py:23")],
)
def test_a_break_makes_it_an_upper_bound(server: TraceServer, name: str, line: str) -> None:
    trace = traced(server, name)
    assert trace.schedule.epochs is not None
    assert trace.schedule.is_upper_bound
    assert any(note.startswith(f"{line} may end the loop at") for note in trace.assumptions)


def test_several_loops_around_the_epoch_are_named(server: TraceServer) -> None:
    said = "the job trains for 20 epochs: 2 (folds.py:12) x 10 (folds.py:17)"
    assert said in traced(server, "folds.py").assumptions


def test_loops_in_modules_beside_the_script_count_too(server: TraceServer) -> None:
    trace = traced(server, "project/main.py")
    assert trace.schedule == per_step(steps_per_epoch=20, epochs=51, evaluation_batches=10)
    assert "the job trains for 51 epochs: 3 (main.py:26) x 17 (engine.py:18)" in trace.assumptions


def test_looking_at_variables_keeps_none_of_them(server: TraceServer) -> None:
    forecast = forecast_memory(
        traced(server, "let_go.py"), memory_bytes=40 * GIB, compute_capability="8.0"
    )
    # Of two tensors of 4 MiB the first is gone before the second is there.
    held_bytes = forecast.peak.by_role_bytes[Role.ACTIVATIONS]
    assert 4 * MIB < held_bytes < 5 * MIB


def test_accelerates_look_ahead_and_its_own_loader_change_nothing(server: TraceServer) -> None:
    trace = traced(server, "short_accelerate.py")
    assert trace.schedule.steps_per_epoch == 2
    assert trace.schedule.batches_per_step == 1
    assert trace.loading is not None
    assert trace.loading.workers == 3


@pytest.mark.parametrize(
    ("name", "steps_per_epoch", "reason"),
    [
        ("short_accelerate.py", 2, "what short_accelerate.py:13 goes over has changed meanwhile"),
        ("while_loop.py", 20, "while_loop.py:13 goes round for as long as something holds"),
        ("computed.py", 20, "how often computed.py:16 goes round cannot be told"),
    ],
)
def test_what_cannot_be_seen_is_unknown_and_asked_for(
    server: TraceServer, name: str, steps_per_epoch: int, reason: str
) -> None:
    schedule = traced(server, name).schedule
    assert (schedule.steps_per_epoch, schedule.epochs) == (steps_per_epoch, None)
    assert schedule.reason.startswith(reason)
    assert schedule.reason.endswith("give --epochs")


def test_a_stream_without_a_length_has_epochs_of_unknown_length(server: TraceServer) -> None:
    schedule = traced(server, "iterable.py").schedule
    assert (schedule.steps_per_epoch, schedule.epochs) == (None, 3)
    assert "does not say how long it is" in schedule.reason


def test_a_step_function_does_not_say_how_often_it_is_called(server: TraceServer) -> None:
    (trace,) = trace_variants(
        SCRIPTS.parent / "scripts" / "step_function.py",
        [Variant(compute_capability="8.0", changes=Changes())],
        timeout_s=120,
        step=StepFunction(function="train_step", batch="make_batch"),
        server=server,
        progress=NoProgress(),
    )
    assert isinstance(trace, Trace), trace
    assert trace.schedule == Schedule(
        reason="the loop around optimizer.step() was not seen; give --epochs"
    )
    assert trace.loading is None


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("epochs", per_step(2, steps_per_epoch=25, epochs=3, evaluation_batches=9)),
        ("half", per_step(2, steps_per_epoch=25, epochs=3, total_steps=63)),
        # Nine batches after every tenth of 25 steps.
        ("steps", per_step(2, steps_per_epoch=25, epochs=4, evaluation_batches=23)),
    ],
)
def test_transformers_trainer_is_taken_at_its_word(
    server: TraceServer, how: str, expected: Schedule
) -> None:
    assert traced(server, "hf_epochs.py", how).schedule == expected


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("epochs", per_step(3, steps_per_epoch=7, epochs=4, evaluation_batches=10)),
        (
            "steps",
            per_step(steps_per_epoch=20, epochs=3, total_steps=50, evaluation_batches=10),
        ),
        ("every", per_step(steps_per_epoch=10, epochs=6, evaluation_batches=10)),
    ],
)
def test_lightning_is_taken_at_its_word(server: TraceServer, how: str, expected: Schedule) -> None:
    # What a script does after `fit` is not reached.
    expected = replace(expected, final_batches=None)
    assert traced(server, "lightning_epochs.py", how).schedule == expected


def loading(server: TraceServer, how: str, seconds: float, workers: int = 0) -> Loading:
    trace = traced(server, "loading.py", how, str(seconds), str(workers), fetches_more=True)
    assert trace.loading is not None
    return trace.loading


def test_what_a_batch_costs_the_processor_is_measured(server: TraceServer) -> None:
    seen = loading(server, "cpu", 0.004, workers=3)
    # Eight samples of 4 ms each; torch makes a batch of them in well under a millisecond.
    assert seen.seconds_per_batch == pytest.approx(8 * 0.004, rel=0.1)
    assert seen.measured_batches >= 3
    assert seen.workers == 3


def test_what_else_the_processor_does_is_not_counted(server: TraceServer) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        seen = loading(server, "cpu", 0.004)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert seen.seconds_per_batch == pytest.approx(8 * 0.004, rel=0.15)


def test_waiting_for_a_disk_is_counted(server: TraceServer) -> None:
    assert loading(server, "wait", 0.005).seconds_per_batch >= 8 * 0.005


def test_tracings_own_share_of_an_operator_is_left_out(server: TraceServer) -> None:
    import torch

    def run_plainly() -> float:
        torch.set_num_threads(1)
        start = time.process_time()
        for _ in range(8):
            x = torch.zeros(16)
            for _ in range(300):
                x = x + 1
        return time.process_time() - start

    plain_s = min(run_plainly() for _ in range(20))
    seen = loading(server, "torch", 0)
    assert plain_s * 0.5 < seen.seconds_per_batch < plain_s * 2
    while_traced = traced(server, "loading.py", "torch", "0", "0").loading
    assert while_traced is not None
    assert while_traced.seconds_per_batch > 2 * seen.seconds_per_batch


def test_a_data_set_that_needs_the_device_keeps_what_was_seen(server: TraceServer) -> None:
    seen = loading(server, "cuda", 0)
    assert seen.measured_batches < 5
    assert seen.seconds_per_batch > 0
