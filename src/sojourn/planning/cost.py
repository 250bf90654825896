"""Rates and prices: what hours cost in compute units, and units in money."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sojourn.catalog.models import RuntimeType, Subscription

_HOUR_S = 3600


def units_of(rate_units_per_hour: float, duration_s: float) -> float:
    """Return the compute units that a runtime costs which is up so long."""
    return rate_units_per_hour * duration_s / _HOUR_S


def rate_for(runtime_type: RuntimeType, subscription: Subscription | None) -> float | None:
    """Return the rate in units an hour that a subscription pays; None if it is not known.

    Who pays nothing and gets no units is lent what there is for nothing, such as Colab's free T4.
    """
    if subscription is not None and subscription.provider == runtime_type.provider:
        has_units = subscription.units_per_month or subscription.usd_per_unit is not None
        if subscription.usd_per_month == 0 and not has_units:
            return 0.0
    return runtime_type.rate_units_per_hour


def price_usd(subscription: Subscription | None, units: float, *, provider: str) -> float | None:
    """Return what so many units cost in USD.

    The units that come with a month count at the month's price, what goes beyond at that of further
    units.

    Args:
        subscription: Whose price; None if that is not known.
        units: How many.
        provider: Whose units they are.

    Returns:
        The price; None if the subscription has none for these units.
    """
    if subscription is None or subscription.provider != provider:
        return None
    monthly = 0.0
    price = subscription.usd_per_unit
    if subscription.usd_per_month is not None and subscription.units_per_month:
        monthly = subscription.units_per_month
        monthly_price = subscription.usd_per_month / monthly
        price = monthly_price if price is None else price
        return min(units, monthly) * monthly_price + max(0.0, units - monthly) * price
    return None if price is None else units * price
