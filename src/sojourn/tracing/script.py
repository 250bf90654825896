"""Run a .py or .ipynb in a child process until its optimizers have stepped: its Trace."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import TraceError, TraceTimeoutError
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.trace import load_trace
from sojourn.script.scratch import make_scratch_copy
from sojourn.script.source import read_source
from sojourn.tracing.failures import explain_ending
from sojourn.tracing.leftovers import trace_folder
from sojourn.tracing.request import Request, read_answer
from sojourn.tracing.server import TraceServer
from sojourn.tracing.versions import check_surroundings
from sojourn.tracing.words import NO_SECRETS, Words, last_lines, printed, printed_last
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sojourn.forecast.trace import Trace
    from sojourn.progress import Progress
    from sojourn.tracing.request import StepFunction

# Optimizer steps: the first makes the optimizer's state, the second runs with it.
_STEPS = 2
# What is kept on purpose for one more step, say the last output, is gone two steps later.
_STEPS_TO_LOOK_AT = 4


def trace_script(
    script: Path,
    *,
    arguments: Sequence[str] = (),
    rules: Sequence[tuple[str, Path]] = (),
    batch_size: int | None = None,
    compute_capability: str,
    timeout_s: float,
    step: StepFunction | None = None,
    echo: bool = False,
    fetches_more: bool = False,
    progress: Progress,
) -> Trace:
    """Trace a script on a device that isn't there.

    The script runs in a scratch copy of its folder, offline; what it writes is thrown away.

    Args:
        script: A .py or .ipynb file.
        arguments: What the script gets in `sys.argv[1:]`.
        rules: (REMOTE, LOCAL): what the script opens under REMOTE is found under LOCAL.
        batch_size: Instead of what the script gives its DataLoaders, in samples.
        compute_capability: Of the card that the script is told it runs on.
        timeout_s: Seconds after which the child is ended.
        step: What to call in it, instead of running it as a script.
        echo: Pass on what the script printed.
        fetches_more: Fetch some batches more, for up to a second, to measure what they cost.
        progress: Where notes, and what is passed on, go.

    Raises:
        UsageError: there is no such script.
        MissingPackageError: torch is not installed.
        TraceError: it could not be traced, in time (TraceTimeoutError); the message names the line.
    """
    variant = Variant(compute_capability=compute_capability, changes=Changes(batch_size=batch_size))
    (traced,) = trace_variants(
        script,
        [variant],
        arguments=arguments,
        rules=rules,
        timeout_s=timeout_s,
        step=step,
        echo=echo,
        fetches_more=fetches_more,
        progress=progress,
    )
    if isinstance(traced, TraceError):
        raise traced
    return traced


def trace_variants(
    script: Path,
    variants: Sequence[Variant],
    *,
    arguments: Sequence[str] = (),
    rules: Sequence[tuple[str, Path]] = (),
    timeout_s: float,
    workers: int = 1,
    step: StepFunction | None = None,
    echo: bool = False,
    on_answer: Callable[[], None] = lambda: None,
    server: TraceServer | None = None,
    words: Words = NO_SECRETS,
    fetches_more: bool = False,
    progress: Progress,
) -> list[Trace | TraceError]:
    """Trace a script several times, each time with other changes around it.

    Args: those of `trace_script`, and these.
        variants: What to change, and for which card.
        timeout_s: Seconds that each may take; all together get as much longer as they have to wait
            for each other.
        workers: How many to trace at a time.
        on_answer: Called for each one that is done.
        server: Where to trace; one for this call only if None.
        words: How what the script says is made harmless.

    Returns:
        In the order of `variants`, the trace, or why there is none. Raises as `trace_script`, but
        not what is wrong with one variant only.
    """
    script = script.resolve()
    check_traceable(script)
    job = _Job(
        script=script, arguments=arguments, rules=rules, step=step, fetches_more=fetches_more
    )
    with trace_folder() as scratch:
        requests, notes = job.requests(variants, scratch)
        for note in words.notes(notes):
            progress.note(note)
        try:
            with contextlib.nullcontext(server) if server else TraceServer() as there:
                return _answers(there, requests, scratch, workers, timeout_s, on_answer, words)
        finally:
            if echo and (said := printed(Path(requests[0].output), words)):
                progress.note(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is traced, whatever is changed around it. Fields as the arguments of `trace_script`."""

    script: Path
    arguments: Sequence[str]
    rules: Sequence[tuple[str, Path]]
    step: StepFunction | None
    fetches_more: bool

    def requests(
        self, variants: Sequence[Variant], scratch: Path
    ) -> tuple[list[Request], Sequence[str]]:
        """Give each variant a folder of its own; return what to ask, and what was left out."""
        requests: list[Request] = []
        first_notes: Sequence[str] = ()
        for number, variant in enumerate(variants):
            own = scratch / str(number)
            folder, notes = make_scratch_copy(self.script.parent, own / "folder")
            requests.append(self._request(variant, own, folder))
            first_notes = first_notes if number else notes
        return requests, first_notes

    def _request(self, variant: Variant, own: Path, folder: Path) -> Request:
        return Request(
            target=self.script.name,
            script=str(folder / self.script.name),
            original=str(self.script.parent),
            folder=str(folder),
            writable=str(own),
            answer=str(own / "answer.json"),
            output=str(own / "output.txt"),
            arguments=tuple(self.arguments),
            rules=tuple((remote, str(local)) for remote, local in self.rules),
            batch_size=variant.changes.batch_size,
            steps=_STEPS_TO_LOOK_AT if variant.changes.looks_for_kept else _STEPS,
            compute_capability=variant.compute_capability,
            changes=variant.changes,
            step=self.step,
            fetches_more=self.fetches_more,
        )


