"""Batches that vary in length: the longest is what is traced, or it is said that it may not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sojourn.forecast.trace import Alloc, Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script

pytestmark = pytest.mark.torch
SCRIPT = Path(__file__).parent / "scripts" / "variable_length.py"
TOKEN_BYTES = 8


def traced(*arguments: str) -> Trace:
    return trace_script(
        SCRIPT,
        arguments=arguments,
        compute_capability="8.0",
        timeout_s=120,
        progress=NoProgress(),
    )


def batches_of(trace: Trace) -> list[int]:
    """Return the sizes of the batches that went to the device, in tokens."""
    inputs = [e for e in trace.events if isinstance(e, Alloc) and e.role is Role.INPUTS]
    return [event.size_bytes // TOKEN_BYTES for event in inputs]


def test_the_longest_sample_is_in_every_batch_that_is_seen() -> None:
    trace = traced("plain", "300", "237")
    assert batches_of(trace) == [8 * 400] * 2
    assert "the longest of 300 samples is put into the batches that are seen" in trace.assumptions


def test_samples_that_were_not_looked_over_are_said_to_be_so() -> None:
    trace = traced("plain", "6000", "5500")
    assert batches_of(trace) == [8 * 49] * 2
    assert any("5000 samples that were looked over, of 6000" in a for a in trace.assumptions)


def test_a_batch_sampler_s_own_largest_batch_comes_first() -> None:
    # 37 texts of up to 27 tokens are more than one of 400, and as many as 1,000 tokens allow.
    assert batches_of(traced("budget", "300", "237")) == [37 * 27] * 2


def test_a_stream_is_taken_as_it_comes_and_said_to_be() -> None:
    trace = traced("stream", "300", "0")
    assert batches_of(trace) == [8 * 27, 8 * 35]
    assert any("can only be read in order" in line for line in trace.assumptions)
