"""The whole job from a step's time: epochs, feeding, sessions, units, money, wallet, deadline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.catalog.models import RuntimeType, Subscription
from sojourn.errors import UsageError
from sojourn.forecast.changes import Traits
from sojourn.forecast.memory import Range
from sojourn.forecast.schedule import Loading, Schedule
from sojourn.forecast.step_time import StepTime
from sojourn.forecast.trace import Trace
from sojourn.planning.cost import price_usd, rate_for
from sojourn.planning.feeding import Feed, feed_words
from sojourn.planning.job import JobForecast, Lease, forecast_job, in_sessions
from sojourn.planning.terms import NO_TERMS, Terms, check_terms
from sojourn.planning.work import batches_per_step

HOUR = 3600.0
T4 = RuntimeType(
    id="colab/t4",
    name="T4",
    provider="colab",
    accelerator="t4",
    vcpus=2,
    network_bytes_per_s=100e6,
    rate_units_per_hour=1.2,
    session_limit_s=12 * HOUR,
)
KAGGLE = replace(
    T4, id="kaggle/t4", provider="kaggle", rate_units_per_hour=0.0, weekly_quota_s=30 * HOUR
)
FREE = Subscription(id="free", name="Free", provider="colab", usd_per_month=0.0)
PAYG = Subscription(id="payg", name="PAYG", provider="colab", usd_per_unit=0.10)
PRO = Subscription(
    id="pro",
    name="Pro",
    provider="colab",
    usd_per_month=10.0,
    units_per_month=200,
    usd_per_unit=0.10,
)
TRACE = Trace(
    target="a.py",
    torch="2.13.0",
    steps=2,
    seconds=0.0,
    host_memory_bytes=1,
    batch_size=64,
    samples_per_epoch=6400,
    is_batch_size_known_to_loader=True,
    compute_capability="8.0",
    asked_capability=False,
    assumptions=(),
    events=(),
    schedule=Schedule(steps_per_epoch=100, epochs=30, evaluation_batches=0),
)


def exactly(value: float) -> Range:
    return Range(low=value, expected=value, high=value)


def step(seconds: float, *, evaluation_batch_s: Range | None = None) -> StepTime:
    return StepTime(step_s=exactly(seconds), evaluation_batch_s=evaluation_batch_s)


def forecast(
    trace: Trace = TRACE,
    time: StepTime | None = None,
    row: RuntimeType = T4,
    terms: Terms = NO_TERMS,
    *,
    checkpoint_bytes: int | None = None,
) -> JobForecast:
    lease = Lease(
        runtime_type=row,
        rate_units_per_hour=rate_for(row, terms.subscription),
        session_limit_s=row.session_limit_s,
        device="T4",
    )
    return forecast_job(trace, time or step(1.0), lease, terms, checkpoint_bytes=checkpoint_bytes)


def expected(value: Range | None) -> float | None:
    return None if value is None else value.expected


def loaded(seconds_per_batch: float, workers: int) -> Trace:
    loading = Loading(seconds_per_batch=seconds_per_batch, measured_batches=8, workers=workers)
    return replace(TRACE, loading=loading)


def scheduled(schedule: Schedule) -> Trace:
    return replace(TRACE, schedule=schedule)


def test_steps_make_epochs_make_the_run_makes_units_makes_money() -> None:
    job = forecast(terms=Terms(subscription=PAYG, wallet_units=2.0))
    assert expected(job.epoch_s) == 100
    assert expected(job.run_s) == 3000
    assert expected(job.compute_units) == pytest.approx(1.0)
    assert expected(job.usd) == pytest.approx(0.10)
    assert (job.sessions, job.affordable) == (1, True)
    assert job.ends_before_deadline is None


def test_epochs_that_are_asked_for_go_before_the_script_s_own() -> None:
    assert expected(forecast(terms=Terms(epochs=3)).run_s) == 300


def test_without_epochs_the_run_is_not_known_and_says_how_to_say_them() -> None:
    trace = scheduled(
        Schedule(steps_per_epoch=100, evaluation_batches=0, reason="no loop holds the step")
    )
    job = forecast(trace)
    assert expected(job.epoch_s) == 100
    assert job.run_s is None
    assert "--epochs" in job.reasons["run_seconds"]
    assert "no loop holds the step" in job.reasons["run_seconds"]
    assert job.compute_units is None
    assert job.reasons["compute_units"] == job.reasons["run_seconds"]


def test_what_is_not_known_of_a_step_is_not_known_of_the_rest() -> None:
    job = forecast(time=StepTime(step_s=None, reason="its peaks are not verified"))
    unknown = (job.step_s, job.epoch_s, job.run_s, job.compute_units, job.usd, job.sessions)
    assert unknown == (None,) * 6
    for key in ("step_seconds", "epoch_seconds", "run_seconds", "compute_units", "usd", "sessions"):
        assert job.reasons[key] == "its peaks are not verified"


def test_evaluation_is_counted_after_each_epoch() -> None:
    trace = scheduled(Schedule(steps_per_epoch=100, epochs=30, evaluation_batches=20))
    job = forecast(trace, step(1.0, evaluation_batch_s=exactly(0.5)))
    assert expected(job.epoch_s) == 110
    assert not any("evaluation" in note for note in job.notes)


@pytest.mark.parametrize("batches", [None, 20])
def test_evaluation_that_was_not_seen_is_named_as_not_counted(batches: int | None) -> None:
    trace = scheduled(Schedule(steps_per_epoch=100, epochs=30, evaluation_batches=batches))
    job = forecast(trace)
    assert expected(job.epoch_s) == 100
    assert any("evaluation is not counted" in note for note in job.notes)


def test_evaluation_after_the_last_epoch_is_counted_once() -> None:
    trace = scheduled(
        Schedule(steps_per_epoch=100, epochs=30, evaluation_batches=0, final_batches=20)
    )
    job = forecast(trace, step(1.0, evaluation_batch_s=exactly(0.5)))
    assert (expected(job.epoch_s), expected(job.run_s)) == (100, 3010)
    assert any("evaluation is not counted" in note for note in forecast(trace).notes)


def test_evaluation_that_is_known_after_the_last_epoch_only_is_counted_and_said() -> None:
    trace = scheduled(Schedule(steps_per_epoch=100, epochs=30, final_batches=20))
    job = forecast(trace, step(1.0, evaluation_batch_s=exactly(0.5)))
    assert expected(job.run_s) == 3010
    assert any("evaluation between epochs is not counted" in note for note in job.notes)


def test_a_job_of_so_many_steps_takes_them_unless_epochs_are_asked_for() -> None:
    schedule = Schedule(steps_per_epoch=100, epochs=3, evaluation_batches=4, total_steps=250)
    time = step(1.0, evaluation_batch_s=exactly(0.5))
    assert expected(forecast(scheduled(schedule), time).run_s) == 250 + 3 * 4 * 0.5
    assert expected(forecast(scheduled(schedule), time, terms=Terms(epochs=2)).run_s) == 204


def test_a_job_that_may_end_early_is_done_after_an_epoch_at_best() -> None:
    schedule = replace(TRACE.schedule, is_upper_bound=True)
    assert forecast(scheduled(schedule)).run_s == Range(low=100, expected=3000, high=3000)
    assert forecast(scheduled(schedule), terms=Terms(epochs=5)).run_s == exactly(500)


def test_too_few_vcpus_bound_the_job_and_the_words_say_by_how_much() -> None:
    job = forecast(loaded(0.9, workers=8), step(0.2))
    assert expected(job.step_s) == pytest.approx(0.45)
    assert job.feed_words == "input-bound: 2 vCPUs give 142 samples/s, the T4 could take 320"


def test_with_enough_vcpus_as_many_as_there_are_workers_load() -> None:
    job = forecast(loaded(0.9, workers=4), step(0.2), replace(T4, vcpus=12))
    assert expected(job.step_s) == pytest.approx(0.225)
    assert job.feed_words.startswith("input-bound: 4 workers give 284 samples/s")


def test_a_loader_without_workers_takes_turns_with_the_accelerator() -> None:
    job = forecast(loaded(0.3, workers=0), step(0.2))
    assert job.step_s == Range(low=0.2, expected=0.5, high=0.8)
    assert "loading in the training process gives 213 samples/s" in job.feed_words


def test_an_accelerator_that_is_slower_than_its_loaders_is_not_bound_by_them() -> None:
    job = forecast(loaded(0.1, workers=2), step(0.2))
    assert expected(job.step_s) == 0.2
    assert job.feed_words == ""


def test_a_card_that_has_nothing_to_do_waits() -> None:
    feed = Feed(loading_s=2.0, device_s=0.0, loaders=0)
    words = feed_words(feed, samples=64, accelerator="T4")
    assert words == (
        "input-bound: loading in the training process gives 32 samples/s, the T4 only waits"
    )


def test_vcpus_that_nobody_knows_leave_the_step_unknown_only_where_they_matter() -> None:
    unknown = replace(T4, vcpus=None)
    assert expected(forecast(loaded(0.1, workers=2), step(0.2), unknown).step_s) == 0.2
    job = forecast(loaded(0.9, workers=2), step(0.2), unknown)
    assert job.step_s is None
    assert "vCPUs" in job.reasons["step_seconds"]


def test_a_step_that_accumulates_loads_all_of_its_batches() -> None:
    trace = scheduled(Schedule(steps_per_epoch=25, epochs=1, evaluation_batches=0))
    assert batches_per_step(trace) == 4
    assert batches_per_step(scheduled(replace(trace.schedule, batches_per_step=3))) == 3
    unknown = replace(TRACE, schedule=Schedule(), traits=Traits(passes=2))
    assert batches_per_step(unknown) == 2


def test_a_job_longer_than_a_session_takes_several_each_with_its_own_beginning() -> None:
    trace = replace(TRACE, seconds=360.0)
    terms = Terms(epochs=900, data_bytes=24 * 10**9)
    job = forecast(trace, terms=terms, checkpoint_bytes=6 * 10**9)
    assert (job.staging_s, job.checkpoint_s) == (240, 60)
    # 90 000 s of work in shares of 43 200 - 360 - 240 - 60 s.
    assert job.sessions == 3
    assert expected(job.run_s) == 90_000 + 3 * (360 + 240 + 60)


def test_a_session_that_ends_before_the_data_are_there_is_told() -> None:
    job = forecast(terms=Terms(data_bytes=10**14))
    assert job.run_s is None
    assert "ends before" in job.reasons["run_seconds"]


def test_data_whose_way_is_not_known_are_named_as_not_counted() -> None:
    job = forecast(row=replace(T4, network_bytes_per_s=None), terms=Terms(data_bytes=1))
    assert job.staging_s is None
    assert "how fast" in job.reasons["staging_seconds"]
    assert "bringing the data is not counted" in job.notes
    assert "--data-bytes" in forecast().reasons["staging_seconds"]


@given(
    work_s=st.floats(0, 1e7),
    begin_s=st.floats(0, 5000),
    checkpoint_s=st.floats(0, 5000),
    limit_s=st.floats(1, 1e6),
)
def test_sessions_hold_all_of_the_work_and_each_keeps_to_its_limit(
    work_s: float, begin_s: float, checkpoint_s: float, limit_s: float
) -> None:
    found = in_sessions(work_s, begin_s, checkpoint_s, limit_s)
    if found is None:
        assert begin_s + checkpoint_s >= limit_s
        return
    total_s, sessions = found
    assert total_s >= work_s
    assert total_s <= sessions * limit_s * (1 + 1e-9)


def test_a_free_runtime_costs_nothing_even_where_its_time_is_not_known() -> None:
    job = forecast(time=StepTime(step_s=None, reason="no"), terms=Terms(subscription=FREE))
    assert (expected(job.compute_units), expected(job.usd)) == (0, 0)
    assert (job.rate_units_per_hour, job.affordable) == (0.0, True)


def test_a_weekly_quota_is_what_a_free_runtime_is_paid_with() -> None:
    assert forecast(row=KAGGLE).affordable is True
    assert forecast(row=KAGGLE, terms=Terms(epochs=1200)).affordable is False
    assert expected(forecast(row=KAGGLE).usd) == 0
    assert forecast(time=StepTime(step_s=None, reason="no"), row=KAGGLE).affordable is None


def test_a_wallet_carries_what_its_high_bound_needs() -> None:
    time = StepTime(step_s=Range(low=0.9, expected=1.0, high=1.5))
    assert forecast(time=time, terms=Terms(wallet_units=1.5)).affordable is True
    assert forecast(time=time, terms=Terms(wallet_units=0.9)).affordable is False
    between = forecast(time=time, terms=Terms(wallet_units=1.4))
    assert between.affordable is None
    assert "high bound" in between.reasons["affordable"]
    job = forecast(time=time)
    assert job.affordable is None
    assert "--wallet" in job.reasons["affordable"]


def test_a_deadline_is_kept_where_the_high_bound_ends_before_it() -> None:
    time = StepTime(step_s=Range(low=0.9, expected=1.0, high=1.5))
    assert forecast(time=time, terms=Terms(deadline_s=4500)).ends_before_deadline is True
    assert forecast(time=time, terms=Terms(deadline_s=2900)).ends_before_deadline is False
    between = forecast(time=time, terms=Terms(deadline_s=4400))
    assert between.ends_before_deadline is None
    assert "may end later" in between.reasons["ends_before_deadline"]


def test_a_rate_that_nobody_knows_leaves_units_and_money_unknown() -> None:
    job = forecast(row=replace(T4, rate_units_per_hour=None), terms=Terms(subscription=PAYG))
    assert expected(job.run_s) == 3000
    assert (job.compute_units, job.usd, job.affordable) == (None, None, None)
    assert job.reasons["compute_units"] == "its rate is not known"


def test_a_price_needs_a_subscription_that_has_one() -> None:
    assert "--subscription" in forecast().reasons["usd"]
    other = replace(PAYG, provider="elsewhere")
    job = forecast(terms=Terms(subscription=other))
    assert job.usd is None
    assert "no price" in job.reasons["usd"]


def test_units_of_the_month_cost_the_month_s_price_and_further_ones_their_own() -> None:
    assert price_usd(PRO, 100, provider="colab") == pytest.approx(5.0)
    assert price_usd(PRO, 300, provider="colab") == pytest.approx(10.0 + 10.0)
    assert price_usd(PAYG, 50, provider="colab") == pytest.approx(5.0)
    assert price_usd(FREE, 1, provider="colab") is None


@given(
    rates=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    seconds=st.floats(1e-4, 100),
    subscription=st.sampled_from([None, FREE, PAYG, PRO]),
)
def test_a_cheaper_rate_never_raises_the_cost(
    rates: tuple[float, float], seconds: float, subscription: Subscription | None
) -> None:
    costs = []
    for rate in sorted(rates):
        row = replace(T4, rate_units_per_hour=rate)
        job = forecast(time=step(seconds), row=row, terms=Terms(subscription=subscription))
        assert job.compute_units is not None
        costs.append((job.compute_units.high, job.usd.high if job.usd else None))
    (units, usd), (more_units, more_usd) = costs
    assert units <= more_units
    if usd is not None and more_usd is not None:
        assert usd <= more_usd


@given(
    wallets=st.tuples(st.floats(0.01, 1e4), st.floats(0.01, 1e4)),
    seconds=st.floats(1e-4, 100),
    rate=st.floats(0, 100),
)
def test_more_units_never_make_a_job_unaffordable(
    wallets: tuple[float, float], seconds: float, rate: float
) -> None:
    row = replace(T4, rate_units_per_hour=rate)
    less, more = (
        forecast(time=step(seconds), row=row, terms=Terms(wallet_units=units)).affordable
        for units in sorted(wallets)
    )
    assert more or not less


@pytest.mark.parametrize(
    ("terms", "remedy"),
    [
        (Terms(wallet_units=0.0), "--wallet"),
        (Terms(wallet_units=-3.0), "--wallet"),
        (Terms(wallet_units=float("nan")), "--wallet"),
        (Terms(wallet_units=float("inf")), "--wallet"),
        (Terms(epochs=0), "--epochs"),
        (Terms(epochs=-1), "--epochs"),
        (Terms(deadline_s=0.0), "--deadline"),
        (Terms(deadline_s=float("nan")), "--deadline"),
        (Terms(data_bytes=-1), "--data-bytes"),
    ],
)
def test_terms_that_cannot_be_meant_are_refused_with_a_remedy(terms: Terms, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_terms(terms)
    assert remedy in refused.value.remedy


def test_an_empty_wallet_that_was_noted_is_a_fact_and_not_refused() -> None:
    assert check_terms(Terms(wallet_units=0.0, wallet_as_of="2026-11-01")).wallet_units == 0
