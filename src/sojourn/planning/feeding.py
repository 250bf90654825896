"""The input side: whether the host's processor keeps up with the accelerator.

What loading a batch costs was measured on one core of the machine that traced; a runtime type's
vCPUs are expected to be as fast, and the band allows for half and twice. Worker processes load in
parallel, as many at a time as there are vCPUs; without any, the training process loads between two
steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Range
from sojourn.units import format_count

if TYPE_CHECKING:
    from sojourn.forecast.schedule import Loading


# How long a rented vCPU takes for what a core here does in 1. Not calibrated. High: a vCPU is one
# of the two threads of a core, which share it when both are busy. Low: the machine that traced may
# be as much slower.
_VCPU = Range(low=0.5, expected=1.0, high=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What the host can load, against what the accelerator could take, for one step.

    `loading_s` is how long the host needs for a step's batches with all that load at a time,
    `device_s` the accelerator's own time for the step; both in seconds, expected. `loaders` is how
    many processes load at a time, 0 where the training process does it between steps;
    `are_vcpus_short` says whether there would be more if the host had more vCPUs.
    """

    loading_s: float
    device_s: float
    loaders: int
    are_vcpus_short: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether the accelerator waits for its data most of the time."""
        return self.loading_s > self.device_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """A step with its data, in seconds; None where that is not known, and `reason` says why."""

    step_s: Range | None
    feed: Feed | None = None
    reason: str = ""


def fed_step(device_s: Range, loading: Loading | None, *, batches: int, vcpus: int | None) -> Fed:
    """Return how long a step takes with its data.

    Args:
        device_s: The accelerator's own time for a step.
        loading: What loading was seen to cost; None where no DataLoader gave batches.
        batches: How many batches a step takes.
        vcpus: Of the runtime type's host; None if that is not known.
    """
    if loading is None or loading.seconds_per_batch <= 0:
        return Fed(step_s=device_s)
    alone_s = loading.seconds_per_batch * batches
    if not loading.workers:
        return _in_turn(device_s, alone_s)
    if vcpus is None:
        if alone_s * _VCPU.high <= device_s.low:  # even one vCPU keeps up
            return Fed(step_s=device_s)
        return Fed(
            step_s=None,
            reason=f"the job loads its data with {loading.workers} workers, and how many vCPUs the "
            "host has for them is not known",
        )
    loaders = max(1, min(loading.workers, vcpus))
    loading_s = alone_s / loaders
    feed = Feed(
        loading_s=loading_s,
        device_s=device_s.expected,
        loaders=loaders,
        are_vcpus_short=vcpus < loading.workers,
    )
    step_s = Range(
        low=max(device_s.low, loading_s * _VCPU.low),
        expected=max(device_s.expected, loading_s),
        high=max(device_s.high, loading_s * _VCPU.high),
    )
    return Fed(step_s=step_s, feed=feed)


def _in_turn(device_s: Range, loading_s: float) -> Fed:
    """Load between steps; at best while the accelerator still works off what it was given."""
    feed = Feed(loading_s=loading_s, device_s=device_s.expected, loaders=0)
    step_s = Range(
        low=max(device_s.low, loading_s * _VCPU.low),
        expected=device_s.expected + loading_s,
        high=device_s.high + loading_s * _VCPU.high,
    )
    return Fed(step_s=step_s, feed=feed)


def feed_words(feed: Feed, *, samples: int | None, accelerator: str) -> str:
    """Say what bounds the job: "input-bound: 2 vCPUs give 140 samples/s, the T4 could take 310".

    Args:
        feed: What loads, and what takes.
        samples: Of a step; where it is not known, steps are counted instead.
        accelerator: Its name.
    """
    amount, unit = (samples, "samples/s") if samples else (1, "steps/s")
    given = _rate(amount / feed.loading_s)
    could = f"could take {_rate(amount / feed.device_s)}" if feed.device_s > 0 else "only waits"
    return f"input-bound: {_who(feed)} {given} {unit}, the {accelerator} {could}"


def _who(feed: Feed) -> str:
    if not feed.loaders:
        return "loading in the training process gives"
    name = "vCPU" if feed.are_vcpus_short else "worker"
    verb = "gives" if feed.loaders == 1 else "give"
    return f"{format_count(feed.loaders, name)} {verb}"


def _rate(per_s: float) -> str:
    return f"{per_s:.0f}" if per_s >= 10 else f"{per_s:.2g}"  # noqa: PLR2004 - digits for eyes
