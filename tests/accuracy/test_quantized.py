"""bitsandbytes without a card: optimizer states and weights of its sizes, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sojourn.errors import TraceError
from sojourn.forecast.memory import Peak, forecast_memory
from sojourn.forecast.trace import Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"

LARGE = 1000 * 1000
MAXIMA = -(-LARGE // 256)
# The layer of 4,000 weights, and the biases of 1,000 and 4: too small for 8 bits.
SMALL = 4000 + 1000 + 4


def traced(name: str, *arguments: str) -> Trace:
    return trace_script(
        SCRIPTS / name,
        arguments=arguments,
        compute_capability="8.0",
        timeout_s=120,
        progress=NoProgress(),
    )


def peak_of(trace: Trace) -> Peak:
    return forecast_memory(trace, memory_bytes=40 * GIB, compute_capability="8.0").peak


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Two moments of two large parameters, one of which keeps 32 bits; maxima per 256; the small
        # in 32 bits; two tables.
        (("AdamW8bit", "--single"), 2 * (5 * LARGE + 4 * MAXIMA) + 2 * 4 * SMALL + 2 * 1024),
        (("PagedAdamW8bit",), 2 * 2 * 4 * MAXIMA + 2 * 4 * SMALL + 2 * 1024),
    ],
)
def test_an_optimizer_s_states_have_the_library_s_sizes(
    arguments: tuple[str, ...], expected: int
) -> None:
    trace = traced("low_bit_optimizers.py", *arguments)
    assert peak_of(trace).by_role_bytes[Role.OPTIMIZER] == expected
    is_paged = any("paged optimizer states" in line for line in trace.assumptions)
    assert is_paged == arguments[0].startswith("Paged")


WEIGHT = 4096 * 4096
# The layers before and after it, in single precision.
OTHERS = 4 * (64 * 4096 + 4096 + 4096 * 4 + 4)


@pytest.mark.parametrize(
    ("bits", "packed"),
    [
        # Half a byte, a maximum in 8 bits per 64 and in 32 per 256 of those, tables, an offset.
        ("4bit", WEIGHT // 2 + WEIGHT // 64 + WEIGHT // 64 // 256 * 4 + (16 + 256 + 1) * 4),
        ("8bit", WEIGHT + 4096 * 4),
    ],
)
def test_a_layer_of_few_bits_is_packed_and_unpacked_to_compute(bits: str, packed: int) -> None:
    peak = peak_of(traced("low_bit_layers.py", bits))
    assert peak.by_role_bytes[Role.PARAMETERS] == OTHERS + packed
    # To compute with it, it is there in bfloat16.
    assert 2 * WEIGHT <= peak.by_role_bytes[Role.ACTIVATIONS] < 2 * WEIGHT + 2_000_000


def test_what_the_stand_in_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(TraceError, match="OutlierAwareLinear is not known to planning"):
        traced("low_bit_layers.py", "other")


def says_stand_in(trace: Trace) -> bool:
    return any("bitsandbytes is a stand-in" in line for line in trace.assumptions)


def test_the_stand_in_is_told_of_where_a_script_made_something_of_it() -> None:
    assert says_stand_in(traced("low_bit_optimizers.py", "AdamW8bit"))
    assert says_stand_in(traced("low_bit_layers.py", "8bit"))
    # peft imports it, to see what it has.
    assert not says_stand_in(traced("lora_peft.py"))
