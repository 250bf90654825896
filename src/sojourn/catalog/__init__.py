"""What can be rented, as data with sources and dates; the user's own figures go before the shipped.

accelerators.toml   what computes: memory as torch sees it, bandwidth, peaks
runtime_types.toml  what is lent: provider, accelerator and host, limits, rate, who gets it
subscriptions.toml  what a person pays, and what that brings
"""

from sojourn.catalog.load import default_overlay_path, load_catalog
from sojourn.catalog.lookup import (
    find_accelerator_of_device,
    get_accelerator,
    get_runtime_type,
    get_subscription,
    runtime_types_of,
)
from sojourn.catalog.models import Accelerator, Catalog, RuntimeType, Source, Subscription

__all__ = [
    "Accelerator",
    "Catalog",
    "RuntimeType",
    "Source",
    "Subscription",
    "default_overlay_path",
    "find_accelerator_of_device",
    "get_accelerator",
    "get_runtime_type",
    "get_subscription",
    "load_catalog",
    "runtime_types_of",
]
