"""The whole job on a runtime type: epochs, sessions, compute units and money, from a step's time.

    start-up     what the script does before its first step
    staging      bringing the data
    epoch        steps with their data, and the evaluation after them
    checkpoint   what is kept at a session's end, where one session does not do

What cannot be known is None, and `reasons` says why, by the keys of the plan's JSON document. All
times are in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Range
from sojourn.planning.cost import price_usd, units_of
from sojourn.planning.feeding import feed_words
from sojourn.planning.work import batches_per_step, forecast_work, plus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.catalog.models import RuntimeType
    from sojourn.forecast.step_time import StepTime
    from sojourn.forecast.trace import Trace
    from sojourn.planning.feeding import Feed
    from sojourn.planning.terms import Terms

_WITHOUT_DATA = "how much data has to be brought is not known (--data-bytes SIZE)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A runtime type as one subscription gets it.

    `rate_units_per_hour` is None where it is not known, 0 where the subscription pays no units;
    `session_limit_s` None where no limit is known; `device` is the accelerator's name.
    """

    runtime_type: RuntimeType
    rate_units_per_hour: float | None
    session_limit_s: float | None
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForecast:
    """What a job takes on a runtime type.

    Attributes:
        rate_units_per_hour: What the runtime costs while it is up.
        device_step_s: An optimizer step, as the accelerator alone would do it.
        step_s: The same with loading its data.
        epoch_s: An epoch with its evaluation.
        steps_per_epoch: Optimizer steps.
        epochs: How many are planned.
        run_s: The whole job, from the first session's start to the last one's end.
        start_up_s: What each session begins with, data aside.
        staging_s: Bringing the data, once a session.
        checkpoint_s: Writing one checkpoint at a session's end.
        sessions: How many it takes, as expected.
        compute_units: What it costs.
        usd: The same in money.
        affordable: Whether the wallet, and a week's quota, carry the job: the high bound (True), or
            not even what is expected (False); None between.
        ends_before_deadline: The same of the deadline; None if there is none.
        feed: The input side; None where nothing is loaded, or that is not known.
        feed_words: What to say of it, "" unless the job is bound by it.
        reasons: Why what is None is None.
        notes: What is left out of the figures.
    """

    rate_units_per_hour: float | None = None
    device_step_s: Range | None = None
    step_s: Range | None = None
    epoch_s: Range | None = None
    steps_per_epoch: int | None = None
    epochs: int | None = None
    run_s: Range | None = None
    start_up_s: Range | None = None
    staging_s: float | None = None
    checkpoint_s: float | None = None
    sessions: int | None = None
    compute_units: Range | None = None
    usd: Range | None = None
    affordable: bool | None = None
    ends_before_deadline: bool | None = None
    feed: Feed | None = None
    feed_words: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NO_FORECAST = JobForecast()


def forecast_job(
    trace: Trace,
    time: StepTime,
    lease: Lease,
    terms: Terms,
    *,
    checkpoint_bytes: int | None = None,
) -> JobForecast:
    """Forecast the whole job.

    Args:
        trace: Of the script as it is: how often it steps, and what feeding it takes. A changed
            script takes as many steps of as many samples.
        time: A step on the accelerator, of the script as it is or changed.
        lease: Where the job would run.
        terms: How many epochs, and what there is to spend.
        checkpoint_bytes: Parameters and the optimizer's state; None if not known.
    """
    work = forecast_work(trace, time, epochs=terms.epochs, vcpus=lease.runtime_type.vcpus)
    reasons, notes = dict(work.reasons), list(work.notes)
    staging_s = _transfer(
        terms.data_bytes, lease, reasons, key="staging_seconds", without=_WITHOUT_DATA
    )
    checkpoint_s = _transfer(
        checkpoint_bytes,
        lease,
        reasons,
        key="checkpoint_seconds",
        without="what it holds is not known",
    )
    # Tracing did all that the script does before its first step, and more.
    start_up_s = Range(low=0.0, expected=trace.seconds, high=trace.seconds)
    run_s, sessions = None, None
    if work.work_s is None:
        reasons["sessions"] = reasons["run_seconds"]
    else:
        begin_s = plus(start_up_s, _exactly(staging_s or 0.0))
        run_s, sessions = _sessions(work.work_s, begin_s, checkpoint_s or 0.0, lease, reasons)
        if staging_s is None:
            notes.append("bringing the data is not counted")
    units = _units(run_s, lease, reasons)
    usd = _usd(units, lease, terms, reasons)
    return JobForecast(
        rate_units_per_hour=lease.rate_units_per_hour,
        device_step_s=time.step_s,
        step_s=work.step_s,
        epoch_s=work.epoch_s,
        steps_per_epoch=trace.schedule.steps_per_epoch,
        epochs=work.epochs,
        run_s=run_s,
        start_up_s=start_up_s,
        staging_s=staging_s,
        checkpoint_s=checkpoint_s,
        sessions=sessions,
        compute_units=units,
        usd=usd,
        affordable=_affordable(units, run_s, lease, terms, reasons),
        ends_before_deadline=_in_time(run_s, terms, reasons),
        feed=work.feed,
        feed_words=_feed_words(trace, work.feed, lease),
        reasons=reasons,
        notes=tuple(notes),
    )


