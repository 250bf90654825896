"""The wallet out of what was noted: balances, observed rates, quotas, what runs used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sojourn.catalog.models import YOUR_FIGURE, Catalog, RuntimeType, Source
from sojourn.planning.terms import NO_TERMS
from sojourn.planning.wallet import (
    Balance,
    Entry,
    ObservedRate,
    PastRun,
    Use,
    Wallet,
    make_wallet,
    newest_balance,
    with_balance,
    with_observed_rates,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
HOUR = 3600.0


def row(name: str, rate: float | None, as_of: str = "2026-09-27", **more: float) -> RuntimeType:
    sources = {} if rate is None else {"rate_units_per_hour": Source(source="a page", as_of=as_of)}
    return RuntimeType(
        id=name,
        name=name,
        provider=name.partition("/")[0],
        rate_units_per_hour=rate,
        subscriptions=("pro",),
        sources=sources,
        **more,  # type: ignore[arg-type]
    )


T4, L4, H100 = row("colab/t4", 1.07), row("colab/l4", 1.71, "2026-03-21"), row("colab/h100", None)
KAGGLE = row("kaggle/t4x2", 0.0, weekly_quota_s=30 * HOUR)
CATALOG = Catalog(
    accelerators={},
    runtime_types={one.id: one for one in (T4, L4, H100, KAGGLE)},
    subscriptions={},
)


def seen(name: str, rate: float, at: datetime) -> ObservedRate:
    return ObservedRate(runtime_type=name, units_per_hour=rate, at=at)


def rate_of(catalog: Catalog, name: str) -> tuple[float | None, str | None]:
    found = catalog.runtime_types[name]
    source = found.sources.get("rate_units_per_hour")
    return found.rate_units_per_hour, source.as_of if source else None


def wallet(entries: list[Entry], runs: list[PastRun] | None = None) -> Wallet:
    catalog, _ = with_observed_rates(CATALOG, entries, today=TODAY)
    return make_wallet(catalog, entries, runs or [], now=NOW)


def test_the_newest_rate_of_one_s_own_runs_replaces_the_shipped_one_with_its_date() -> None:
    entries = [seen("colab/t4", 1.19, NOW - 3 * DAY), seen("colab/t4", 1.84, NOW - 30 * DAY)]
    catalog, notes = with_observed_rates(CATALOG, entries, today=TODAY)
    assert rate_of(catalog, "colab/t4") == (1.19, "2026-11-22")
    assert "your own run was charged on 2026-11-22" in notes["colab/t4"]
    assert catalog.runtime_types["colab/l4"] is L4


def test_a_rate_that_nobody_shipped_can_be_observed() -> None:
    catalog, _ = with_observed_rates(CATALOG, [seen("colab/h100", 11.0, NOW)], today=TODAY)
    assert rate_of(catalog, "colab/h100") == (11.0, "2026-11-25")


def test_an_old_rate_gives_way_to_a_newer_shipped_one_and_is_named() -> None:
    old = seen("colab/t4", 1.84, NOW - 200 * DAY)
    catalog, notes = with_observed_rates(CATALOG, [old], today=TODAY)
    assert rate_of(catalog, "colab/t4") == (1.07, "2026-09-27")
    assert "over 180 days ago" in notes["colab/t4"]
    assert "the shipped rate is newer" in notes["colab/t4"]


def test_an_old_rate_stands_where_the_shipped_one_is_older_still_and_is_flagged() -> None:
    old = seen("colab/l4", 4.82, NOW - 200 * DAY)
    catalog, notes = with_observed_rates(CATALOG, [old], today=TODAY)
    assert rate_of(catalog, "colab/l4") == (4.82, "2026-05-09")
    assert "over 180 days ago" in notes["colab/l4"]
    assert next(r for r in wallet([old]).rates if r.runtime_type == "colab/l4").is_stale


@pytest.mark.parametrize(
    "source",
    [Source(source=YOUR_FIGURE), Source(source="my panel", as_of="2026-11-24", is_in_overlay=True)],
)
def test_what_the_user_wrote_into_the_catalog_goes_before_what_was_observed(
    source: Source,
) -> None:
    mine = replace(T4, sources={"rate_units_per_hour": source})
    catalog = replace(CATALOG, runtime_types={"colab/t4": mine})
    unchanged, notes = with_observed_rates(catalog, [seen("colab/t4", 9.0, NOW)], today=TODAY)
    assert (rate_of(unchanged, "colab/t4")[0], notes) == (1.07, {})


def test_a_rate_of_a_runtime_type_that_is_gone_changes_nothing() -> None:
    catalog, notes = with_observed_rates(CATALOG, [seen("colab/x", 9.0, NOW)], today=TODAY)
    assert (catalog.runtime_types, notes) == (CATALOG.runtime_types, {})


def test_the_balance_that_was_noted_last_counts_and_says_how_old_it_is() -> None:
    entries: list[Entry] = [
        Balance(units=87.5, at=NOW - 2 * DAY),
        Balance(units=100.0, at=NOW - 9 * DAY),
    ]
    found = wallet(entries)
    assert found.balance == entries[0]
    assert not found.is_stale
    assert wallet([Balance(units=1.0, at=NOW - 181 * DAY)]).is_stale
    assert newest_balance([]) is None


@pytest.mark.parametrize(("days", "is_old"), [(180, False), (181, True)])
def test_a_plan_reckons_with_a_noted_balance_and_says_of_when(*, days: int, is_old: bool) -> None:
    balance = Balance(units=87.5, at=NOW - days * DAY)
    terms, note = with_balance(NO_TERMS, balance, today=TODAY)
    assert terms.wallet_units == 87.5
    assert date.fromisoformat(terms.wallet_as_of) == balance.at.date()
    assert ("over 180 days ago" in note) is is_old


def test_rates_say_how_long_the_balance_lasts() -> None:
    rates = {rate.runtime_type: rate for rate in wallet([Balance(units=10.7, at=NOW)]).rates}
    assert set(rates) == {"colab/t4", "colab/l4", "colab/h100"}  # what is free lasts for ever
    assert rates["colab/t4"].hours == pytest.approx(10.0)
    assert (rates["colab/h100"].units_per_hour, rates["colab/h100"].hours) == (None, None)
    assert rates["colab/l4"].is_stale


def test_what_runs_used_is_what_was_noted_and_nothing_on_this_machine() -> None:
    runs = [
        PastRun(run="a", runtime_type="local", started_at=NOW, seconds=60.0),
        PastRun(run="b", runtime_type="colab/t4", started_at=NOW, seconds=60.0),
        PastRun(run="c", runtime_type="colab/t4", started_at=NOW, seconds=60.0),
    ]
    found = wallet([Use(run="b", units=1.5, at=NOW)], runs)
    assert [use.units for use in found.uses] == [0.0, 1.5, None]


def test_the_quota_counts_what_ran_in_the_last_seven_days() -> None:
    runs = [
        PastRun(run="a", runtime_type="kaggle/t4x2", started_at=NOW - 8 * DAY, seconds=26 * HOUR),
        PastRun(run="b", runtime_type="kaggle/t4x2", started_at=NOW - 2 * DAY, seconds=3 * HOUR),
        PastRun(run="c", runtime_type="colab/t4", started_at=NOW - 2 * DAY, seconds=3 * HOUR),
        PastRun(
            run="d",
            runtime_type="kaggle/t4x2",
            started_at=NOW - timedelta(hours=1),
            seconds=None,
            is_running=True,
        ),
        PastRun(run="e", runtime_type="kaggle/t4x2", started_at=NOW - DAY, seconds=None),
    ]
    (quota,) = wallet([], runs).quotas
    assert (quota.provider, quota.weekly_s) == ("kaggle", 30 * HOUR)
    assert quota.used_s == pytest.approx((2 + 3 + 1) * HOUR)


def test_no_run_takes_more_of_the_quota_than_there_was_time_for() -> None:
    runs = [PastRun(run="a", runtime_type="kaggle/t4x2", started_at=NOW - DAY, seconds=1e300)]
    (quota,) = wallet([], runs).quotas
    assert quota.used_s == 24 * HOUR


def test_what_is_up_now_has_a_rate_in_all_unless_one_of_them_is_not_known() -> None:
    def up(name: str) -> PastRun:
        return PastRun(run=name, runtime_type=name, started_at=NOW, seconds=None, is_running=True)

    assert wallet([]).current_rate == 0
    assert wallet([], [up("colab/t4"), up("colab/l4"), up("local")]).current_rate == pytest.approx(
        2.78
    )
    assert wallet([], [up("colab/t4"), up("colab/h100")]).current_rate is None
