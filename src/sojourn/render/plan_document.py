"""A plan as the contract's JSON document `sojourn.plan/1`: what is not known is null, with why.

`reasons` gives for each key that is null the reason, beside it in the same object, or at the top of
the document for what stands in `trace`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sojourn.forecast.memory import Range
from sojourn.forecast.trace import Role

if TYPE_CHECKING:
    from sojourn.forecast.changes import Kept
    from sojourn.forecast.curve import CurvePoint, MemoryCurve
    from sojourn.forecast.memory import MemoryForecast
    from sojourn.planning.feeding import Feed
    from sojourn.planning.fit import WayToFit
    from sojourn.planning.job import JobForecast
    from sojourn.planning.option import Option
    from sojourn.planning.plan import Plan
    from sojourn.planning.ranking import Candidate

SCHEMA = "sojourn.plan/1"
# Digits after the point: microseconds, and millionths of a unit.
_DIGITS = 6


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as a JSON document."""
    trace, terms = plan.trace, plan.terms
    return {
        "schema": SCHEMA,
        "target": plan.target,
        "trace": {
            "seconds": trace.seconds,
            "steps": trace.steps,
            "batch_size": trace.batch_size,
            "samples_per_epoch": trace.samples_per_epoch,
            "torch": trace.torch,
            "assumptions": list(trace.assumptions),
            "host_memory_bytes": trace.host_memory_bytes,
            "kept": [_kept_document(kept) for kept in plan.kept],
        },
        "terms": {
            "subscription": terms.subscription.id if terms.subscription else None,
            "wallet_units": terms.wallet_units,
            "wallet_as_of": terms.wallet_as_of or None,
            "deadline_seconds": terms.deadline_s,
            "epochs": terms.epochs,
            "data_bytes": terms.data_bytes,
            "prefer": terms.prefer,
        },
        "options": [_option_document(option) for option in plan.options],
        "recommended": plan.recommended.runtime_type.id if plan.recommended else None,
        "because": plan.because,
        "better_with_a_change": _changed_document(plan.changed),
        "notes": list(plan.notes),
        "reasons": _plan_reasons(plan),
    }


def _plan_reasons(plan: Plan) -> dict[str, str]:
    reasons = {}
    if plan.trace.batch_size is None:
        reasons["trace.batch_size"] = "no DataLoader gave batches to the training loop"
    if plan.trace.samples_per_epoch is None:
        reasons["trace.samples_per_epoch"] = "no DataLoader of known length fed the training loop"
    if plan.recommended is None:
        reasons["recommended"] = plan.because
    if plan.changed is None:
        reasons["better_with_a_change"] = "no change that was traced is known to do better"
    return reasons


def _changed_document(changed: Candidate | None) -> dict[str, Any] | None:
    if changed is None or changed.way is None:
        return None
    return {
        "runtime": changed.option.runtime_type.id,
        "change": changed.way.change,
        "run_seconds": _range_document(changed.job.run_s),
        "compute_units": _range_document(changed.job.compute_units),
    }


def _kept_document(kept: Kept) -> dict[str, Any]:
    return {"line": kept.line, "holder": kept.holder or None, "step_bytes": kept.step_bytes}


def _option_document(option: Option) -> dict[str, Any]:
    host, row = option.host_memory, option.runtime_type
    rate = row.sources.get("rate_units_per_hour")
    return {
        "runtime": row.id,
        "accelerator": option.accelerator.name if option.accelerator else None,
        "verdict": option.verdict,
        "reason": option.reason or None,
        "device_memory": _memory_document(option.memory, option.curve) if option.memory else None,
        "host_memory": {
            "usable_bytes": host.usable_bytes,
            "expected_bytes": round(host.peak_bytes.expected),
            "peak_bytes": _bytes_document(host.peak_bytes),
            "by": dict(host.by_part_bytes),
            "verdict": host.verdict,
        },
        "max_batch_size": option.max_batch_size,
        "rate_units_per_hour": option.job.rate_units_per_hour,
        "rate_as_of": rate.as_of if rate else None,
        "rate_source": rate.source if rate else None,
        "session_limit_seconds": option.session_limit_s,
        "weekly_quota_seconds": row.weekly_quota_s,
        "stale": list(option.stale),
        **_job_document(option.job),
        "notes": _notes(option.job.feed_words, *option.notes),
        "ways_to_fit": [_way_document(way) for way in option.ways_to_fit],
        "reasons": _option_reasons(option),
    }


