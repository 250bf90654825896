"""The few functions that compose the parts: what the command line and a notebook call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sojourn.planning.plan import Plan
    from sojourn.progress import Progress


def plan(
    target: str | Path,
    *arguments: str,
    on: Sequence[str] = (),
    subscription: str | None = None,
    batch_size: int | None = None,
    paths: Mapping[str, str | Path] | None = None,
    timeout_s: float = 300.0,
    echo: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Say whether an unmodified training script fits each runtime type, before any is rented.

    The script runs on this machine in a scratch copy of its folder, offline, with a CUDA device
    that is not there, until its optimizers have stepped twice. Nothing is rented.

    Args:
        target: A .py or .ipynb file.
        *arguments: What the script gets in `sys.argv[1:]`.
        on: Runtime type ids to look at; all that the subscription gets if empty.
        subscription: Whose runtime types: "free", "payg", "pro", "pro+"; all if None.
        batch_size: Instead of what the script gives its DataLoaders, in samples.
        paths: What the script opens under a key is found under its value on this machine.
        timeout_s: Seconds that one pass of tracing may take; there are two to four.
        echo: Show what the script prints, through `progress`.
        progress: Where to report to.

    Raises:
        UsageError: the target or an argument cannot be meant.
        CatalogError: a runtime type is not in the catalog, or the user's overlay does not load.
        TraceError: the script could not be traced.
    """
    from sojourn.catalog import (
        default_overlay_path,
        get_runtime_type,
        load_catalog,
        runtime_types_of,
    )
    from sojourn.planning.plan import make_plan
    from sojourn.progress import NoProgress
    from sojourn.script.paths import parse_path_rule
    from sojourn.tracing.tracer import Tracer

    catalog = load_catalog(default_overlay_path())
    if on:
        runtime_types = tuple(get_runtime_type(catalog, name) for name in dict.fromkeys(on))
    else:
        runtime_types = runtime_types_of(catalog, subscription)
    rules = [parse_path_rule(f"{remote}={local}") for remote, local in (paths or {}).items()]
    tracer = Tracer(
        script=Path(target),
        arguments=arguments,
        rules=rules,
        batch_size=batch_size,
        timeout_s=timeout_s,
        echo=echo,
        progress=progress or NoProgress(),
    )
    return make_plan(
        target=str(target),
        runtime_types=runtime_types,
        catalog=catalog,
        trace_for=tracer.trace_for,
    )
