"""A probe from the request on: what stands on this machine comes in here.

The user's catalog, the script, the day and the file of corrections are looked up; `runs.probing`
measures, forecasts and keeps the difference.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.catalog import default_overlay_path, load_catalog
from sojourn.forecast.roofline import forecast_step
from sojourn.redact import secret_values
from sojourn.runs.corrections import default_corrections_path
from sojourn.runs.probing import probe_job
from sojourn.script.paths import parse_path_rules
from sojourn.script.source import read_source
from sojourn.tracing.probe import STEPS, probe_script
from sojourn.tracing.script import check_traceable, trace_script
from sojourn.tracing.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sojourn.forecast.correction import Measured, ProbeReport
    from sojourn.forecast.trace import Trace
    from sojourn.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeJob:
    """What is to be probed. See `sojourn.probe` for what each field means."""

    target: str | Path
    arguments: tuple[str, ...] = ()
    paths: Mapping[str, str | Path] = field(default_factory=dict)
    timeout_s: float
    any_torch: bool = False
    echo: bool = False

    @property
    def script(self) -> Path:
        """The file that is to be run."""
        return Path(self.target)


def probe_target(job: ProbeJob, progress: Progress) -> ProbeReport:
    """Take real steps of a script on this machine's GPU, and keep what the forecast missed.

    Raises:
        UsageError: the request cannot be meant.
        CatalogError: the user's overlay does not load.
        MissingPackageError: torch is not installed.
        TraceError: there is no GPU, or the script failed or took no step.
    """
    rules = parse_path_rules(job.paths)
    catalog = load_catalog(default_overlay_path())
    code = read_source(job.script).code
    check_traceable(job.script, any_torch=job.any_torch)
    return probe_job(
        target=str(job.target),
        code=code,
        arguments=job.arguments,
        steps=STEPS,
        measure=lambda: _measure(job, rules, progress),
        trace_for=lambda capability: _trace(job, rules, capability, progress),
        step_time_for=lambda trace, card: forecast_step(trace, card).step_s,
        catalog=catalog,
        corrections=default_corrections_path(),
        today=datetime.now(UTC).date(),
    )


def _measure(job: ProbeJob, rules: list[tuple[str, Path]], progress: Progress) -> Measured:
    return probe_script(
        job.script,
        arguments=job.arguments,
        rules=rules,
        timeout_s=job.timeout_s,
        echo=job.echo,
        words=Words(secrets=secret_values(os.environ)),
        progress=progress,
    )


def _trace(
    job: ProbeJob, rules: list[tuple[str, Path]], compute_capability: str, progress: Progress
) -> Trace:
    return trace_script(
        job.script,
        arguments=job.arguments,
        rules=rules,
        compute_capability=compute_capability,
        timeout_s=job.timeout_s,
        progress=progress,
    )
