"""What there is to spend, as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sojourn.catalog.models import OBSERVED, STALE_AFTER, YOUR_FIGURE
from sojourn.render.table import at_full_width
from sojourn.runs.journal import format_instant
from sojourn.units import format_count, format_duration, format_units

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sojourn.planning.wallet import Quota, Rate, RunUse, Wallet

SCHEMA = "sojourn.wallet/1"
_UNKNOWN = "unknown"
_STALE = "*"
_HOUR_S = 3600
# Runs that are shown without -v, the newest.
_SHOWN_RUNS = 5


def wallet_document(wallet: Wallet) -> dict[str, Any]:
    """Return the wallet as a JSON document. What is not known is null."""
    balance = wallet.balance
    return {
        "schema": SCHEMA,
        "balance_units": balance.units if balance else None,
        "balance_as_of": format_instant(balance.at) if balance else None,
        "balance_is_stale": wallet.is_stale,
        "current_rate_units_per_hour": wallet.current_rate,
        "rates": [_rate_document(rate) for rate in wallet.rates],
        "quotas": [
            {
                "provider": quota.provider,
                "runtimes": list(quota.runtime_types),
                "weekly_seconds": quota.weekly_s,
                "used_seconds": quota.used_s,
            }
            for quota in wallet.quotas
        ],
        "runs": [_use_document(use) for use in wallet.uses],
    }


def _rate_document(rate: Rate) -> dict[str, Any]:
    return {
        "runtime": rate.runtime_type,
        "rate_units_per_hour": rate.units_per_hour,
        "source": rate.source or None,
        "as_of": rate.as_of,
        "is_stale": rate.is_stale,
        "hours_left": rate.hours,
    }


def _use_document(use: RunUse) -> dict[str, Any]:
    run = use.run
    return {
        "run": run.run,
        "runtime": run.runtime_type,
        "started_at": format_instant(run.started_at) if run.started_at else None,
        "seconds": run.seconds,
        "compute_units": use.units,
        "is_running": run.is_running,
    }


def wallet_text(wallet: Wallet, *, detailed: bool) -> RenderableType:
    """Return the wallet as text; `detailed` shows all runs."""
    parts: list[RenderableType] = [Text(_balance(wallet)), Text(_current(wallet)), Text("")]
    parts.append(at_full_width(_rates(wallet)))
    parts += [Text(_quota(quota)) for quota in wallet.quotas]
    parts += [Text(""), *_uses(wallet, detailed=detailed)]
    if wallet.is_stale or any(rate.is_stale for rate in wallet.rates):
        parts.append(Text(f"{_STALE} older than {STALE_AFTER.days} days", style="dim"))
    return Group(*parts)


def _balance(wallet: Wallet) -> str:
    if wallet.balance is None:
        return "No balance is known. Note what your panel shows: sojourn wallet --set UNITS"
    star = _STALE if wallet.is_stale else ""
    units = format_units(wallet.balance.units)
    return f"{units}{star} compute units on {wallet.balance.at:%Y-%m-%d} (UTC)."


def _current(wallet: Wallet) -> str:
    if wallet.current_rate is None:
        return "What your runs cost an hour now is not known."
    if not wallet.current_rate:
        return "No run from this machine costs units now."
    return f"Your runs cost {format_units(wallet.current_rate)} units an hour now."


def _rates(wallet: Wallet) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("runtime", no_wrap=True)
    table.add_column("units/h", justify="right", no_wrap=True)
    table.add_column("as of", no_wrap=True)
    table.add_column("by", no_wrap=True)
    table.add_column("balance lasts", justify="right", no_wrap=True)
    for rate in wallet.rates:
        star = _STALE if rate.is_stale else ""
        table.add_row(
            rate.runtime_type,
            _UNKNOWN if rate.units_per_hour is None else f"{rate.units_per_hour:.2f}{star}",
            rate.as_of or "",
            _by(rate),
            _UNKNOWN if rate.hours is None else format_duration(rate.hours * _HOUR_S),
        )
    return table


def _by(rate: Rate) -> str:
    """Say whose figure it is; a source's address is too long for a table."""
    if rate.units_per_hour is None:
        return ""
    if rate.is_yours:
        return YOUR_FIGURE
    return rate.source if rate.source == OBSERVED else "shipped"


def _quota(quota: Quota) -> str:
    used, weekly = quota.used_s / _HOUR_S, quota.weekly_s / _HOUR_S
    return (
        f"{', '.join(quota.runtime_types)}: {weekly:g} h a week; runs from this machine took "
        f"{used:.1f} h in the last seven days."
    )


def _uses(wallet: Wallet, *, detailed: bool) -> list[Text]:
    uses = wallet.uses if detailed else wallet.uses[-_SHOWN_RUNS:]
    if not uses:
        return [Text("No runs yet.")]
    known = [use.units for use in wallet.uses if use.units is not None]
    total = f"{format_count(len(wallet.uses), 'run')} so far took {format_units(sum(known))} units"
    unknown = len(wallet.uses) - len(known)
    more = f", and {format_count(unknown, 'run')} nobody knows how many" if unknown else ""
    return [Text(f"{total}{more}."), *(Text(_use(use)) for use in uses)]


def _use(use: RunUse) -> str:
    run = use.run
    took = "still up" if run.is_running else _UNKNOWN
    if run.seconds is not None:
        took = format_duration(run.seconds)
    units = _UNKNOWN if use.units is None else format_units(use.units)
    return f"  {run.run}  {run.runtime_type or _UNKNOWN}  {took}  {units} units"
