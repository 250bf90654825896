"""What host memory, and needing no accelerator, do to the choice; catalogs written by hand."""

from __future__ import annotations

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType
from sojourn.forecast.host import SYSTEM_BYTES
from sojourn.forecast.memory import Verdict
from sojourn.forecast.scaling import Traced
from sojourn.forecast.trace import Alloc, Event, HostUse, Phase, Role, Trace
from sojourn.planning.plan import Plan, make_plan
from sojourn.units import GIB

T4 = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
BLOCK = Alloc(block=0, size_bytes=GIB, role=Role.ACTIVATIONS, phase=Phase.FORWARD, line="a.py:1")


def row(name: str, *, rate: float, host_bytes: int | None = None, card: bool = True) -> RuntimeType:
    return RuntimeType(
        id=name,
        name=name,
        provider="x",
        accelerator="t4" if card else None,
        rate_units_per_hour=rate,
        host_memory_bytes=host_bytes,
    )


def planned(*rows: RuntimeType, events: tuple[Event, ...] = (BLOCK,)) -> Plan:
    """Plan a script that takes 2 GiB on the host: 2.7 GiB with a card's context, at most 3.7."""
    trace = Trace(
        target="a.py",
        torch="2.13.0",
        steps=2,
        seconds=1.0,
        host_memory_bytes=2 * GIB,
        batch_size=8,
        samples_per_epoch=None,
        is_batch_size_known_to_loader=False,
        compute_capability="8.0",
        asked_capability=False,
        assumptions=(),
        events=events,
        host=HostUse(before_bytes=GIB),
    )
    return make_plan(
        target="a.py",
        runtime_types=rows,
        catalog=Catalog(accelerators={"t4": T4}, runtime_types={}, subscriptions={}),
        trace_for=lambda _: Traced(trace=trace, scale=None),
    )


def test_a_host_that_is_too_small_is_passed_over() -> None:
    small = row("x/small", rate=1.0, host_bytes=2 * GIB + SYSTEM_BYTES)
    plan = planned(small, row("x/large", rate=2.0, host_bytes=8 * GIB))
    assert plan.recommended is not None
    assert plan.recommended.runtime_type.id == "x/large"
    assert "x/small" in plan.because
    assert not planned(small).may_fit


def test_a_host_that_is_tight_is_worse_than_one_that_is_not() -> None:
    tight = row("x/tight", rate=1.0, host_bytes=3 * GIB + SYSTEM_BYTES)
    plan = planned(tight, row("x/large", rate=2.0, host_bytes=8 * GIB))
    assert [option.overall for option in plan.options] == [Verdict.FITS, Verdict.TIGHT]
    alone = planned(tight)
    assert alone.recommended is not None
    assert "little host memory to spare" in alone.because


def test_a_host_that_is_not_known_changes_nothing() -> None:
    (option,) = planned(row("x/t4", rate=1.0)).options
    assert option.host_memory.verdict is Verdict.UNKNOWN
    assert option.overall is Verdict.FITS


def test_a_script_that_needs_no_accelerator_is_sent_to_the_processor() -> None:
    cpu = row("x/cpu", rate=0.05, host_bytes=12 * GIB, card=False)
    plan = planned(row("x/t4", rate=1.0), row("x/t4-highram", rate=5.0), cpu, events=())
    assert plan.recommended is not None
    assert plan.recommended.runtime_type.id == "x/cpu"
    assert "needs none" in plan.because
    assert "x/t4-highram would cost 100 times as much" in plan.because


def test_where_the_processor_is_free_the_price_of_a_card_is_named() -> None:
    free = row("x/free", rate=0.0, card=False)
    assert (
        "x/t4 would cost 1 units an hour" in planned(free, row("x/t4", rate=1.0), events=()).because
    )


def test_with_cards_alone_it_is_said_that_none_is_needed() -> None:
    because = planned(row("x/t4", rate=1.0), events=()).because
    assert "needs none" in because
    assert "One without an accelerator would do" in because


def test_a_processor_that_is_too_small_is_not_recommended() -> None:
    cpu = row("x/cpu", rate=0.05, host_bytes=SYSTEM_BYTES + GIB, card=False)
    plan = planned(cpu, row("x/t4", rate=1.0, host_bytes=12 * GIB), events=())
    assert plan.recommended is not None
    assert plan.recommended.runtime_type.id == "x/t4"
