"""What can be rented, as frozen records: figures only, what follows from them is not computed here.

`None` means unknown (or, where the field says so, "has none"). `sources` says for each figure where
it comes from and from which day it is.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the loader reads these annotations at run time
from dataclasses import dataclass, field
from datetime import date, timedelta

YOUR_FIGURE = "your catalog.toml"
OBSERVED = "your own runs"
# Colab changed its rates about twice a year between 2022 and 2026.
STALE_AFTER = timedelta(days=180)


def first_day(as_of: str) -> date:
    """Return the first day that `2026`, `2026-09` or `2026-09-27` may mean.

    Raises:
        ValueError: the text is no such date.
    """
    return date.fromisoformat(f"{as_of}-01-01"[:10])


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a figure comes from, and its date (`YYYY-MM-DD`, or as much of it as is known).

    `is_in_overlay` tells that the user's own catalog names this source for a figure of its own.
    """

    source: str
    as_of: str | None = None
    is_in_overlay: bool = field(default=False, compare=False)

    @property
    def is_yours(self) -> bool:
        """Whether the user's own catalog gave the figure, with a source or without."""
        return self.is_in_overlay or self.source == YOUR_FIGURE

    @property
    def is_observed(self) -> bool:
        """Whether the figure was read off the user's own runs."""
        return self.source == OBSERVED

    def is_older_than(self, age: timedelta, *, today: date) -> bool:
        """Whether the figure may be older than `age`. A month or year counts from its first day."""
        if self.as_of is None:
            return False
        return today - first_day(self.as_of) > age


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One GPU or TPU chip as the framework sees it.

    `memory_bytes` is what `torch.cuda.get_device_properties(0).total_memory` says where that was
    measured. Peaks are dense, with fp32 accumulation. `compute_capability` is None for a TPU.
    """

    id: str
    name: str
    memory_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    fp32_flops_per_s: float | None = None
    tf32_flops_per_s: float | None = None
    fp16_flops_per_s: float | None = None
    bf16_flops_per_s: float | None = None
    compute_capability: str | None = None
    notes: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def is_cuda(self) -> bool:
        """Whether torch drives it through CUDA."""
        return self.compute_capability is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeType:
    """One row of a "Change runtime type" dialog: provider, accelerator and host together.

    `accelerator` is None on a CPU runtime. `host_memory_bytes`, `disk_bytes` and `vcpus` are those
    of the whole machine. `session_limit_s` is the shortest limit that a subscription with this type
    has, None where no limit is known; see `Catalog.session_limit_s`. `network_bytes_per_s` is what
    a download to the machine was seen to reach, None where nobody measured it.
    `rate_units_per_hour` is None where nobody measured it, 0 where it costs no units;
    `weekly_quota_s` is None where there is no quota. `retired` is the day it went (`YYYY-MM-DD`, or
    as much as is known), or None.
    """

    id: str
    name: str
    provider: str
    accelerator: str | None = None
    count: int = 1
    host_memory_bytes: int | None = None
    disk_bytes: int | None = None
    vcpus: int | None = None
    network_bytes_per_s: float | None = None
    session_limit_s: float | None = None
    weekly_quota_s: float | None = None
    rate_units_per_hour: float | None = None
    subscriptions: tuple[str, ...] = ()
    uses: str = ""
    availability: str = ""
    constraints: str = ""
    retired: str | None = None
    notes: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a person pays a provider, and what that brings.

    `units_per_month` is None where units are bought one by one or there are none.
    `units_expire_s` is how long bought units last. `session_limit_s` is the longest session that
    the subscription allows on any runtime type, None where the runtime type decides.
    """

    id: str
    name: str
    provider: str
    usd_per_month: float | None = None
    units_per_month: float | None = None
    usd_per_unit: float | None = None
    units_expire_s: float | None = None
    session_limit_s: float | None = None
    notes: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All that can be rented, by id."""

    accelerators: Mapping[str, Accelerator]
    runtime_types: Mapping[str, RuntimeType]
    subscriptions: Mapping[str, Subscription]

    def accelerator_of(self, runtime_type: RuntimeType) -> Accelerator | None:
        """Return the runtime type's accelerator, or None on a CPU runtime."""
        return self.accelerators[runtime_type.accelerator] if runtime_type.accelerator else None

    def session_limit_s(
        self, runtime_type: RuntimeType, subscription: Subscription | None = None
    ) -> float | None:
        """Return the longest session in seconds, None if unknown.

        Colab ties the limit to the subscription, Kaggle to the runtime type. A limit that the user
        wrote for the runtime type goes before both.
        """
        source = runtime_type.sources.get("session_limit_s")
        if (
            subscription is None
            or subscription.provider != runtime_type.provider
            or subscription.session_limit_s is None
            or (source is not None and source.is_yours)
        ):
            return runtime_type.session_limit_s
        return subscription.session_limit_s
