"""Which option comes first, and the sentence that says why, on traces and step times by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.catalog.models import Accelerator, Catalog, RuntimeType, Subscription
from sojourn.forecast.changes import TRACED_PASSES, Traits
from sojourn.forecast.memory import Range, Verdict
from sojourn.forecast.scaling import BatchScale, Traced
from sojourn.forecast.schedule import Schedule
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Alloc, Phase, Role, Trace
from sojourn.planning.fit import forecast_on
from sojourn.planning.plan import Plan, make_plan
from sojourn.planning.ranking import Basis
from sojourn.planning.terms import NO_TERMS, Preference, Terms
from sojourn.planning.ways import whole_step
from sojourn.units import GIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.forecast.changes import Variant

T4 = Accelerator(id="t4", name="T4", memory_bytes=15 * GIB, compute_capability="7.5")
L4 = Accelerator(id="l4", name="L4", memory_bytes=23 * GIB, compute_capability="8.9")
A100 = Accelerator(id="a100", name="A100", memory_bytes=40 * GIB, compute_capability="8.0")
NEW = Accelerator(id="new", name="New", memory_bytes=80 * GIB, compute_capability="12.0")
FREE = Subscription(id="free", name="Free", provider="x", usd_per_month=0.0)


def row(name: str, accelerator: str | None, rate: float | None) -> RuntimeType:
    return RuntimeType(
        id=f"x/{name}",
        name=name,
        provider="x",
        accelerator=accelerator,
        vcpus=2,
        rate_units_per_hour=rate,
    )


ROWS = (
    row("t4", "t4", 1.0),
    row("l4", "l4", 2.0),
    row("a100", "a100", 6.0),
    row("new", "new", 9.0),
    row("odd", "a100", None),
)
CATALOG = Catalog(
    accelerators={card.id: card for card in (T4, L4, A100, NEW)},
    runtime_types={one.id: one for one in ROWS},
    subscriptions={},
)
# Seconds for a sample; None where nobody knows.
SPEED = {"t4": 0.010, "l4": 0.005, "a100": 0.0012, "new": None}
SCHEDULE = Schedule(steps_per_epoch=100, epochs=45, evaluation_batches=0)


@dataclass(slots=True)
class Job:
    """A job of so many bytes a sample, at 64 samples a step."""

    sample_bytes: int
    schedule: Schedule = SCHEDULE
    speed: dict[str, float | None] = field(default_factory=lambda: dict(SPEED))

    def trace(self, batch_size: int = 64) -> Trace:
        block = Alloc(
            block=0,
            size_bytes=self.sample_bytes * batch_size,
            role=Role.ACTIVATIONS,
            phase=Phase.FORWARD,
            line="a.py:1",
        )
        return Trace(
            target="a.py",
            torch="2.13.0",
            steps=2,
            seconds=0.0,
            host_memory_bytes=1,
            batch_size=batch_size,
            samples_per_epoch=6400,
            is_batch_size_known_to_loader=True,
            compute_capability="8.0",
            asked_capability=False,
            assumptions=(),
            events=(block,),
            schedule=self.schedule,
            traits=Traits(is_half=True),
        )

    def step(self, trace: Trace, accelerator: Accelerator) -> StepTime:
        per_sample = self.speed[accelerator.id]
        if per_sample is None:
            return StepTime(step_s=None, reason="its peaks are not verified")
        passes = 1 if trace.batch_size == 64 else TRACED_PASSES
        seconds = per_sample * (trace.batch_size or 1) * passes
        return StepTime(
            step_s=Range(low=0.8 * seconds, expected=seconds, high=1.25 * seconds),
            by_family_s={"optimizer": 0.0, "matmul": seconds},
        )

    def retrace(self, variants: Sequence[Variant]) -> list[Trace | None]:
        return [self.trace(variant.changes.batch_size or 64) for variant in variants]

    def plan(self, terms: Terms = NO_TERMS, rows: Sequence[RuntimeType] = ROWS) -> Plan:
        traced = Traced(trace=self.trace(), scale=BatchScale(self.trace(), self.trace(32)))
        return make_plan(
            target="a.py",
            runtime_types=rows,
            catalog=CATALOG,
            trace_for=lambda _: traced,
            retrace=self.retrace,
            forecast_step=self.step,
            terms=terms,
        )


SMALL, LARGE = Job(GIB // 64), Job(30 * GIB // 64)


def order(plan: Plan) -> list[str]:
    return [option.runtime_type.id for option in plan.options]


def taken(plan: Plan) -> str | None:
    return plan.recommended.runtime_type.id if plan.recommended else None


def test_units_rank_before_time_and_what_nobody_knows_comes_last() -> None:
    # 0.8 h at 1, 0.4 h at 2, 0.096 h at 6 units an hour.
    plan = SMALL.plan()
    # Of two at 0.8 units the faster comes first; of two without, the one whose time is known.
    assert order(plan) == ["x/a100", "x/l4", "x/t4", "x/odd", "x/new"]
    assert plan.basis is Basis.RUN
    assert (
        "x/a100 is the cheapest that the job is sure to fit (0.58 units (0.46 … 0.72), 5 m 46 s)"
        in plan.because
    )


def test_the_fastest_is_taken_where_that_is_asked_for() -> None:
    slow_and_cheap = Job(GIB // 64, speed={"t4": 0.010, "l4": 0.006, "a100": 0.003, "new": None})
    assert taken(slow_and_cheap.plan()) == "x/t4"
    plan = slow_and_cheap.plan(Terms(prefer=Preference.FASTEST))
    assert taken(plan) == "x/a100"
    assert "is the fastest" in plan.because


def test_where_epochs_are_not_known_an_epoch_is_compared_else_a_step() -> None:
    epochless = replace(SCHEDULE, epochs=None)
    plan = replace(SMALL, schedule=epochless).plan()
    assert (plan.basis, taken(plan)) == (Basis.EPOCH, "x/a100")
    assert "an epoch" in plan.because
    plan = replace(SMALL, schedule=Schedule()).plan()
    assert (plan.basis, taken(plan)) == (Basis.STEP, "x/a100")


def test_where_no_time_is_known_the_rate_decides() -> None:
    plan = Job(GIB // 64, speed=dict.fromkeys(SPEED)).plan(Terms(prefer=Preference.FASTEST))
    assert (plan.basis, taken(plan)) == (Basis.RATE, "x/t4")
    assert "cheapest" in plan.because


def test_a_cheap_card_that_needs_a_change_is_set_beside_the_dear_one_that_does_not() -> None:
    job = Job(30 * GIB // 64, speed={"t4": 0.010, "l4": 0.006, "a100": 0.003, "new": None})
    plan = job.plan()
    assert taken(plan) == "x/a100"
    assert plan.changed is not None
    assert plan.changed.option.runtime_type.id == "x/t4"
    assert plan.changed.way is not None
    assert plan.changed.way.change == "micro-batch 16, accumulate 4"
    # 45 epochs of 100 steps of 64 samples at 0.010 s, against 0.003 s at six times the rate.
    assert plan.changed.units_on(Basis.RUN) == pytest.approx(0.8)
    assert plan.changed.seconds_on(Basis.RUN) == pytest.approx(2880)
    assert (
        "with micro-batch 16, accumulate 4 it takes 0.80 units (0.64 … 1.00), 48 m 0 s on x/t4: "
        "0.64 units less and 33 m 36 s more" in plan.because
    )


def test_a_free_card_that_needs_a_change_beats_a_paid_one() -> None:
    rows = (replace(ROWS[0], rate_units_per_hour=0.0), ROWS[2])
    plan = LARGE.plan(rows=rows)
    assert taken(plan) == "x/a100"
    assert plan.changed is not None
    assert plan.changed.units_on(Basis.RUN) == 0
    assert "0.58 units less" in plan.because


def test_a_change_that_costs_more_is_not_offered_as_better() -> None:
    plan = LARGE.plan()
    assert taken(plan) == "x/a100"
    assert plan.changed is None
    assert any(option.ways_to_fit for option in plan.options)


def test_where_nothing_fits_as_it_is_the_best_change_is_named() -> None:
    rows = (ROWS[0], ROWS[1])
    plan = LARGE.plan(rows=rows)
    assert plan.recommended is None
    assert plan.changed is not None
    assert "carries the job as it is; with micro-batch" in plan.because


def test_ways_to_fit_carry_their_own_time_and_units() -> None:
    plan = LARGE.plan()
    t4 = next(option for option in plan.options if option.runtime_type.id == "x/t4")
    (way,) = t4.ways_to_fit
    assert way.job is not None
    assert way.step_time.step_s is not None
    assert way.step_time.step_s.expected == pytest.approx(0.64)
    assert way.job.compute_units is not None
    assert way.job.compute_units.expected == pytest.approx(0.8)


def test_the_optimizer_s_own_part_of_a_step_is_not_taken_several_times() -> None:
    traced = StepTime(
        step_s=Range(low=0.9, expected=1.0, high=1.2),
        by_family_s={"optimizer": 0.2, "matmul": 0.8},
    )
    whole = whole_step(traced, 8)
    assert whole.step_s is not None
    assert whole.step_s.expected == pytest.approx(0.8 * 4 + 0.2)
    assert sum(whole.by_family_s.values()) == pytest.approx(whole.step_s.expected)
    assert whole_step(traced, 1) is traced


def test_what_the_wallet_does_not_carry_is_not_recommended() -> None:
    rows = (ROWS[0], ROWS[1])
    plan = SMALL.plan(Terms(wallet_units=0.7), rows)  # both are expected to take 0.8
    assert taken(plan) is None
    assert plan.may_fit
    assert "what there is to spend should carry it" in plan.because
    plan = SMALL.plan(Terms(wallet_units=0.9), rows)  # and may take 1.0
    assert taken(plan) == "x/l4"
    assert "not certain that your 0.90 units carry it" in plan.because
    plan = SMALL.plan(Terms(wallet_units=1.1), rows)
    assert taken(plan) == "x/l4"
    assert "within your 1.10 units" in plan.because


def test_what_nobody_knows_to_keep_within_the_wallet_is_no_advice_where_others_do_not() -> None:
    assert taken(SMALL.plan(Terms(wallet_units=0.1))) is None
    untimed = Job(GIB // 64, speed=dict.fromkeys(SPEED))
    assert taken(untimed.plan(Terms(wallet_units=0.1))) == "x/t4"


def test_what_may_end_after_the_deadline_is_not_recommended() -> None:
    job = Job(GIB // 64, speed={"t4": 0.010, "l4": 0.006, "a100": 0.003, "new": None})
    assert taken(job.plan()) == "x/t4"
    plan = job.plan(Terms(deadline_s=1300.0))
    assert taken(plan) == "x/a100"
    assert "and ends within 21 m 40 s" in plan.because
    plan = job.plan(Terms(deadline_s=60.0, wallet_units=0.1))
    assert taken(plan) is None
    assert "it should end within 1 m 0 s" in plan.because


def test_what_is_free_to_a_subscription_ranks_as_free() -> None:
    plan = SMALL.plan(Terms(subscription=FREE))
    assert all(option.job.rate_units_per_hour == 0 for option in plan.options)
    assert taken(plan) == "x/a100"  # of what is free, what takes least time


def test_two_runtime_types_that_cost_the_same_come_in_the_order_of_their_ids() -> None:
    twins = [row(name, "t4", 1.0) for name in ("c", "a", "b")]
    catalog_rows = {one.id: one for one in twins}
    assert order(SMALL.plan(rows=tuple(catalog_rows.values()))) == ["x/a", "x/b", "x/c"]


TERMS = st.builds(
    Terms,
    wallet_units=st.none() | st.floats(0.01, 5),
    deadline_s=st.none() | st.floats(1, 1e4),
    prefer=st.sampled_from(Preference),
)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), terms=TERMS, is_large=st.booleans())
def test_the_ranking_does_not_depend_on_the_order_in_which_options_come(
    *, seed: int, terms: Terms, is_large: bool
) -> None:
    job = LARGE if is_large else SMALL
    shuffled = list(ROWS)
    random.Random(seed).shuffle(shuffled)
    first, second = job.plan(terms), job.plan(terms, shuffled)
    assert order(first) == order(second)
    assert taken(first) == taken(second)
    assert first.because == second.because


@settings(deadline=None, max_examples=40)
@given(wallets=st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), is_large=st.booleans())
def test_more_units_never_make_fewer_options_affordable(
    *, wallets: tuple[float, float], is_large: bool
) -> None:
    job = LARGE if is_large else SMALL
    affordable = []
    for units in sorted(wallets):
        plan = job.plan(Terms(wallet_units=units))
        affordable.append({o.runtime_type.id for o in plan.options if o.job.affordable})
    assert affordable[0] <= affordable[1]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    sample_bytes=st.integers(1, 64 << 20),
    fixed_bytes=st.integers(1, 4 * GIB),
)
def test_a_larger_batch_never_lowers_the_memory(
    sizes: tuple[int, int], sample_bytes: int, fixed_bytes: int
) -> None:
    fixed = Alloc(
        block=1, size_bytes=fixed_bytes, role=Role.PARAMETERS, phase=Phase.SETUP, line="a.py:1"
    )

    def trace(batch_size: int) -> Trace:
        made = Job(sample_bytes).trace(batch_size)
        return replace(made, events=(fixed, *made.events))

    scale = BatchScale(trace(64), trace(32))
    smaller, larger = (forecast_on(scale.at(size), A100) for size in sorted(sizes))
    assert smaller is not None
    assert larger is not None
    assert smaller.peak_allocated_bytes <= larger.peak_allocated_bytes
    if larger.verdict is Verdict.FITS:
        assert smaller.verdict is Verdict.FITS
