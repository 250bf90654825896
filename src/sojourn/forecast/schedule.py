"""How often a job does what was traced once, and what feeding it takes.

Seen while tracing; what was not seen is None, and `reason` says why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """What one batch of the training loop costs the processor of the machine that traced.

    `seconds_per_batch` is that of one process on one core, over `measured_batches` batches;
    `workers` is how many processes the script asks for, 0 where it loads in its own.
    """

    seconds_per_batch: float
    measured_batches: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How many steps a job takes.

    `steps_per_epoch` counts optimizer steps, `evaluation_batches` the batches of the evaluation
    that follows each epoch (where one follows only every few, their share), `final_batches` those
    of the evaluation that follows the last epoch once. `total_steps` is given where the job ends
    after a number of steps that is not a whole number of epochs; `epochs` is then rounded up.
    `batches_per_step` is how many micro-batches make up a step. Where `is_upper_bound`, the script
    may end earlier: it has a `break`, say.
    """

    steps_per_epoch: int | None = None
    epochs: int | None = None
    evaluation_batches: int | None = None
    reason: str = ""
    total_steps: int | None = None
    final_batches: int | None = None
    batches_per_step: int | None = None
    is_upper_bound: bool = False


UNKNOWN_SCHEDULE = Schedule()
