"""The wallet: balances, rates and what runs used, out of what was noted, each with its date.

Glossary:

    Balance        compute units that there were at an instant, as the user or a provider said
    ObservedRate   what the account was charged an hour while exactly one runtime was up: its rate
    Use            what one run really took
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sojourn.catalog.models import OBSERVED, STALE_AFTER, Catalog, RuntimeType, Source, first_day
from sojourn.units import format_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sojourn.planning.terms import Terms

_RATE = "rate_units_per_hour"
_HOUR_S = 3600
_WEEK = timedelta(days=7)
LOCAL = "local"
# Compute units that nobody has or is charged: more are a slip, and would last for ever.
MOST_UNITS = 1e12
# Units an hour that nobody is charged, other than 0.
LEAST_RATE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Compute units that there were at an instant."""

    units: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRate:
    """What a runtime of that type was seen to cost, in units an hour."""

    runtime_type: str
    units_per_hour: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a run took, as the balance before and after it says."""

    run: str
    units: float
    at: datetime


Entry = Balance | ObservedRate | Use


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run: where it ran, since when, how long, and whether it still does."""

    run: str
    runtime_type: str
    started_at: datetime | None
    seconds: float | None
    is_running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a runtime type costs, by whom and since when; `hours` is how long the balance lasts.

    `is_yours` tells a figure of the user's own catalog.
    """

    runtime_type: str
    units_per_hour: float | None
    source: str
    as_of: str | None
    is_stale: bool
    hours: float | None
    is_yours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Hours a week that some runtime types share, and what runs from here took of them."""

    provider: str
    runtime_types: tuple[str, ...]
    weekly_s: float
    used_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUse:
    """What one past run took; `units` is None where nobody noted it."""

    run: PastRun
    units: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """What there is to spend, on a day.

    `balance` is None if none was noted. `current_rate` is what the runs that this machine knows to
    be up cost an hour in all; None if the rate of one is not known.
    """

    balance: Balance | None
    is_stale: bool
    current_rate: float | None
    rates: tuple[Rate, ...]
    quotas: tuple[Quota, ...]
    uses: tuple[RunUse, ...]


def newest_balance(entries: Sequence[Entry]) -> Balance | None:
    """Return the balance that was noted last."""
    balances = [entry for entry in entries if isinstance(entry, Balance)]
    return max(balances, key=lambda balance: balance.at, default=None)


def newest_rates(entries: Sequence[Entry]) -> dict[str, ObservedRate]:
    """Return the rate that was observed last of each runtime type."""
    observed = [entry for entry in entries if isinstance(entry, ObservedRate)]
    return {rate.runtime_type: rate for rate in sorted(observed, key=lambda rate: rate.at)}


def with_observed_rates(
    catalog: Catalog, entries: Sequence[Entry], *, today: date
) -> tuple[Catalog, dict[str, str]]:
    """Put rates observed on the user's own runs in the place of shipped ones.

    The user's own catalog goes before both. A rate older than `STALE_AFTER` gives way to a shipped
    one that is newer.

    Returns:
        The catalog, and by runtime type what is to be said of its rate.
    """
    rows, notes = dict(catalog.runtime_types), {}
    for name, rate in newest_rates(entries).items():
        if name not in rows or _is_yours(rows[name]):
            continue
        seen, shipped = _day(rate.at), rows[name].sources.get(_RATE)
        is_stale = today - rate.at.date() > STALE_AFTER
        if is_stale and _is_newer(shipped, rate.at.date()):
            notes[name] = (
                f"your own run was charged {rate.units_per_hour:g} units an hour on {seen}, over "
                f"{STALE_AFTER.days} days ago; the shipped rate is newer and is used"
            )
            continue
        age = f", over {STALE_AFTER.days} days ago" if is_stale else ""
        notes[name] = f"the rate is what your own run was charged on {seen}{age}"
        rows[name] = _with_rate(rows[name], rate)
    return replace(catalog, runtime_types=rows), notes


def with_balance(terms: Terms, balance: Balance, *, today: date) -> tuple[Terms, str]:
    """Reckon with a balance that was noted; return what is to be said of it as well."""
    day = balance.at.date()
    age = f", over {STALE_AFTER.days} days ago" if today - day > STALE_AFTER else ""
    note = f"the wallet held {format_units(balance.units)} units on {day.isoformat()}{age}"
    return replace(terms, wallet_units=balance.units, wallet_as_of=day.isoformat()), note


