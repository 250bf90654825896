"""A plan from beginning to end: what is asked for, traced or read back, forecast and ranked.

What is on this machine comes in here: the user's catalog and ledger, the script or its saved
traces, the day. `planning` gets numbers only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.catalog import (
    default_overlay_path,
    get_runtime_type,
    get_subscription,
    load_catalog,
    runtime_types_of,
)
from sojourn.errors import UsageError
from sojourn.forecast.correction import job_key
from sojourn.forecast.roofline import forecast_step
from sojourn.forecast.saved import SINCE_AMPERE
from sojourn.planning.plan import make_plan
from sojourn.planning.terms import Preference, Terms, check_terms
from sojourn.planning.wallet import newest_balance, with_balance, with_observed_rates
from sojourn.redact import secret_values
from sojourn.runs.corrections import default_corrections_path, load_corrections
from sojourn.runs.ledger import default_ledger_path, read_ledger
from sojourn.script.elsewhere import found_elsewhere
from sojourn.script.paths import parse_path_rules
from sojourn.script.source import read_source
from sojourn.tracing.saved_file import (
    Recording,
    check_trace_file,
    is_trace_file,
    load_trace_file,
)
from sojourn.tracing.script import check_traceable
from sojourn.tracing.server import TraceServer
from sojourn.tracing.step import parse_step
from sojourn.tracing.tracer import Tracer
from sojourn.tracing.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sojourn.catalog import Catalog, RuntimeType
    from sojourn.forecast.saved import SavedTraces
    from sojourn.planning.plan import Plan
    from sojourn.progress import Progress

# Files of a data set that are looked at for their sizes; more would take longer than tracing.
_MOST_FILES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is to be planned, and under which terms. See `sojourn.plan` for what each means."""

    target: str | Path | None = None
    arguments: tuple[str, ...] = ()
    step: str | Callable[..., object] | None = None
    batch: str | Callable[..., object] | None = None
    on: Sequence[str] = ()
    subscription: str | None = None
    batch_size: int | None = None
    paths: Mapping[str, str | Path] | None = None
    timeout_s: float = 300.0
    any_torch: bool = False
    echo: bool = False
    wallet: float | None = None
    epochs: int | None = None
    deadline_s: float | None = None
    prefer: str = Preference.CHEAPEST
    data_bytes: int | None = None
    save_trace: str | Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    """What a request is reckoned with, whatever its traces. `notes` are about these figures."""

    catalog: Catalog
    runtime_types: tuple[RuntimeType, ...]
    terms: Terms
    today: date
    notes: tuple[str, ...]


def plan_job(request: PlanRequest, progress: Progress) -> Plan:
    """Make the plan that is asked for.

    Raises:
        UsageError: the request cannot be meant.
        CatalogError: a runtime type is not in the catalog, or the user's overlay does not load.
        TraceError: the script could not be traced, or its saved traces not be read.
        IntegrityError: the ledger is damaged.
    """
    terms = _terms(request)
    saved = _saved_target(request)
    if saved is not None:
        return _plan_saved(saved, _means(request, terms), progress)
    script, function = parse_step(request.target, request.step, request.batch)
    means = _means(request, terms)
    means = replace(means, notes=(*means.notes, *_argument_notes(script, request.arguments)))
    check_traceable(script, any_torch=request.any_torch)
    if request.save_trace is not None:
        check_trace_file(Path(request.save_trace))
    rules = parse_path_rules(request.paths or {})
    if terms.data_bytes is None and rules:
        means = _with_data_bytes(means, size_below(local for _, local in rules))
    with TraceServer() as server:
        tracer = Tracer(
            script=script,
            step=function,
            arguments=request.arguments,
            rules=rules,
            batch_size=request.batch_size,
            timeout_s=request.timeout_s,
            echo=request.echo,
            progress=progress,
            server=server,
            capabilities=_capabilities(means),
            words=Words(secrets=secret_values(os.environ)),
        )
        target = str(script) if function is None else f"{script}:{function.function}"
        recording = Recording(tracer)
        # A probe takes steps of a script, not of a function.
        job = "" if function is not None else _job(script, request, recording, means)
        plan = _plan_with(recording, target, means, job)
        if request.save_trace is not None:
            data_bytes = means.terms.data_bytes
            recording.save(Path(request.save_trace), target, data_bytes=data_bytes, job=job)
        return plan


def _argument_notes(script: Path, arguments: Sequence[str]) -> list[str]:
    try:
        here = Path.cwd()
    except OSError:  # it is gone
        return []
    return found_elsewhere(arguments, here=here, script=script.resolve())


def _job(script: Path, request: PlanRequest, recording: Recording, means: _Means) -> str:
    """Return what tells this job from others: its text, its arguments and its batch size."""
    capability = next(iter(_capabilities(means)), SINCE_AMPERE)
    batch_size = recording.trace_for(capability).trace.batch_size
    return job_key(read_source(script).code, request.arguments, batch_size)


