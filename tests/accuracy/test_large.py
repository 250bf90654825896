"""Models too large for this machine: traced in little memory, forecast to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sojourn.forecast.memory import forecast_memory
from sojourn.forecast.trace import Role, Trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"


def traced(name: str) -> Trace:
    return trace_script(
        SCRIPTS / name, compute_capability="8.0", timeout_s=120, progress=NoProgress()
    )


def parameters_of(trace: Trace) -> int:
    forecast = forecast_memory(trace, memory_bytes=160 * GIB, compute_capability="8.0")
    return forecast.peak.by_role_bytes[Role.PARAMETERS]


def test_a_model_of_seven_billion_parameters_is_built_without_its_memory() -> None:
    trace = traced("large_plain.py")
    width, depth, words = 4096, 52, 32000
    block = 2 * width + (4 * width * width + 4 * width) + (4 * width * width + width)
    count = 2 * words * width + depth * block
    assert parameters_of(trace) == 2 * count
    # For real all of it stands on the host in single precision; here nothing of it did.
    assert 4 * count < trace.host_memory_bytes < 4 * count + GIB


def test_a_large_language_model_is_built_from_its_config() -> None:
    trace = traced("large_transformer.py")
    # And the rotary embedding's frequencies, twice.
    assert parameters_of(trace) == 4 * 6_738_415_616 + 2 * 64 * 4
    assert trace.host_memory_bytes < 4 * 6_738_415_616 + GIB