def _is_yours(row: RuntimeType) -> bool:
    source = row.sources.get(_RATE)
    return source is not None and source.is_yours


def _is_newer(source: Source | None, day: date) -> bool:
    return source is not None and source.as_of is not None and first_day(source.as_of) > day


def _with_rate(row: RuntimeType, rate: ObservedRate) -> RuntimeType:
    source = Source(source=OBSERVED, as_of=_day(rate.at))
    return replace(
        row, rate_units_per_hour=rate.units_per_hour, sources={**row.sources, _RATE: source}
    )


def _day(instant: datetime) -> str:
    return instant.date().isoformat()


def make_wallet(
    catalog: Catalog, entries: Sequence[Entry], runs: Sequence[PastRun], *, now: datetime
) -> Wallet:
    """Put together what there is to spend.

    Args:
        catalog: With observed rates in it.
        entries: What was noted.
        runs: What ran, and runs.
        now: The present instant.
    """
    balance = newest_balance(entries)
    rows = [
        row for row in catalog.runtime_types.values() if row.retired is None and row.subscriptions
    ]
    used = {entry.run: entry.units for entry in entries if isinstance(entry, Use)}
    return Wallet(
        balance=balance,
        is_stale=balance is not None and now - balance.at > STALE_AFTER,
        current_rate=_current_rate(catalog, runs),
        rates=tuple(_rate(row, balance, now.date()) for row in rows if _has_rate(row)),
        quotas=_quotas(rows, runs, now),
        uses=tuple(RunUse(run=run, units=_units(run, used)) for run in runs),
    )


def _units(run: PastRun, used: Mapping[str, float]) -> float | None:
    return used.get(run.run, 0.0 if run.runtime_type == LOCAL else None)


def _current_rate(catalog: Catalog, runs: Sequence[PastRun]) -> float | None:
    total = 0.0
    for run in runs:
        if not run.is_running or run.runtime_type == LOCAL:
            continue
        row = catalog.runtime_types.get(run.runtime_type)
        if row is None or row.rate_units_per_hour is None:
            return None
        total += row.rate_units_per_hour
    return total


def _has_rate(row: RuntimeType) -> bool:
    return row.rate_units_per_hour is None or row.rate_units_per_hour > 0


def _rate(row: RuntimeType, balance: Balance | None, today: date) -> Rate:
    rate, source = row.rate_units_per_hour, row.sources.get(_RATE)
    return Rate(
        runtime_type=row.id,
        units_per_hour=rate,
        source=source.source if source else "",
        as_of=source.as_of if source else None,
        is_stale=source is not None and source.is_older_than(STALE_AFTER, today=today),
        hours=balance.units / rate if balance is not None and rate else None,
        is_yours=_is_yours(row),
    )


def _quotas(
    rows: Sequence[RuntimeType], runs: Sequence[PastRun], now: datetime
) -> tuple[Quota, ...]:
    """Return the quotas: types of one provider with as many hours are taken to share them."""
    shared: dict[tuple[str, float], list[str]] = {}
    for row in rows:
        if row.weekly_quota_s is not None:
            shared.setdefault((row.provider, row.weekly_quota_s), []).append(row.id)
    return tuple(
        Quota(
            provider=provider,
            runtime_types=tuple(names),
            weekly_s=weekly_s,
            used_s=sum(_seconds_this_week(run, now) for run in runs if run.runtime_type in names),
        )
        for (provider, weekly_s), names in shared.items()
    )


def _seconds_this_week(run: PastRun, now: datetime) -> float:
    """Return how much of a run lies in the last seven days."""
    if run.started_at is None:
        return 0.0
    if run.seconds is None:
        end = now if run.is_running else run.started_at
    else:
        # No run has lasted longer than until now, whatever its journal says.
        until_now_s = max(0.0, (now - run.started_at).total_seconds())
        end = run.started_at + timedelta(seconds=min(run.seconds, until_now_s))
    return max(0.0, (end - max(run.started_at, now - _WEEK)).total_seconds())
