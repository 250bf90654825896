"""What people run, each a short script: what its trace says about memory, against arithmetic."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from sojourn.forecast.memory import MemoryForecast, forecast_memory
from sojourn.forecast.trace import Alloc, Convolution, Free, Phase, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB, KIB, MIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"
FLOAT, HALF = 4, 2


@functools.cache
def traced(name: str, *arguments: str, capability: str = "8.0") -> Trace:
    trace = trace_script(
        SCRIPTS / name,
        arguments=arguments,
        compute_capability=capability,
        timeout_s=120,
        progress=NoProgress(),
    )
    assert trace.steps >= 2
    assert not any("failed" in line for line in trace.assumptions)
    return trace


def on_a100(trace: Trace) -> MemoryForecast:
    return forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0")


def at_peak(trace: Trace) -> dict[Role, int]:
    return dict(on_a100(trace).peak.by_role_bytes)


def peak_bytes(trace: Trace) -> int:
    return on_a100(trace).peak_allocated_bytes


def live_after_each(trace: Trace) -> list[tuple[Phase, dict[Role, int]]]:
    """The phase, and the live bytes by role, after each allocation."""
    live: dict[int, Alloc] = {}
    by_role = dict.fromkeys(Role, 0)
    moments = []
    for event in trace.events:
        if isinstance(event, Free):
            gone = live.pop(event.block)
            by_role[gone.role] -= gone.size_bytes
        elif isinstance(event, Alloc):
            live[event.block] = event
            by_role[event.role] += event.size_bytes
            moments.append((event.phase, dict(by_role)))
    return moments


def at_end_of_forward(trace: Trace) -> dict[Role, int]:
    """What is there after the last forward pass that a backward pass follows."""
    moments = live_after_each(trace)
    last = max(
        index
        for index in range(len(moments) - 1)
        if moments[index][0] is Phase.FORWARD and moments[index + 1][0] is Phase.BACKWARD
    )
    return moments[last][1]


def most(trace: Trace, role: Role) -> int:
    return max(by_role[role] for _, by_role in live_after_each(trace))


def state_bytes(trace: Trace) -> int:
    """What the optimizers keep from one step to the next."""
    freed = {event.block for event in trace.events if isinstance(event, Free)}
    return sum(
        event.size_bytes
        for event in trace.events
        if isinstance(event, Alloc) and event.role is Role.OPTIMIZER and event.block not in freed
    )


def largest_block(trace: Trace) -> int:
    return max(event.size_bytes for event in trace.events if isinstance(event, Alloc))


HIDDEN = 8192 * 1024  # elements of one layer's output in mixed_precision.py


def test_autocast_halves_the_activations_and_keeps_half_copies_of_the_weights() -> None:
    single, half = (
        at_end_of_forward(traced("mixed_precision.py", "--precision", name))[Role.ACTIVATIONS]
        for name in ("fp32", "fp16")
    )
    # Six layers, each with its product (for the GELU) and its output (for the next weight).
    assert single == pytest.approx(12 * HIDDEN * FLOAT, abs=MIB)
    # The input as well, which autocast copies, and five weights of 1024 x 1024.
    assert half == pytest.approx((13 * HIDDEN + 5 * 1024 * 1024) * HALF, abs=MIB)


def test_autocast_keeps_parameters_gradients_and_state_in_single_precision() -> None:
    single, half = (traced("mixed_precision.py", "--precision", name) for name in ("fp32", "fp16"))
    parameters = (6 * (1024 * 1024 + 1024) + 1024 * 10 + 10) * FLOAT
    for trace in (single, half):
        assert at_peak(trace)[Role.PARAMETERS] == parameters
        assert most(trace, Role.GRADIENTS) == parameters
        assert state_bytes(trace) == pytest.approx(2 * parameters, abs=KIB)


def test_bfloat16_on_a_card_without_it_is_emulated_and_said_to_be() -> None:
    old = traced("mixed_precision.py", "--precision", "bf16", capability="7.5")
    assert old.asked_capability
    assert any("bfloat16 is emulated" in line for line in old.assumptions)
    half = traced("mixed_precision.py", "--precision", "fp16")
    assert peak_bytes(old) == pytest.approx(peak_bytes(half), rel=0.01)


def test_tf32_changes_the_convolutions_kernels_and_no_tensor() -> None:
    off, on = traced("tf32.py"), traced("tf32.py", "--tf32")
    assert {e.allows_tf32 for e in off.events if isinstance(e, Convolution)} == {False}
    assert {e.allows_tf32 for e in on.events if isinstance(e, Convolution)} == {True}
    off_bytes, on_bytes = (
        [e.size_bytes for e in trace.events if isinstance(e, Alloc)] for trace in (off, on)
    )
    assert off_bytes == on_bytes


@pytest.mark.parametrize("mode", ["reentrant", "non_reentrant"])
def test_checkpointing_keeps_the_blocks_inputs_only(mode: str) -> None:
    token_vectors = 8192 * 256 * FLOAT
    everything = at_end_of_forward(traced("checkpointing.py"))[Role.ACTIVATIONS]
    # Per block: the product, the dropped-out output, one byte a value of mask; and nine inputs.
    assert everything == pytest.approx(8 * (8192 * 1024 * 9) + 9 * token_vectors, abs=MIB)
    trace = traced("checkpointing.py", "--checkpoint", mode)
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] == pytest.approx(9 * token_vectors, abs=MIB)
    assert peak_bytes(trace) < 0.4 * peak_bytes(traced("checkpointing.py"))
    # The recomputed block is there again for its own backward pass.
    assert on_a100(trace).peak.phase is Phase.BACKWARD
    assert on_a100(trace).peak.line.startswith("checkpointing.py:")


def test_accumulating_costs_the_gradients_and_no_more() -> None:
    whole = traced("accumulation.py")
    micro = traced("accumulation.py", "--batch-size", "1024")
    many = traced("accumulation.py", "--batch-size", "1024", "--accumulate", "4")
    gradients = most(micro, Role.GRADIENTS)
    assert peak_bytes(micro) < peak_bytes(many) <= peak_bytes(micro) + gradients + KIB
    assert peak_bytes(many) < peak_bytes(whole)
    assert most(many, Role.GRADIENTS) == gradients
    assert many.batch_size == 1024


@pytest.mark.parametrize(
    ("arguments", "layers_in_forward"),
    [
        (("--where", "before_forward"), 0),
        (("--where", "after_forward"), 8),
        (("--where", "after_step"), 0),
        (("--where", "after_step", "--keep"), 8),
    ],
)
def test_gradients_are_there_in_the_forward_pass_unless_they_were_dropped(
    arguments: tuple[str, ...], layers_in_forward: int
) -> None:
    trace = traced("zero_grad.py", *arguments)
    layer = 1024 * 1024 * FLOAT
    in_forward = [live for phase, live in live_after_each(trace) if phase is Phase.FORWARD]
    assert max(live[Role.GRADIENTS] for live in in_forward) == layers_in_forward * layer
    assert most(trace, Role.GRADIENTS) == 8 * layer


def test_a_compiled_model_is_traced_as_eager_and_said_to_be() -> None:
    trace = traced("compiled.py")
    assert "torch.compile is traced as eager" in trace.assumptions
    narrow, wide = 1024 * 512 * FLOAT, 1024 * 2048 * FLOAT
    # Input and difference; product and output of the inner layer.
    kept = at_end_of_forward(trace)[Role.ACTIVATIONS]
    assert kept == pytest.approx(2 * narrow + 2 * wide, abs=narrow + KIB)


def test_norms_and_gates_keep_what_their_fused_kernels_keep() -> None:
    trace = traced("gated.py")
    tokens, width, hidden = 8 * 1024, 512, 1024
    # Per block, in bfloat16: input and output of the norm; gate, its SiLU, the other half, product.
    block = tokens * (2 * width + 4 * hidden) * HALF
    root_mean_squares = tokens * FLOAT
    last = tokens * width * FLOAT
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] == pytest.approx(
        4 * (block + root_mean_squares) + last, abs=KIB
    )
    assert "bfloat16" not in " ".join(trace.assumptions)
    assert trace.asked_capability


LENGTH = 2048
SCORES = 2 * 4 * LENGTH * LENGTH  # elements of attention.py's length x length matrix
QUERY = 2 * LENGTH * 4 * 64


@pytest.mark.parametrize(
    ("arguments", "capability"),
    [
        (("--causal", "--dropout", "0.1"), "8.0"),
        (("--causal",), "7.5"),
        (("--mask",), "8.0"),
        (("--precision", "fp32"), "8.0"),
        (("--causal", "--kv-heads", "2"), "8.0"),
    ],
    ids=["flash", "efficient on a T4", "efficient for a mask", "efficient in fp32", "grouped"],
)
def test_fused_attention_holds_no_matrix_of_length_by_length(
    arguments: tuple[str, ...], capability: str
) -> None:
    trace = traced("attention.py", *arguments, capability=capability)
    assert trace.asked_capability
    assert largest_block(trace) <= 3 * QUERY * FLOAT < SCORES


@pytest.mark.parametrize(
    ("arguments", "capability"),
    [
        (("--causal", "--math"), "8.0"),
        (("--causal", "--precision", "bf16"), "7.5"),
        (("--precision", "fp32", "--kv-heads", "2"), "8.0"),
    ],
    ids=["asked for", "bf16 on a T4", "grouped in fp32"],
)
def test_attention_that_no_fused_kernel_takes_holds_the_scores(
    arguments: tuple[str, ...], capability: str
) -> None:
    trace = traced("attention.py", *arguments, capability=capability)
    # Taken apart it works in single precision, and each of the two layers keeps its softmax.
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] >= 2 * SCORES * FLOAT


def test_flash_attention_sums_up_its_gradient_in_single_precision() -> None:
    plain = at_peak(traced("attention.py", "--causal", "--dropout", "0.1"))[Role.WORKSPACE]
    grouped = at_peak(traced("attention.py", "--causal", "--kv-heads", "2"))[Role.WORKSPACE]
    handles = 2 * 8_519_680
    assert plain == handles + QUERY * FLOAT + 2 * 4 * LENGTH * FLOAT
    # The gradients of keys and values are made for every head of the queries first.
    assert grouped == plain + 2 * QUERY * HALF


GPT = (4096 + 256) * 256 + 4 * (12 * 256 * 256 + 13 * 256) + 2 * 256
HF = ("--output_dir", "out", "--per_device_train_batch_size", "4", "--report_to", "none")


def test_a_trainer_in_fp16_steps_with_the_fused_adamw() -> None:
    trace = traced("hf_trainer.py", *HF, "--fp16")
    assert (trace.batch_size, trace.samples_per_epoch) == (4, 512)
    assert at_peak(trace)[Role.PARAMETERS] == GPT * FLOAT
    assert state_bytes(trace) == pytest.approx(2 * GPT * FLOAT, abs=KIB)
    assert most(trace, Role.OPTIMIZER) == pytest.approx(2 * GPT * FLOAT, abs=KIB)


def test_a_trainer_in_bf16_checkpoints_and_accumulates() -> None:
    trace = traced(
        "hf_trainer.py",
        *(*HF, "--bf16", "--gradient_checkpointing"),
        *("--gradient_accumulation_steps", "2"),
    )
    plain = at_end_of_forward(traced("hf_trainer.py", *HF, "--fp16"))[Role.ACTIVATIONS]
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] < plain / 3
    # The second of two micro-batches: the first one's gradients are there from the start.
    assert at_end_of_forward(trace)[Role.GRADIENTS] == GPT * FLOAT


SMALL_NET = (512 * 1024 + 1024 + 1024 * 10 + 10) * FLOAT


@pytest.mark.parametrize(
    ("name", "batch_size"), [("accelerate_loop.py", 32), ("lightning_module.py", 64)]
)
def test_a_framework_s_loop_holds_what_a_plain_one_does(name: str, batch_size: int) -> None:
    trace = traced(name)
    assert (trace.batch_size, trace.samples_per_epoch) == (batch_size, 2048)
    assert at_peak(trace)[Role.PARAMETERS] == SMALL_NET
    assert most(trace, Role.GRADIENTS) == SMALL_NET
    assert state_bytes(trace) == 2 * SMALL_NET
    # And one set of temporaries; what a closure runs inside of step() is not the optimizer's.
    assert most(trace, Role.OPTIMIZER) == 3 * SMALL_NET


def test_frozen_weights_have_no_gradients_and_no_state() -> None:
    trace = traced("lora_peft.py")
    trainable, everything = 28_672, 5_028_096
    assert at_peak(trace)[Role.PARAMETERS] == pytest.approx(everything * FLOAT, abs=KIB)
    assert most(trace, Role.GRADIENTS) == trainable * FLOAT
    assert state_bytes(trace) == 2 * trainable * FLOAT


def test_a_loader_with_workers_gives_its_longest_batch_without_them() -> None:
    trace = traced("loader_workers.py")
    assert (trace.batch_size, trace.samples_per_epoch) == (50, 1000)
    tokens = 50 * 127
    assert at_end_of_forward(trace)[Role.INPUTS] == tokens * 8 + 50 * 8
    # The embedding's gradient sorts the tokens and sums their rows in a buffer of its own.
    scratch = tokens * (6 * 8 + 128 * FLOAT)
    assert at_peak(trace)[Role.WORKSPACE] == 2 * 8_519_680 + scratch


def test_cells_and_losses_without_shape_rules_are_traced_and_tensors_saved_on_the_host() -> None:
    trace = traced("speech.py")
    samples, steps, hidden, vocabulary, labels = 64, 40, 256, 33, 20
    # The stacked states, and their log-probabilities, which the CTC loss keeps together with its
    # forward variables: one for each label and for each gap.
    scores = samples * steps * vocabulary * FLOAT
    variables = samples * steps * (2 * labels + 1) * FLOAT
    kept = at_end_of_forward(trace)[Role.ACTIVATIONS]
    assert scores + variables <= kept < scores + variables + samples * steps * hidden
    sizes = [e.size_bytes for e in trace.events if isinstance(e, Alloc)]
    # What each cell keeps is on the host until its backward pass takes it back.
    assert sizes.count(samples * 5 * hidden * FLOAT) == trace.steps * steps * 2


def test_a_gan_s_two_nets_both_have_gradients_and_state() -> None:
    trace = traced("gan.py")
    generator = 128 * 512 + 512 + 512 * 1024 + 1024
    both = generator + 1024 * 512 + 512 + 512 + 1
    assert state_bytes(trace) == 2 * both * FLOAT
    # The generator's loss leaves gradients in the critic too.
    assert most(trace, Role.GRADIENTS) == both * FLOAT


def test_a_teacher_keeps_nothing_for_a_backward_pass() -> None:
    trace = traced("distillation.py")
    student = 256 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    teacher = 256 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 10 + 10
    assert at_peak(trace)[Role.PARAMETERS] == (student + teacher) * FLOAT
    assert most(trace, Role.GRADIENTS) == student * FLOAT
    assert state_bytes(trace) == student * FLOAT
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] < 4096 * 2048 * FLOAT / 2
    # Two of its layers at once are the peak all the same.
    assert on_a100(trace).peak.phase is Phase.EVALUATION


WEIGHTS = 4 * 1024 * 1024 * FLOAT


@pytest.mark.parametrize(
    ("name", "state", "temporaries"),
    [
        ("adamw", 2 * WEIGHTS, WEIGHTS),
        ("adamw_fused", 2 * WEIGHTS, 0),
        # One weight at a time: the denominator before and after its division, and the last one.
        ("adamw_loop", 2 * WEIGHTS, 3 * WEIGHTS // 4),
        ("sgd_momentum", WEIGHTS, 0),
        ("sgd_fused", WEIGHTS, 0),
        # A row and a column of squares for each weight.
        ("adafactor", 4 * 2 * 1024 * FLOAT, 2 * WEIGHTS // 4),
    ],
)
def test_an_optimizer_keeps_its_state_and_takes_its_temporaries(
    name: str, state: int, temporaries: int
) -> None:
    trace = traced("optimizers.py", "--optimizer", name)
    assert state_bytes(trace) == pytest.approx(state, abs=KIB)
    assert most(trace, Role.OPTIMIZER) == pytest.approx(state + temporaries, abs=16 * KIB)


def test_lbfgs_keeps_its_whole_history_and_its_closure_is_a_forward_pass() -> None:
    trace = traced("lbfgs.py")
    vector = (64 * 4096 + 4096 + 4096 + 1) * FLOAT
    assert "LBFGS keeps its whole history of 10 steps" in trace.assumptions
    assert 20 * vector <= state_bytes(trace) <= 24 * vector
    activations = 2000 * 4096 * FLOAT
    assert at_end_of_forward(trace)[Role.ACTIVATIONS] == pytest.approx(activations, rel=0.01)
    assert most(trace, Role.OPTIMIZER) < 36 * vector


def test_an_average_of_the_model_is_a_second_set_of_parameters() -> None:
    trace = traced("ema.py")
    weights = 1024 * 1024 + 1024 + 2 * 1024 + 1024 * 10 + 10
    buffers = 2 * 1024 * FLOAT + 8
    assert at_peak(trace)[Role.PARAMETERS] == 2 * (weights * FLOAT + buffers)
    assert most(trace, Role.GRADIENTS) == weights * FLOAT


def test_lazy_layers_take_what_others_of_their_shape_take() -> None:
    lazy, plain = traced("lazy_layers.py", "lazy"), traced("lazy_layers.py")
    assert at_peak(lazy) == at_peak(plain)
    assert at_peak(lazy)[Role.PARAMETERS] == (8 * 27 + 8 + 15_680 + 10) * FLOAT
