"""A probe, shown."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from sojourn.catalog.models import Accelerator
from sojourn.forecast.correction import Measured, ProbeReport, make_correction
from sojourn.forecast.memory import Range
from sojourn.render.probe import probe_document, probe_text

GIB = 1 << 30
MEASURED = Measured(
    device="Tesla T4",
    memory_bytes=15 * GIB,
    compute_capability="7.5",
    torch="2.13.0",
    steps=20,
    seconds=34.0,
    peak_reserved_bytes=5 * GIB,
    peak_allocated_bytes=4 * GIB,
    step_s=0.25,
    waited_s=0.01,
)
FORECAST = Range(low=3 * GIB, expected=4 * GIB, high=6 * GIB)
REPORT = ProbeReport(
    target="train.py",
    accelerator=Accelerator(id="t4", name="T4"),
    batch_size=64,
    steps_wanted=20,
    measured=MEASURED,
    peak_reserved_bytes=FORECAST,
    step_s=Range(low=0.1, expected=0.2, high=0.3),
    correction=make_correction(
        MEASURED,
        job="j",
        accelerator="t4",
        measured_on="2026-11-25",
        peak_reserved_bytes=FORECAST,
        step_s=Range(low=0.1, expected=0.2, high=0.3),
    ),
)


def shown(report: ProbeReport) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200, color_system=None).print(probe_text(report))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def test_measured_and_forecast_stand_side_by_side() -> None:
    assert shown(REPORT).splitlines() == [
        "Tesla T4: 20 optimizer steps of train.py in 34 s, batches of 64",
        "                 measured  forecast      low     high  difference",
        "memory reserved   5.0 GiB   4.0 GiB  3.0 GiB  6.0 GiB        +25%",
        "step               0.25 s     0.2 s    0.1 s    0.3 s        +25%",
        "Kept for later plans of this job on t4.",
    ]


def test_what_is_unknown_is_said_to_be() -> None:
    text = shown(
        replace(
            REPORT,
            peak_reserved_bytes=None,
            step_s=None,
            correction=None,
            reason="there is no forecast: no",
        )
    )
    assert text.count("unknown") == 2
    assert "There is no forecast: no" in text
    assert "Kept" not in text


def test_memory_that_ran_out_is_shown_as_such() -> None:
    text = shown(replace(REPORT, measured=replace(MEASURED, fits=False, steps=1, step_s=None)))
    assert "did not fit 15.0 GiB" in text
    assert "The script ended" not in text


def test_few_steps_and_waiting_are_said() -> None:
    text = shown(replace(REPORT, measured=replace(MEASURED, steps=8, waited_s=0.2)))
    assert "after 8 steps" in text
    assert "it waited 0.2 s for its batches" in text


def test_the_document_has_bytes_and_seconds() -> None:
    document = probe_document(REPORT)
    assert document["schema"] == "sojourn.probe/1"
    assert document["measured"]["peak_reserved_bytes"] == 5 * GIB
    assert document["forecast"]["peak_reserved_bytes"]["expected"] == 4 * GIB
    assert document["correction"] == {"memory_ratio": 1.25, "step_ratio": 1.25}
    assert document["reason"] is None
    nothing = probe_document(
        replace(REPORT, peak_reserved_bytes=None, step_s=None, correction=None)
    )
    assert nothing["forecast"] == {"peak_reserved_bytes": None, "step_seconds": None}
    assert nothing["correction"] == {"memory_ratio": None, "step_ratio": None}