def _transfer(
    size_bytes: int | None, lease: Lease, reasons: dict[str, str], *, key: str, without: str
) -> float | None:
    """Return how long a transfer takes at the rate that the runtime type was seen to reach."""
    if size_bytes is None:
        reasons[key] = without
        return None
    if not size_bytes:
        return 0.0
    if lease.runtime_type.network_bytes_per_s is None:
        reasons[key] = "how fast data get to and from this runtime type is not known"
        return None
    return size_bytes / lease.runtime_type.network_bytes_per_s


def _sessions(
    work_s: Range, begin_s: Range, checkpoint_s: float, lease: Lease, reasons: dict[str, str]
) -> tuple[Range | None, int | None]:
    """Return how long the job is up in all, and in how many sessions, as expected."""
    ends = [
        in_sessions(work, begin, checkpoint_s, lease.session_limit_s)
        for work, begin in (
            (work_s.low, begin_s.low),
            (work_s.expected, begin_s.expected),
            (work_s.high, begin_s.high),
        )
    ]
    low, expected, high = ends
    if low is None or expected is None or high is None:
        why = "a session ends before its start-up, its data and a checkpoint are through"
        reasons["run_seconds"] = reasons["sessions"] = why
        return None, None
    return Range(low=low[0], expected=expected[0], high=high[0]), expected[1]


def in_sessions(
    work_s: float, begin_s: float, checkpoint_s: float, limit_s: float | None
) -> tuple[float, int] | None:
    """Cut work into sessions, each with its beginning, and with a checkpoint if there are several.

    Args:
        work_s: What has to be done in all.
        begin_s: What each session begins with.
        checkpoint_s: What it ends with, if another follows or went before.
        limit_s: How long one lasts at most; None if there is no limit.

    Returns:
        How long all are up, and how many there are; None if none of them gets to its work.
    """
    if limit_s is None or begin_s + work_s <= limit_s:
        return begin_s + work_s, 1
    share_s = limit_s - begin_s - checkpoint_s
    if share_s <= 0:
        return None
    sessions = math.ceil(work_s / share_s)
    return work_s + sessions * (begin_s + checkpoint_s), sessions


def _units(run_s: Range | None, lease: Lease, reasons: dict[str, str]) -> Range | None:
    rate = lease.rate_units_per_hour
    if rate is None:
        reasons["rate_units_per_hour"] = "nobody is known to have measured its rate"
        reasons["compute_units"] = "its rate is not known"
        return None
    if rate == 0:
        return _exactly(0.0)
    if run_s is None:
        reasons["compute_units"] = reasons["run_seconds"]
        return None
    return Range(
        low=units_of(rate, run_s.low),
        expected=units_of(rate, run_s.expected),
        high=units_of(rate, run_s.high),
    )


def _usd(units: Range | None, lease: Lease, terms: Terms, reasons: dict[str, str]) -> Range | None:
    if units is None:
        reasons["usd"] = reasons["compute_units"]
        return None
    if lease.rate_units_per_hour == 0:
        return units
    prices = [
        price_usd(terms.subscription, value, provider=lease.runtime_type.provider)
        for value in (units.low, units.expected, units.high)
    ]
    low, expected, high = prices
    if low is None or expected is None or high is None:
        reasons["usd"] = (
            "what a unit costs depends on the subscription (--subscription)"
            if terms.subscription is None
            else f"the subscription {terms.subscription.id} has no price for these units"
        )
        return None
    return Range(low=low, expected=expected, high=high)


def _affordable(
    units: Range | None,
    run_s: Range | None,
    lease: Lease,
    terms: Terms,
    reasons: dict[str, str],
) -> bool | None:
    quota_s = lease.runtime_type.weekly_quota_s
    answers = [_within(run_s, quota_s)] if quota_s is not None else []
    if lease.rate_units_per_hour != 0:
        answers.append(_within(units, terms.wallet_units))
    if False in answers:
        return False
    if None not in answers:
        return True
    if units is None or (quota_s is not None and run_s is None):
        reasons["affordable"] = reasons.get("compute_units") or reasons["run_seconds"]
    elif lease.rate_units_per_hour != 0 and terms.wallet_units is None:
        reasons["affordable"] = "what is in the wallet is not known (--wallet UNITS)"
    else:
        reasons["affordable"] = "what is expected can be paid, the high bound cannot"
    return None


def _within(value: Range | None, limit: float | None) -> bool | None:
    """Whether a limit is kept for certain, or expected not to be; None between, or if unknown."""
    if value is None or limit is None:
        return None
    if value.high <= limit:
        return True
    return False if value.expected > limit else None


def _in_time(run_s: Range | None, terms: Terms, reasons: dict[str, str]) -> bool | None:
    if terms.deadline_s is None:
        reasons["ends_before_deadline"] = "no deadline was given"
    elif run_s is None:
        reasons["ends_before_deadline"] = reasons["run_seconds"]
    else:
        reasons["ends_before_deadline"] = "it is expected to, but may end later"
    return _within(run_s, terms.deadline_s)


def _feed_words(trace: Trace, feed: Feed | None, lease: Lease) -> str:
    if feed is None or not feed.is_bound:
        return ""
    samples = trace.batch_size * batches_per_step(trace) if trace.batch_size else None
    return feed_words(feed, samples=samples, accelerator=lease.device)


def _exactly(value: float) -> Range:
    return Range(low=value, expected=value, high=value)
