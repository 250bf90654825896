"""Find a row by its id, and the runtime types that a subscription gets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sojourn.catalog.rows import meant, near_names
from sojourn.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from sojourn.catalog.models import Accelerator, Catalog, RuntimeType, Subscription

# By what share the memory of two cards of one kind differs: drivers keep more or less of it.
_SAME_MEMORY = 0.1


def get_runtime_type(catalog: Catalog, runtime_type_id: str) -> RuntimeType:
    """Return the runtime type of that id, a retired one as well.

    Raises:
        CatalogError: there is none; the remedy names the near ones.
    """
    found = catalog.runtime_types.get(runtime_type_id)
    if found is not None:
        return found
    near = _near_runtime_types(catalog, runtime_type_id)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise CatalogError(
        f"There is no runtime type {runtime_type_id!r}.",
        remedy=f"{hint}`sojourn runtimes --all` lists them.",
    )


def _near_runtime_types(catalog: Catalog, runtime_type_id: str) -> tuple[str, ...]:
    ids = catalog.runtime_types
    # "t4" or "a100-40gb", without the provider, is what people type first.
    bare = tuple(known for known in ids if known.partition("/")[2] == runtime_type_id)
    return bare or near_names(runtime_type_id, ids)


def get_accelerator(catalog: Catalog, accelerator_id: str) -> Accelerator:
    """Return the accelerator of that id.

    Raises:
        CatalogError: there is none; the remedy names the near ones.
    """
    found = catalog.accelerators.get(accelerator_id)
    if found is None:
        raise CatalogError(
            f"There is no accelerator {accelerator_id!r}.",
            remedy=meant(accelerator_id, catalog.accelerators),
        )
    return found


def find_accelerator_of_device(
    catalog: Catalog, device: str, memory_bytes: int
) -> Accelerator | None:
    """Return the accelerator that torch calls `device` ("NVIDIA A100-SXM4-40GB"), if it is known.

    All words of its catalog name must be in that, and its memory must be about the same: cards of
    one name come with more or less of it.
    """
    said = set(_words(device))
    fitting = [
        row
        for row in catalog.accelerators.values()
        if row.is_cuda
        and row.memory_bytes is not None
        and abs(row.memory_bytes - memory_bytes) <= _SAME_MEMORY * memory_bytes
        and any(words and set(words) <= said for words in _names(row))
    ]
    return min(fitting, key=lambda row: abs((row.memory_bytes or 0) - memory_bytes), default=None)


def _names(accelerator: Accelerator) -> list[list[str]]:
    """Return the words of a card's names: `G4 (RTX PRO 6000)` has two of them."""
    without_size = re.sub(r"\b\d+ GB\b", "", accelerator.name)
    return [_words(name) for name in re.split(r"[()]", without_size)]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def get_subscription(catalog: Catalog, subscription_id: str) -> Subscription:
    """Return the subscription of that id.

    Raises:
        UsageError: there is none; the remedy names those that there are.
    """
    found = catalog.subscriptions.get(subscription_id)
    if found is None:
        raise UsageError(
            f"There is no subscription {subscription_id!r}.",
            remedy=f"Known are: {', '.join(catalog.subscriptions)}.",
        )
    return found


def runtime_types_of(
    catalog: Catalog, subscription_id: str | None, *, with_retired: bool = False
) -> tuple[RuntimeType, ...]:
    """Return the runtime types that a subscription gets, in the order of the tables.

    Args:
        catalog: Where to look.
        subscription_id: None takes all, whoever gets them.
        with_retired: Keep those that are lent no more.

    Raises:
        UsageError: there is no such subscription.
    """
    if subscription_id is not None:
        get_subscription(catalog, subscription_id)
    return tuple(
        runtime_type
        for runtime_type in catalog.runtime_types.values()
        if (subscription_id is None or subscription_id in runtime_type.subscriptions)
        and (with_retired or runtime_type.retired is None)
    )