def _answers(  # noqa: PLR0917 - all that one round with the server takes
    server: TraceServer,
    requests: list[Request],
    scratch: Path,
    workers: int,
    timeout_s: float,
    on_answer: Callable[[], None],
    words: Words,
) -> list[Trace | TraceError]:
    rounds = -(-len(requests) // workers)
    statuses = server.answer(
        requests,
        request_file=scratch / "requests.json",
        workers=workers,
        timeout_s=timeout_s * rounds,
        on_answer=on_answer,
    )
    server_words = server.last_words()
    return [
        _outcome(request, status, timeout_s, server_words, words)
        for request, status in zip(requests, statuses, strict=True)
    ]


def check_traceable(script: Path, *, any_torch: bool = True) -> None:
    """Raise if a script cannot be traced, as far as that can be told without running it.

    Args:
        script: A .py or .ipynb file.
        any_torch: Whether a version of torch will do that tracing is not tested with.

    Raises:
        UsageError: there is no such script, or torch's version will not do.
        TraceError: it is no Python, or this is not Linux.
        MissingPackageError: torch is not installed. It is not imported here.
    """
    read_source(script)
    check_surroundings(any_torch=any_torch)


def _outcome(
    request: Request, status: int | None, timeout_s: float, server_words: str, words: Words
) -> Trace | TraceError:
    """Read a request's answer. It is left already when training was seen, and again at the end."""
    try:
        answer = read_answer(Path(request.answer))
        if answer is not None and answer.trace is not None:
            return words.trace(load_trace(answer.trace))
    except TraceError as error:
        return error
    if answer is not None:
        return TraceError(words.message(answer.message), remedy=words.message(answer.remedy))
    if status is None:
        return TraceTimeoutError(
            f"{request.target} had not taken {request.steps} optimizer steps after "
            f"{format_duration(timeout_s)}.",
            remedy="Give it longer (--timeout 20m), or less to do before training: a smaller "
            "part of the data, fewer files.",
        )
    tail = printed_last(Path(request.output), words) or last_lines(server_words, words)
    return explain_ending(status, target=request.target, tail=tail)
