"""How long one optimizer step takes on an accelerator, as a forecast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.forecast.memory import Range

# What tracing notes of a script that bears on its time, word for word as it is shown.
TRACED_AS_EAGER = "torch.compile is traced as eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds that the accelerator needs for one optimizer step, and for one batch of evaluation.

    Both are None where that is unknown; `reason` then says why. `by_family_s` is what the expected
    step is made of, by the family of its kernels, in seconds; loading data is not in it.
    """

    step_s: Range | None
    evaluation_batch_s: Range | None = None
    by_family_s: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