def _job_document(job: JobForecast) -> dict[str, Any]:
    return {
        "device_step_seconds": _range_document(job.device_step_s),
        "step_seconds": _range_document(job.step_s),
        "steps_per_epoch": job.steps_per_epoch,
        "epoch_seconds": _range_document(job.epoch_s),
        "epochs": job.epochs,
        "run_seconds": _range_document(job.run_s),
        "start_up_seconds": _range_document(job.start_up_s),
        "staging_seconds": _exact_document(job.staging_s),
        "checkpoint_seconds": _exact_document(job.checkpoint_s),
        "compute_units": _range_document(job.compute_units),
        "usd": _range_document(job.usd),
        "sessions": job.sessions,
        "affordable": job.affordable,
        "ends_before_deadline": job.ends_before_deadline,
        "input": _feed_document(job.feed),
        "notes": _notes(job.feed_words, *job.notes),
    }


def _notes(*notes: str) -> list[str]:
    return [note for note in notes if note]


def _feed_document(feed: Feed | None) -> dict[str, Any] | None:
    if feed is None:
        return None
    return {
        "is_bound": feed.is_bound,
        "loading_seconds": round(feed.loading_s, _DIGITS),
        "accelerator_seconds": round(feed.device_s, _DIGITS),
        "loaders": feed.loaders,
    }


def _option_reasons(option: Option) -> dict[str, str]:
    row, reasons = option.runtime_type, _job_reasons(option.job)
    if option.accelerator is None:
        reasons["accelerator"] = "it has none"
    if option.memory is None:
        reasons["device_memory"] = option.reason or "the script puts nothing on an accelerator"
    if option.host_memory.usable_bytes is None:
        reasons["host_memory.usable_bytes"] = "how much memory the host has is not known"
    if option.max_batch_size is None:
        reasons["max_batch_size"] = (
            reasons.get("device_memory") or "how the job scales with its batch size is not known"
        )
    if option.session_limit_s is None:
        reasons["session_limit_seconds"] = "no limit is known"
    if row.weekly_quota_s is None:
        reasons["weekly_quota_seconds"] = "no quota is known"
    source = row.sources.get("rate_units_per_hour")
    if source is None:
        why = reasons.get("rate_units_per_hour", "the catalog names no source")
        reasons["rate_as_of"] = reasons["rate_source"] = why
    elif source.as_of is None:
        reasons["rate_as_of"] = f"{source.source} gives no date"
    if not option.reason:
        reasons["reason"] = "there is nothing to explain"
    return dict(sorted(reasons.items()))


def _job_reasons(job: JobForecast) -> dict[str, str]:
    reasons = {key: why for key, why in job.reasons.items() if why}
    if job.device_step_s is None:
        reasons.setdefault("device_step_seconds", reasons.get("step_seconds", "not forecast"))
    if job.steps_per_epoch is None:
        why = "how many steps an epoch has is not known"
        reasons.setdefault("steps_per_epoch", reasons.get("epoch_seconds", why))
    if job.feed is None:
        reasons["input"] = "no DataLoader was seen to load, or not how fast it would here"
    return dict(sorted(reasons.items()))


def _memory_document(memory: MemoryForecast, curve: MemoryCurve | None) -> dict[str, Any]:
    by = {role.value: memory.peak.by_role_bytes[role] for role in Role}
    return {
        "usable_bytes": memory.usable_bytes,
        "peak_reserved_bytes": _bytes_document(memory.peak_reserved_bytes),
        "peak_allocated_bytes": memory.peak_allocated_bytes,
        "at": {"phase": memory.peak.phase, "line": memory.peak.line},
        "by": {**by, "context": memory.context_bytes},
        "curve": [_point_document(point) for point in curve.points] if curve else [],
        "top_lines": [
            {"line": share.line, "bytes": share.size_bytes, "role": share.role}
            for share in (curve.top_lines if curve else ())
        ],
    }


def _point_document(point: CurvePoint) -> dict[str, Any]:
    by = {role.value: size for role, size in point.by_role_bytes.items() if size}
    return {"event": point.event, "phase": point.phase, "by": by}


def _bytes_document(value: Range) -> dict[str, int]:
    return {"low": round(value.low), "expected": round(value.expected), "high": round(value.high)}


def _range_document(value: Range | None) -> dict[str, float] | None:
    if value is None:
        return None
    return {
        "low": round(value.low, _DIGITS),
        "expected": round(value.expected, _DIGITS),
        "high": round(value.high, _DIGITS),
    }


def _exact_document(value: float | None) -> dict[str, float] | None:
    """Return a forecast that has no band, as it enters those that have one, in their form."""
    return None if value is None else _range_document(Range(low=value, expected=value, high=value))


def _way_document(way: WayToFit) -> dict[str, Any]:
    document = {
        "change": way.change,
        "code": way.code,
        "verdict": way.verdict,
        "peak_reserved_bytes": _bytes_document(way.peak_reserved_bytes),
        "step_seconds": _range_document(way.step_time.step_s),
    }
    if way.job is None:
        return document | {"reasons": {"step_seconds": way.step_time.reason}}
    return document | _job_document(way.job) | {"reasons": _job_reasons(way.job)}
