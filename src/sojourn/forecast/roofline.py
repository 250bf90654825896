"""Step time of a trace on an accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.forecast.step_time import StepTime

if TYPE_CHECKING:
    from sojourn.catalog.models import Accelerator
    from sojourn.forecast.trace import Trace


def forecast_step(trace: Trace, accelerator: Accelerator) -> StepTime:  # noqa: ARG001
    """Return how long a step takes on the accelerator; unknown so far."""
    return StepTime(step_s=None, reason="step time is not known")