def _plan_saved(path: Path, means: _Means, progress: Progress) -> Plan:
    """Plan from traces that were saved; nothing is run, and torch is not needed."""
    saved = load_trace_file(path)
    if means.terms.data_bytes is None:
        means = _with_data_bytes(means, saved.data_bytes)
    plan = _plan_with(saved, saved.target, means, saved.job)
    if saved.missing:
        progress.note(
            f"{saved.missing} changes or batch sizes were not traced before {path.name} was saved, "
            "and are left out; planning the script itself tries them."
        )
    return plan


def _plan_with(traces: Recording | SavedTraces, target: str, means: _Means, job: str) -> Plan:
    kept = load_corrections(default_corrections_path()) if job else ()
    return make_plan(
        target=target,
        runtime_types=means.runtime_types,
        catalog=means.catalog,
        trace_for=traces.trace_for,
        retrace=traces.retrace,
        forecast_step=forecast_step,
        terms=means.terms,
        today=means.today,
        corrections={one.accelerator: one for one in kept if one.job == job},
        notes=means.notes,
    )


def _terms(request: PlanRequest) -> Terms:
    if request.prefer not in set(Preference):
        raise UsageError(
            f"{request.prefer!r} is no preference.", remedy='Write "cheapest" or "fastest".'
        )
    return check_terms(
        Terms(
            epochs=request.epochs,
            wallet_units=request.wallet,
            deadline_s=request.deadline_s,
            prefer=Preference(request.prefer),
            data_bytes=request.data_bytes,
        )
    )


def _saved_target(request: PlanRequest) -> Path | None:
    """Return the file of saved traces that is to be planned; None where it is a script.

    Raises:
        UsageError: something is asked that saved traces cannot tell any more.
    """
    if request.target is None or not is_trace_file(Path(request.target)):
        return None
    beside_the_point = {
        "arguments for the script": request.arguments,
        "--step": request.step,
        "--batch": request.batch,
        "--batch-size": request.batch_size,
        "--path": request.paths,
        "--save-trace": request.save_trace,
    }
    for name, value in beside_the_point.items():
        if value:
            raise UsageError(
                f"{Path(request.target).name} holds traces that were made already, so that {name} "
                "cannot change them.",
                remedy="Leave that out, or plan the script itself.",
            )
    return Path(request.target)


def _means(request: PlanRequest, terms: Terms) -> _Means:
    today = datetime.now(UTC).date()
    entries = read_ledger(default_ledger_path())
    own = load_catalog(default_overlay_path())
    catalog, rate_notes = with_observed_rates(own, entries, today=today)
    # One id is as easily given by itself, and is a sequence of letters.
    on = (request.on,) if isinstance(request.on, str) else request.on
    chosen = _chosen_runtime_types(catalog, on, request.subscription)
    if request.subscription is not None:
        terms = replace(terms, subscription=get_subscription(catalog, request.subscription))
    notes = [f"{row.id}: {rate_notes[row.id]}" for row in chosen if row.id in rate_notes]
    if terms.wallet_units is None and (balance := newest_balance(entries)) is not None:
        terms, note = with_balance(terms, balance, today=today)
        notes.insert(0, note)
    return _Means(
        catalog=catalog, runtime_types=chosen, terms=terms, today=today, notes=tuple(notes)
    )


def _with_data_bytes(means: _Means, data_bytes: int | None) -> _Means:
    return replace(means, terms=replace(means.terms, data_bytes=data_bytes))


def size_below(places: Iterable[Path], *, most_files: int = _MOST_FILES) -> int | None:
    """Return the bytes of all files at or below some places; None where there are too many.

    A place may be a link; links below it are not followed into folders.
    """
    total, waiting, seen = 0, [place.resolve() for place in places], 0
    while waiting:
        place = waiting.pop()
        try:
            if place.is_dir() and not place.is_symlink():
                waiting += place.iterdir()
            else:
                total += place.stat().st_size
        except OSError:
            continue  # what cannot be looked at is not brought either
        seen += 1
        if seen > most_files:
            return None
    return total


def _capabilities(means: _Means) -> list[str]:
    cards = (means.catalog.accelerator_of(row) for row in means.runtime_types)
    return [card.compute_capability for card in cards if card and card.compute_capability]


def _chosen_runtime_types(
    catalog: Catalog, on: Sequence[str], subscription: str | None
) -> tuple[RuntimeType, ...]:
    """Return the runtime types that are named, or all that the subscription gets.

    Raises:
        CatalogError: one is not in the catalog.
        UsageError: there is no such subscription, or it does not get one that is named.
    """
    if subscription is not None:
        get_subscription(catalog, subscription)
    available = runtime_types_of(catalog, subscription)
    if not on:
        return tuple(row for row in available if row.subscriptions)
    chosen = tuple(get_runtime_type(catalog, name) for name in dict.fromkeys(on))
    for row in chosen if subscription is not None else ():
        if row not in available:
            who = ", ".join(row.subscriptions) or "nobody any more"
            raise UsageError(
                f"{row.id} is not lent to the subscription {subscription}; who gets it: {who}.",
                remedy=f"Leave out --on {row.id}, or name another --subscription.",
            )
    return chosen
