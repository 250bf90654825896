"""Ranking, reasons and ways to fit, on catalogs and traces written by hand."""

from __future__ import annotations

import pytest

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.forecast.memory import Verdict
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.planning.plan import Plan, make_plan
from sojourn.units import GIB

T4 = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
A100 = Accelerator(id="a100", name="A100", memory_bytes=40 * GIB, compute_capability="8.0")
TPU = Accelerator(id="tpu", name="TPU", memory_bytes=16 * GIB)
UNMEASURED = Accelerator(id="new", name="New card", compute_capability="13.0")


def row(
    name: str, accelerator: str | None, rate: float | None, host_memory_bytes: int | None = None
) -> RuntimeType:
    return RuntimeType(
        id=name,
        name=name,
        provider="x",
        accelerator=accelerator,
        rate_units_per_hour=rate,
        host_memory_bytes=host_memory_bytes,
    )


ROWS = (
    row("x/cpu", None, 0.1, host_memory_bytes=12 * GIB),
    row("x/t4", "t4", 1.0),
    row("x/a100", "a100", 5.0),
    row("x/tpu", "tpu", 2.0),
    row("x/new", "new", None),
)
CATALOG = Catalog(
    accelerators={a.id: a for a in (T4, A100, TPU, UNMEASURED)},
    runtime_types={r.id: r for r in ROWS},
    subscriptions={},
)


def trace(per_sample_bytes: int, batch_size: int = 64, host_bytes: int = GIB) -> Trace:
    size_bytes = per_sample_bytes * batch_size
    block = Alloc(
        block=0, size_bytes=size_bytes, role=Role.ACTIVATIONS, phase=Phase.FORWARD, line="a.py:1"
    )
    return Trace(
        target="a.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=host_bytes,
        batch_size=batch_size,
        samples_per_epoch=None,
        is_batch_size_known_to_loader=True,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=(block,) if size_bytes else (),
    )


def planned(per_sample_bytes: int, *, host_bytes: int = GIB, scales: bool = True) -> Plan:
    first = trace(per_sample_bytes, host_bytes=host_bytes)
    scale = BatchScale(first, trace(per_sample_bytes, 32)) if scales else None
    return make_plan(
        target="a.py",
        runtime_types=ROWS,
        catalog=CATALOG,
        trace_for=lambda _: Traced(trace=first, scale=scale),
    )


def verdicts(plan: Plan) -> dict[str, Verdict]:
    return {option.runtime_type.id: option.verdict for option in plan.options}


def recommended(plan: Plan) -> str | None:
    return plan.recommended.runtime_type.id if plan.recommended else None


def test_the_cheapest_that_fits_is_recommended() -> None:
    plan = planned(GIB // 64)
    assert recommended(plan) == "x/t4"
    assert "cheapest" in plan.because


def test_what_is_too_large_for_the_cheap_card_goes_to_the_dear_one_and_says_so() -> None:
    plan = planned(30 * GIB // 64)
    assert recommended(plan) == "x/a100"
    assert verdicts(plan)["x/t4"] is Verdict.DOES_NOT_FIT
    assert "x/t4" in plan.because


def test_nothing_is_recommended_when_nothing_fits() -> None:
    plan = planned(64 * GIB // 64)
    assert recommended(plan) is None


def test_a_tight_one_is_taken_only_if_nothing_is_sure_to_fit() -> None:
    plan = planned(int(39.3 * GIB) // 64)
    assert verdicts(plan)["x/a100"] is Verdict.TIGHT
    assert recommended(plan) == "x/a100"
    assert "little to spare" in plan.because


def test_what_is_not_known_is_unknown_with_its_reason() -> None:
    plan = planned(GIB // 64)
    reasons = {o.runtime_type.id: o.reason for o in plan.options if o.verdict is Verdict.UNKNOWN}
    assert set(reasons) == {"x/cpu", "x/tpu", "x/new"}
    assert "torch_xla" in reasons["x/tpu"]
    assert "memory" in reasons["x/new"]


def test_a_script_that_uses_no_card_is_sent_to_the_cheapest_host() -> None:
    plan = planned(0)
    assert recommended(plan) == "x/cpu"
    assert "nothing on an accelerator" in plan.because


def test_a_host_that_is_too_small_is_not_recommended() -> None:
    plan = planned(0, host_bytes=20 * GIB)
    assert recommended(plan) == "x/t4"


@pytest.mark.parametrize("per_sample_gib", [0.2, 0.5, 1.0, 3.0])
def test_the_largest_batch_fits_and_one_more_does_not(per_sample_gib: float) -> None:
    per_sample = int(per_sample_gib * GIB)
    plan = planned(per_sample)
    option = next(o for o in plan.options if o.runtime_type.id == "x/a100")
    assert option.max_batch_size is not None
    for batch, fits in ((option.max_batch_size, True), (option.max_batch_size + 1, False)):
        again = make_plan(
            target="a.py",
            runtime_types=(CATALOG.runtime_types["x/a100"],),
            catalog=CATALOG,
            trace_for=lambda _, batch=batch: Traced(  # type: ignore[misc]
                trace=trace(per_sample, batch), scale=None
            ),
        )
        assert (again.options[0].verdict is Verdict.FITS) is fits


def test_without_a_second_trace_the_largest_batch_is_not_known() -> None:
    plan = planned(30 * GIB // 64, scales=False)
    assert all(o.max_batch_size is None and not o.ways_to_fit for o in plan.options)


def test_a_plan_shows_itself_in_a_notebook_with_everything_escaped() -> None:
    first = trace(GIB // 64)
    plan = make_plan(
        target="<script>.py",
        runtime_types=ROWS,
        catalog=CATALOG,
        trace_for=lambda _: Traced(trace=first, scale=None),
    )
    html = plan._repr_html_()
    assert "<script>" not in html
    assert "x/a100" in html
