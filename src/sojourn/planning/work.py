"""The work of a job: its step with data, its epoch with evaluation, and all of it, in seconds.

Start-up, data and sessions are not in it; see `job`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Range
from sojourn.planning.feeding import fed_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.forecast.step_time import StepTime
    from sojourn.forecast.trace import Trace
    from sojourn.planning.feeding import Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a job computes. What is None is not known, and `reasons` says why.

    `step_s` is a step with its data, `epoch_s` an epoch with its evaluation, `work_s` all of the
    job; `notes` say what is left out of them.
    """

    step_s: Range | None = None
    epoch_s: Range | None = None
    work_s: Range | None = None
    epochs: int | None = None
    feed: Feed | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def forecast_work(trace: Trace, time: StepTime, *, epochs: int | None, vcpus: int | None) -> Work:
    """Forecast a job's work.

    Args:
        trace: How often the script steps, and what feeding it takes.
        time: A step and a batch of evaluation, on the accelerator.
        epochs: Instead of what the script's own loop says; None if nothing was asked.
        vcpus: Of the host; None if that is not known.
    """
    schedule = trace.schedule
    planned = epochs if epochs is not None else schedule.epochs
    step_s, feed, why_not = _fed_step(trace, time, vcpus)
    if step_s is None:
        keys = ("step_seconds", "epoch_seconds", "run_seconds")
        return Work(epochs=planned, reasons=dict.fromkeys(keys, why_not) | _why(trace, planned))
    batch_s = _evaluation_batch(trace, time, vcpus)
    reasons, steps = _why(trace, planned), schedule.steps_per_epoch
    epoch_s = None
    if steps is None:
        reasons["epoch_seconds"] = schedule.reason or "how many steps an epoch has is not known"
    else:
        epoch_s = _with_evaluation(times(step_s, steps), schedule.evaluation_batches, batch_s)
    work_s = _whole(trace, step_s, epoch_s, batch_s, epochs=epochs)
    if work_s is None:
        reasons["run_seconds"] = reasons.get("epoch_seconds") or reasons["epochs"]
    return Work(
        step_s=step_s,
        epoch_s=epoch_s,
        work_s=work_s,
        epochs=planned,
        feed=feed,
        reasons=reasons,
        notes=_notes(trace, batch_s) if epoch_s is not None else (),
    )


def batches_per_step(trace: Trace) -> int:
    """Return how many batches of the DataLoader an optimizer step takes.

    As was seen; else from the lengths where they are known; else as many as backward passes.
    """
    schedule, samples, size = trace.schedule, trace.samples_per_epoch, trace.batch_size
    if schedule.batches_per_step:
        return schedule.batches_per_step
    if schedule.steps_per_epoch and samples and size:
        return max(1, round(samples / size / schedule.steps_per_epoch))
    return max(1, trace.traits.passes)


def _fed_step(
    trace: Trace, time: StepTime, vcpus: int | None
) -> tuple[Range | None, Feed | None, str]:
    if time.step_s is None:
        return None, None, time.reason or "how long a step takes is not known"
    fed = fed_step(time.step_s, trace.loading, batches=batches_per_step(trace), vcpus=vcpus)
    return fed.step_s, fed.feed, fed.reason


def _evaluation_batch(trace: Trace, time: StepTime, vcpus: int | None) -> Range | None:
    """Return the time of a batch of evaluation, which is taken to load as long as training's."""
    if time.evaluation_batch_s is None:
        return None
    fed = fed_step(time.evaluation_batch_s, trace.loading, batches=1, vcpus=vcpus)
    return fed.step_s or time.evaluation_batch_s


def _with_evaluation(training_s: Range, batches: int | None, batch_s: Range | None) -> Range:
    if not batches or batch_s is None:
        return training_s
    return plus(training_s, times(batch_s, batches))


def _whole(
    trace: Trace,
    step_s: Range,
    epoch_s: Range | None,
    batch_s: Range | None,
    *,
    epochs: int | None,
) -> Range | None:
    """Return the time of all steps and evaluations; None if not known how many there are."""
    schedule = trace.schedule
    planned = epochs if epochs is not None else schedule.epochs
    if epochs is None and schedule.total_steps is not None:
        batches = (schedule.evaluation_batches or 0) * (schedule.epochs or 0)
        work_s = _with_evaluation(times(step_s, schedule.total_steps), batches, batch_s)
    elif epoch_s is None or planned is None:
        return None
    else:
        work_s = times(epoch_s, planned)
    work_s = _with_evaluation(work_s, schedule.final_batches, batch_s)
    if schedule.is_upper_bound and epochs is None and epoch_s is not None:
        # It may end early, by a `break`, say; after an epoch it has done something.
        return Range(low=min(work_s.low, epoch_s.low), expected=work_s.expected, high=work_s.high)
    return work_s


def _why(trace: Trace, planned: int | None) -> dict[str, str]:
    """Return why the number of epochs is not known; nothing if it is."""
    if planned is not None:
        return {}
    ask = "how many epochs the script trains is not known (--epochs N)"
    reason = trace.schedule.reason
    if "--epochs" in reason:
        return {"epochs": reason}
    return {"epochs": f"{reason}; {ask}" if reason else ask}


def _notes(trace: Trace, batch_s: Range | None) -> tuple[str, ...]:
    schedule = trace.schedule
    each, final = schedule.evaluation_batches, schedule.final_batches
    if each is None and final and batch_s is not None:
        return ("evaluation between epochs is not counted, as it was not seen",)
    if each is None or (batch_s is None and (each or final)):
        return ("evaluation is not counted, as it was not seen in full",)
    return ()


def times(value: Range, factor: float) -> Range:
    """Return the forecast of something that happens so often."""
    return Range(low=value.low * factor, expected=value.expected * factor, high=value.high * factor)


def plus(first: Range, second: Range) -> Range:
    """Return the forecast of one thing after another."""
    return Range(
        low=first.low + second.low,
        expected=first.expected + second.expected,
        high=first.high + second.high,
    )
