"""What a plan shows of where the memory goes, what is kept and how to make the job fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from sojourn.catalog.models import Accelerator, RuntimeType
from sojourn.cli.plan import _remedy
from sojourn.forecast.changes import Kept
from sojourn.forecast.curve import memory_curve
from sojourn.forecast.host import forecast_host
from sojourn.forecast.memory import Range, Verdict, forecast_memory
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.planning.fit import WayToFit
from sojourn.planning.job import NO_FORECAST
from sojourn.planning.plan import Option, Plan
from sojourn.render.plan import plan_text
from sojourn.render.plan_document import plan_document
from sojourn.units import GIB, MIB

CARD = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
WAY = WayToFit(
    change="mixed precision (float16)",
    code="with autocast():\n    pass\n",
    verdict=Verdict.FITS,
    peak_reserved_bytes=Range(low=1e9, expected=2e9, high=3e9),
)
KEPT = Kept(
    line="train.py:9", holder="losses", is_variable=False, is_large=False, step_bytes=8 * MIB
)
TRACE = Trace(
    target="train.py",
    torch="2.13.0",
    steps=2,
    seconds=1.0,
    host_memory_bytes=GIB,
    batch_size=8,
    samples_per_epoch=800,
    is_batch_size_known_to_loader=True,
    compute_capability="8.0",
    asked_capability=False,
    assumptions=(),
    events=(
        Alloc(
            block=0, size_bytes=9 * GIB, role=Role.INPUTS, phase=Phase.FORWARD, line="train.py:4"
        ),
        Alloc(block=1, size_bytes=8 * GIB, role=Role.ACTIVATIONS, phase=Phase.FORWARD, line=""),
    ),
)


def plan(*, growth_bytes: int = 0, way: WayToFit = WAY) -> Plan:
    memory = forecast_memory(TRACE, memory_bytes=15 * GIB, compute_capability="7.5")
    options = tuple(
        Option(
            runtime_type=RuntimeType(id=name, name=name, provider="x", accelerator="t4"),
            accelerator=CARD,
            verdict=memory.verdict,
            reason="",
            memory=memory,
            host_memory=forecast_host(TRACE, memory_bytes=None, has_card=True),
            max_batch_size=4,
            ways_to_fit=(way,),
            curve=memory_curve(TRACE, compute_capability="7.5"),
        )
        for name in ("x/t4", "x/t4-big")
    )
    return Plan(
        target="train.py",
        trace=TRACE,
        options=options,
        recommended=None,
        because="Nothing.",
        kept=(KEPT,),
        growth_bytes=growth_bytes,
    )


def shown(given: Plan, *, detailed: bool) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(plan_text(given, detailed=detailed))
    return captured.get()


def test_the_document_says_where_the_memory_goes_and_what_would_make_it_fit() -> None:
    document = plan_document(plan())
    option: dict[str, Any] = document["options"][0]
    memory = option["device_memory"]
    assert memory["top_lines"] == [
        {"line": "train.py:4", "bytes": 9 * GIB, "role": "inputs"},
        {"line": None, "bytes": 8 * GIB, "role": "activations"},
    ]
    assert memory["curve"][-1] == {
        "event": 1,
        "phase": "forward",
        "by": {"inputs": 9 * GIB, "activations": 8 * GIB},
    }
    assert option["ways_to_fit"] == [
        {
            "change": "mixed precision (float16)",
            "code": "with autocast():\n    pass\n",
            "verdict": "fits",
            "peak_reserved_bytes": {"low": 10**9, "expected": 2 * 10**9, "high": 3 * 10**9},
            "step_seconds": None,
            "reasons": {"step_seconds": "how long a step takes was not forecast"},
        }
    ]
    assert document["trace"]["kept"] == [
        {"line": "train.py:9", "holder": "losses", "step_bytes": 8 * MIB}
    ]


def test_each_forecast_of_a_job_is_low_expected_and_high() -> None:
    given = plan()
    job = replace(NO_FORECAST, staging_s=240.0, checkpoint_s=60.0)
    options = tuple(replace(option, job=job) for option in given.options)
    document = plan_document(replace(given, options=options))["options"][0]
    assert document["staging_seconds"] == {"low": 240, "expected": 240, "high": 240}
    assert document["checkpoint_seconds"] == {"low": 60, "expected": 60, "high": 60}
    assert document["run_seconds"] is None


def test_a_way_is_told_once_for_all_runtime_types_with_that_card() -> None:
    text = shown(plan(), detailed=False)
    assert "On x/t4, x/t4-big it fits with mixed precision (float16) (up to 2.8 GiB)." in text
    assert "autocast" not in text


def test_details_show_the_lines_at_the_peak_and_the_code() -> None:
    text = shown(plan(), detailed=True)
    assert "9.0 GiB  inputs      train.py:4" in text
    assert "no line of the script's" in text
    assert "with autocast():" in text


@pytest.mark.parametrize(("growth_bytes", "words"), [(0, "not known how long"), (GIB, "count it")])
def test_what_is_kept_is_told_with_whether_it_is_counted(growth_bytes: int, words: str) -> None:
    text = shown(plan(growth_bytes=growth_bytes), detailed=False)
    assert "losses keeps 8.0 MiB more with each step (train.py:9)" in text
    assert words in text


def test_a_way_that_is_not_sure_is_not_told_as_one_that_is() -> None:
    tight = WayToFit(
        change="x", code="", verdict=Verdict.TIGHT, peak_reserved_bytes=WAY.peak_reserved_bytes
    )
    assert "it may just fit with x" in shown(plan(way=tight), detailed=False)


@pytest.mark.parametrize(("batch_size", "is_told"), [(4, False), (1 << 20, True)])
def test_a_largest_batch_at_which_the_search_ended_is_told_as_that(
    batch_size: int, *, is_told: bool
) -> None:
    given = plan()
    options = tuple(
        replace(o, max_batch_size=batch_size, verdict=Verdict.FITS) for o in given.options
    )
    given = replace(given, options=options)
    note = f"batches above {batch_size} samples were not tried, and may fit"
    assert (note in plan_document(given)["options"][0]["notes"]) is is_told
    assert (note in shown(given, detailed=False)) is is_told


@pytest.mark.parametrize(("largest", "is_advised"), [(4, True), (None, True), (0, False)])
def test_smaller_batches_are_not_advised_where_not_even_one_sample_fits(
    largest: int | None, *, is_advised: bool
) -> None:
    given = plan()
    options = tuple(replace(o, max_batch_size=largest, ways_to_fit=()) for o in given.options)
    advice = _remedy(replace(given, options=options))
    assert ("--batch-size" in advice) is is_advised
    assert advice.endswith("ook at larger runtime types (`sojourn runtimes`).")


def test_why_nothing_fits_is_left_to_the_error_that_comes_with_the_text() -> None:
    assert not plan().may_fit
    assert "Nothing." not in shown(plan(), detailed=False)


def test_python_shows_a_plan_as_its_table_and_not_as_its_innards() -> None:
    given = plan()
    text = str(given)
    assert text == repr(given)
    assert "x/t4" in text
    assert text.splitlines()[-1] == "Nothing."  # with no command around it that would say why
    assert "Alloc(" not in text
    assert "\x1b" not in text
