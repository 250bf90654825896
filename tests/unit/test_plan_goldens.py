"""What `sojourn plan` prints and its JSON document, whole, for jobs and cards written by hand.

After a change that is meant: `python tests/unit/test_plan_goldens.py` writes them anew; read the
difference before it is kept.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType, Source, Subscription
from sojourn.forecast.changes import TRACED_PASSES, Blocks, Traits
from sojourn.forecast.memory import Range
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.schedule import Loading, Schedule
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.planning.plan import Plan, make_plan
from sojourn.planning.terms import Preference, Terms
from sojourn.render.html import plan_page
from sojourn.render.plan import plan_text
from sojourn.render.plan_document import plan_document
from sojourn.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.forecast.changes import Variant

GOLDENS = Path(__file__).parent / "goldens"
TODAY = date(2026, 11, 25)
HOUR = 3600.0


def card(name: str, memory_gib: int, capability: str | None) -> Accelerator:
    return Accelerator(
        id=name.lower(), name=name, memory_bytes=memory_gib * GIB, compute_capability=capability
    )


def lent(  # noqa: PLR0917 - a row of a table
    name: str,
    accelerator: str | None,
    rate: float | None,
    as_of: str,
    vcpus: int | None,
    host_gib: int | None,
    quota_s: float | None = None,
) -> RuntimeType:
    sources = {} if rate is None else {"rate_units_per_hour": Source(source="panel", as_of=as_of)}
    return RuntimeType(
        id=name,
        name=name,
        provider=name.partition("/")[0],
        accelerator=accelerator,
        vcpus=vcpus,
        host_memory_bytes=None if host_gib is None else host_gib * GIB,
        network_bytes_per_s=None if quota_s else 130e6,
        session_limit_s=12 * HOUR,
        weekly_quota_s=quota_s,
        rate_units_per_hour=rate,
        subscriptions=("pro",),
        sources=sources,
    )


CARDS = (
    card("T4", 15, "7.5"),
    card("L4", 23, "8.9"),
    card("A100", 40, "8.0"),
    card("G4", 96, "12.0"),
    card("v5e", 16, None),
)
ROWS = (
    lent("colab/t4", "t4", 1.07, "2026-09-27", 2, 12),
    lent("colab/l4", "l4", 1.71, "2026-03-21", 12, 53),
    lent("colab/a100-40gb", "a100", 5.40, "2026-03-10", 12, 83),
    lent("colab/g4", "g4", 8.90, "2026-09-27", None, None),
    lent("colab/cpu", None, 0.08, "2026-09-27", 2, 12),
    lent("colab/tpu-v5e-1", "v5e", None, "", None, 47),
    lent("kaggle/t4", "t4", 0.0, "2026-10-01", 4, 31, 30 * HOUR),
)
CATALOG = Catalog(
    accelerators={one.id: one for one in CARDS},
    runtime_types={one.id: one for one in ROWS},
    subscriptions={},
)
PRO = Subscription(id="pro", name="Pro", provider="colab", usd_per_month=9.99, units_per_month=100)
# Seconds for a step of 64 samples.
STEP_S = {"t4": 1.2, "l4": 0.8, "a100": 0.25, "g4": None}


def block(number: int, size_bytes: int, role: Role, phase: Phase, line: str) -> Alloc:
    return Alloc(block=number, size_bytes=size_bytes, role=role, phase=phase, line=line)


def trace_of(sample_mib: int, batch_size: int, workers: int) -> Trace:
    return Trace(
        target="train.py",
        torch="2.13.0",
        steps=2,
        seconds=6.5,
        host_memory_bytes=3 * GIB,
        batch_size=batch_size,
        samples_per_epoch=25_600,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=("values read from the device (.item(), if tensor:) are made up",),
        events=(
            block(0, 900 * MIB, Role.PARAMETERS, Phase.SETUP, "train.py:11"),
            block(1, 1800 * MIB, Role.OPTIMIZER, Phase.OPTIMIZER, "train.py:31"),
            block(2, sample_mib * MIB * batch_size, Role.ACTIVATIONS, Phase.FORWARD, "train.py:24"),
        ),
        traits=Traits(optimizers=("AdamW",), blocks=(Blocks(kind="Block", paths=("0", "1")),)),
        schedule=Schedule(steps_per_epoch=400, epochs=30, evaluation_batches=40),
        loading=Loading(seconds_per_batch=2.8, measured_batches=6, workers=workers),
    )


def step_of(trace: Trace, accelerator: Accelerator) -> StepTime:
    seconds = STEP_S[accelerator.id]
    if seconds is None:
        return StepTime(step_s=None, reason="the G4's peaks are not verified")
    batch_size = trace.batch_size or 64
    seconds *= batch_size / 64 * (TRACED_PASSES if batch_size < 64 else 1)
    return StepTime(
        step_s=Range(low=0.85 * seconds, expected=seconds, high=1.2 * seconds),
        evaluation_batch_s=Range(low=0.3 * seconds, expected=seconds / 3, high=0.4 * seconds),
        by_family_s={"optimizer": 0.02 * seconds, "convolution": 0.98 * seconds},
    )


def job(sample_mib: int, *, terms: Terms, workers: int = 8, timed: bool = True) -> Plan:
    first = trace_of(sample_mib, 64, workers)

    def retrace(variants: Sequence[Variant]) -> list[Trace | None]:
        return [
            trace_of(sample_mib, v.changes.batch_size or 64, workers)
            if v.changes.batch_size
            else None
            for v in variants
        ]

    def no_step(_trace: Trace, _accelerator: Accelerator) -> StepTime:
        return StepTime(step_s=None, reason="step times are not forecast")

    return make_plan(
        target="train.py",
        runtime_types=ROWS,
        catalog=CATALOG,
        trace_for=lambda _: Traced(
            trace=first, scale=BatchScale(first, trace_of(sample_mib, 32, workers))
        ),
        retrace=retrace,
        forecast_step=step_of if timed else no_step,
        terms=terms,
        today=TODAY,
        notes=("the wallet held 87.5 units on 2026-11-20",),
    )


PLANS: dict[str, Callable[[], Plan]] = {
    "small": lambda: job(60, terms=Terms(subscription=PRO, data_bytes=13 * 10**9)),
    "large": lambda: job(400, terms=Terms(subscription=PRO, wallet_units=87.5), workers=0),
    "fastest": lambda: job(
        60, terms=Terms(prefer=Preference.FASTEST, deadline_s=8 * HOUR, epochs=10), workers=12
    ),
    "untimed": lambda: job(60, terms=Terms(), timed=False),
    "too_large": lambda: job(30_000, terms=Terms()),
}


def text_of(plan: Plan) -> str:
    screen = io.StringIO()
    console = Console(file=screen, width=100, no_color=True, highlight=False)
    console.print(plan_text(plan, detailed=False), soft_wrap=True)
    return "\n".join(line.rstrip() for line in screen.getvalue().splitlines()) + "\n"


def json_of(plan: Plan) -> str:
    return json.dumps(plan_document(plan), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", PLANS)
def test_the_text_is_as_it_was(name: str) -> None:
    assert text_of(PLANS[name]()) == (GOLDENS / f"plan_{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["small", "large", "untimed"])
def test_the_document_is_as_it_was(name: str) -> None:
    assert json_of(PLANS[name]()) == (GOLDENS / f"plan_{name}.json").read_text("utf-8")


@pytest.mark.parametrize("name", PLANS)
def test_the_table_fits_100_columns_and_names_the_choice_without_colour(name: str) -> None:
    plan = PLANS[name]()
    table = text_of(plan).split("\n\n", maxsplit=1)[0].splitlines()
    assert len(table) == 1 + len(ROWS)
    assert max(map(len, table)) <= 100
    marked = [line for line in table if line.startswith("> ")]
    if plan.recommended is None:
        assert not marked
    else:
        assert len(marked) == 1
        assert plan.recommended.runtime_type.id in marked[0]


def unexplained(document: dict[str, Any]) -> list[str]:
    """Return the keys that are null and have no reason beside them."""
    reasons = document["reasons"]
    nested = document.get("host_memory", {}) | {}
    keys = [key for key, value in document.items() if value is None]
    keys += [f"host_memory.{key}" for key, value in nested.items() if value is None]
    return [key for key in keys if not reasons.get(key)]


@pytest.mark.parametrize("name", PLANS)
def test_whatever_is_null_has_its_reason(name: str) -> None:
    document = json.loads(json_of(PLANS[name]()))
    assert unexplained(document) == []
    assert all(
        document["reasons"].get(f"trace.{k}")
        for k, v in document["trace"].items()
        if not v and v is None
    )
    for option in document["options"]:
        assert (option["runtime"], unexplained(option)) == (option["runtime"], [])
        for way in option["ways_to_fit"]:
            assert unexplained(way) == []


CONTRACT = {
    "runtime",
    "accelerator",
    "verdict",
    "device_memory",
    "host_memory",
    "max_batch_size",
    "step_seconds",
    "epoch_seconds",
    "run_seconds",
    "rate_units_per_hour",
    "compute_units",
    "usd",
    "sessions",
    "affordable",
    "ways_to_fit",
}


@pytest.mark.parametrize("name", PLANS)
def test_every_key_of_the_contract_is_there(name: str) -> None:
    document = json.loads(json_of(PLANS[name]()))
    assert {"schema", "target", "trace", "options", "recommended", "because"} <= set(document)
    for option in document["options"]:
        assert set(option) >= CONTRACT


def test_the_page_holds_the_same_and_escapes_what_a_script_says() -> None:
    plan = replace(PLANS["large"](), target="<img src=x>")
    page = plan_page(plan)
    assert "<img" not in page
    assert "micro-batch" in page
    assert "kaggle/t4" in page


def main() -> None:
    GOLDENS.mkdir(exist_ok=True)
    for name, make in PLANS.items():
        (GOLDENS / f"plan_{name}.txt").write_text(text_of(make()), "utf-8")
    for name in ("small", "large", "untimed"):
        (GOLDENS / f"plan_{name}.json").write_text(json_of(PLANS[name]()), "utf-8")


if __name__ == "__main__":
    main()
