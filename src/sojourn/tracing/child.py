"""The process in which a user's script runs until its optimizers have stepped.

It is split off from the server that imported torch (see `server`). Everything is for its life only:
torch and the standard library are changed in ways that nobody else should see.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sojourn.errors import SojournError, TraceError
from sojourn.forecast.trace import Trace, dump_trace
from sojourn.localpath import read_file
from sojourn.script.confine import (
    adopt_orphans,
    confine_writes,
    end_with_parent,
    writable_devices,
)
from sojourn.script.main_module import make_main
from sojourn.script.source import ScriptSource, read_source
from sojourn.tracing.exits import explain_exit
from sojourn.tracing.failures import (
    NO_ROOM_STATUS,
    brief,
    explain,
    explain_fault,
)
from sojourn.tracing.processes import Processes
from sojourn.tracing.request import Answer, Request, read_requests
from sojourn.tracing.versions import is_tested
from sojourn.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.forecast.schedule import Schedule
    from sojourn.tracing.evaluation import Evaluation
    from sojourn.tracing.hooks import Loaders, Steps
    from sojourn.tracing.missing import Missing
    from sojourn.tracing.recorder import Recorder
    from sojourn.tracing.schedule import ScheduleWatch
    from sojourn.tracing.unwritten import Unwritten


_COMPILER_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
# Of what a script printed, enough for its last line.
_LAST_WORDS_BYTES = 64 * 1024
# What a trace imports, and what torch's FakeTensorMode does when it is made.
_IMPORTED_ONCE = (
    *("changes", "cuda_api", "device", "dispatch", "evaluation", "hooks", "host_use", "kernels"),
    *("kernel_log", "kernel_work", "recorder", "schedule", "unwritten"),
)


# A script may replace it.
_exit = os._exit


def main() -> None:
    """Answer requests as their files' names come in on standard input, until it ends."""
    end_with_parent(signal.SIGKILL)
    adopt_orphans()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    typed_in = _folder_here()
    processes = Processes(replies, lambda request: _answer(replace(request, typed_in=typed_in)))
    signal.signal(signal.SIGTERM, lambda *_: processes.end())
    first = sys.stdin.readline()
    if not first:
        # Whoever started this was interrupted meanwhile, and has removed the folder already.
        return
    # torch's compiler makes its folder when it is imported, and leaves it there.
    os.environ[_COMPILER_FOLDER] = sys.argv[1]
    for name in _IMPORTED_ONCE:
        importlib.import_module(f"sojourn.tracing.{name}")
    importlib.import_module("torch._dynamo")
    # What is there by now stays; a process need not look through it, nor copy it to count it.
    gc.freeze()
    for line in itertools.chain([first], iter(sys.stdin.readline, "")):
        requests, workers = read_requests(Path(line.rstrip("\n")))
        replies.write(json.dumps(processes.answer(requests, workers)) + "\n")
        replies.flush()


def _folder_here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it is gone
        return ""


def _answer(request: Request) -> NoReturn:
    # Before there are threads, which would stay unconfined.
    guarded = [Path(request.original), *(Path(local) for _, local in request.rules)]
    confine_writes([Path(request.writable), *writable_devices(guarded=guarded)])
    try:
        _finish(request, Answer(trace=dump_trace(_trace(request))))
    except SojournError as error:
        _finish(request, Answer(message=error.message, remedy=error.remedy))
    except BaseException as error:  # noqa: BLE001 - the script may have broken anything around it
        message, remedy = explain_fault(error, target=request.target)
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        _finish(request, Answer(message=message, remedy=remedy))


def _finish(request: Request, answer: Answer) -> NoReturn:
    status = NO_ROOM_STATUS
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer.write(Path(request.answer))
        status = 0
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Fake tensors die in no particular order at interpreter shutdown; there is nothing to
        # clean up. Whatever fails here could not be told either.
        _exit(status)


def _trace(request: Request) -> Trace:
    import torch

    from sojourn.tracing.changes import Changed
    from sojourn.tracing.cuda_api import install_cuda_api
    from sojourn.tracing.device import install_fake_cuda
    from sojourn.tracing.dispatch import FakeCudaMode
    from sojourn.tracing.evaluation import Evaluation
    from sojourn.tracing.hooks import Loaders, Steps, install_hooks
    from sojourn.tracing.host_use import HostWatch
    from sojourn.tracing.kernels import Kernels
    from sojourn.tracing.leaving import Leaving
    from sojourn.tracing.recorder import Recorder
    from sojourn.tracing.schedule import ScheduleWatch
    from sojourn.tracing.unwritten import Unwritten

    started = time.monotonic()
    source = read_source(Path(request.script))
    make_main(request.script)
    label = _labeller(source, Path(request.folder))
    recorder = Recorder(label)
    install_fake_cuda(torch)
    kernels = Kernels(recorder, request.compute_capability).install()
    unwritten = Unwritten()
    unwritten.install()
    mode = FakeCudaMode(recorder, kernels, unwritten)
    install_cuda_api(recorder, request.compute_capability)
    steps = Steps(wanted=request.steps)
    loaders = Loaders(override=request.batch_size, keeps_epoch_of=request.changes.keeps_epoch_of)
    changed = Changed(request.changes, recorder, request.steps)
    texts = {source.filename: source.code}
    watch = ScheduleWatch(label, texts, lambda: evaluation.is_training_over)
    watch.install()
    evaluation = Evaluation(
        recorder,
        steps,
        lambda: _keep_training(request, result()),
        on_next_batch=changed.see_next_batch,
        on_training_over=lambda: leaving.begin(watch.loops_around_training()),
        is_followed=request.step is None,
    )
    leaving = Leaving(label, evaluation.leave_training)
    leaving.install()
    install_hooks(recorder, steps, loaders, evaluation)
    missing = _install_stand_ins(recorder, unwritten)
    host = HostWatch()
    host.install()
    _prepare_surroundings(request, source, recorder)
    host.begin()

    def result() -> Trace:
        evaluation.settle()
        schedule = _schedule(watch, evaluation, source, recorder, is_at_end=not steps.is_stopped)
        trace = _result(request, steps, loaders, recorder, time.monotonic() - started)
        # Where the script runs for real, its parameters are built on the host with their values.
        host_memory_bytes = trace.host_memory_bytes + unwritten.peak_bytes
        trace = replace(
            trace,
            host_memory_bytes=host_memory_bytes,
            host=host.use(),
            schedule=schedule,
            loading=watch.batches.loading(host.workers_of),
        )
        return changed.noted_in(trace)

    # A script that catches everything goes on past the end; it is ended on the spot then.
    steps.when_ignored = lambda: _finish(request, Answer(trace=dump_trace(result())))
    with mode:
        _run(source, request, recorder, steps, evaluation, loaders=loaders, missing=missing)
    return _with_more_batches(request, result(), watch)


def _with_more_batches(request: Request, trace: Trace, watch: ScheduleWatch) -> Trace:
    """Measure what a batch costs, now that the trace is there."""
    if trace.loading is None or not request.fetches_more:
        return trace
    # Whatever happens from here on, there is an answer.
    signal.setitimer(signal.ITIMER_REAL, 0)
    Answer(trace=dump_trace(trace)).write(Path(request.answer))
    return replace(trace, loading=watch.batches.fetch_more(trace.loading))


def _schedule(
    watch: ScheduleWatch,
    evaluation: Evaluation,
    source: ScriptSource,
    recorder: Recorder,
    *,
    is_at_end: bool,
) -> Schedule:
    is_missed = evaluation.is_missed(source.code)
    if is_missed:
        recorder.assume("no evaluation pass was reached: its memory is not in the plan")
    schedule, notes = watch.schedule(
        has_missed_evaluation=is_missed or not evaluation.is_training_over,
        is_at_end=is_at_end,
    )
    for note in notes:
        recorder.assume(note)
    return schedule


def _install_stand_ins(recorder: Recorder, unwritten: Unwritten) -> Missing:
    """Change what libraries do that cannot be done here; returns what then was not at hand."""
    from sojourn.tracing.bitsandbytes_stand_in import install_bitsandbytes, quantize_model
    from sojourn.tracing.longest import LongestBatches
    from sojourn.tracing.missing import Missing
    from sojourn.tracing.pretrained import Pretrained
    from sojourn.tracing.torchvision_ops import tolerate_torchvision

    LongestBatches(recorder).install()
    missing = Missing()
    missing.install()
    Pretrained(recorder, unwritten, quantize_model).install()
    install_bitsandbytes(recorder)
    tolerate_torchvision(recorder)
    return missing


def _keep_training(request: Request, trace: Trace) -> None:
    """Write an answer that holds if the script now ends its process, or never ends."""
    unseen = "what the script does after training was not seen: it did not come to an end by itself"
    trace = replace(trace, assumptions=(*trace.assumptions, unseen))
    Answer(trace=dump_trace(trace)).write(Path(request.answer))


def _result(
    request: Request, steps: Steps, loaders: Loaders, recorder: Recorder, seconds: float
) -> Trace:
    import torch

    from sojourn.tracing.host_use import peak_bytes

    _check_ended_well(request, steps, loaders, recorder)
    if not is_tested(torch.__version__):
        recorder.assume(f"torch {torch.__version__} does as those do that tracing is tested with")
    batch_size = _actual_batch_size(loaders)
    if loaders.batch_size is not None and batch_size != loaders.batch_size:
        recorder.assume(
            f"the data set holds {loaders.samples} samples, fewer than a batch of "
            f"{loaders.batch_size}"
        )
    return Trace(
        target=request.target,
        torch=torch.__version__.partition("+")[0],
        steps=steps.count,
        seconds=round(seconds, 3),
        host_memory_bytes=peak_bytes(),
        batch_size=batch_size,
        samples_per_epoch=loaders.samples,
        is_batch_size_known_to_loader=loaders.batch_size is not None,
        compute_capability=request.compute_capability,
        asked_capability=recorder.asked_capability,
        assumptions=tuple(recorder.assumptions),
        events=recorder.events(),
        step_kernels=recorder.kernels.last_step(),
        evaluation_kernels=recorder.kernels.evaluation_batch(),
    )


def _labeller(source: ScriptSource, folder: Path) -> Callable[[str, int], str | None]:
    """Return what names a line of the user's own code, and gives None for everybody else's."""
    prefix = f"{folder}{os.sep}"

    def label(filename: str, line: int) -> str | None:
        if filename == source.filename:
            return source.label(line)
        return f"{filename.removeprefix(prefix)}:{line}" if filename.startswith(prefix) else None

    return label


def _prepare_surroundings(request: Request, source: ScriptSource, recorder: Recorder) -> None:
    """Make the script believe it is where it was written for, and keep it from doing harm."""
    from sojourn.script.colab import install_colab
    from sojourn.script.paths import PathMap, default_rules
    from sojourn.script.quiet import block_network, skip_commands

    folder = Path(request.folder)
    for skipped in source.skipped:
        recorder.assume(f"not run: {skipped}")
    sys.argv = [request.script, *request.arguments]
    sys.path.insert(0, request.folder)
    os.chdir(folder)
    install_colab(recorder.assumptions)
    block_network(recorder.assumptions, os.environ)
    skip_commands(
        recorder.assumptions, lambda frame: frame.f_code.co_filename.startswith(request.folder)
    )
    rules = [(remote, Path(local)) for remote, local in request.rules]
    writable = Path(request.writable)
    temporary = writable / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = os.environ[_COMPILER_FOLDER] = str(temporary)
    # No folder but the scratch is free to be written in, the machine's temporary one included:
    # the script's own folder may lie there.
    PathMap([*rules, *default_rules(folder)], writable=writable, free=[]).install()


def _run(
    source: ScriptSource,
    request: Request,
    recorder: Recorder,
    steps: Steps,
    evaluation: Evaluation,
    *,
    loaders: Loaders,
    missing: Missing,
) -> None:
    """Run the script as `__main__`, or its step, until it ends or has been seen enough of.

    Raises:
        TraceError: it failed; the message names the line.
    """
    from sojourn.tracing.hooks import StopTrace
    from sojourn.tracing.step import run_step

    try:
        if request.step is None:
            names = vars(sys.modules["__main__"])
            exec(source.compiled_with_exits(), names)  # noqa: S102 - running the user's script is the job
        else:
            run_step(
                source,
                request.step,
                batch_size=request.batch_size,
                recorder=recorder,
                steps=steps,
                loaders=loaders,
            )
    except StopTrace:
        pass
    except SojournError:
        raise
    except SystemExit as ending:
        if steps.count == 0 and ending.code not in {None, 0}:
            raise _exit_error(ending.code, request) from ending
    except BaseException as error:
        # Without this function's own line, which is none of the script's.
        own = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, own or error.__traceback__)
        if evaluation.has_left_training:
            # Further than training is a bonus: an empty list of losses, say, is no news.
            steps.is_stopped = True
            return
        if evaluation.is_training_over:
            evaluation.settle()
            recorder.assume(
                f"after training the script failed: {brief(error)}; its loops were cut short "
                f"({evaluation.cuts()}), which may be why"
            )
            return
        if steps.count and not _is_own(error, recorder):
            seen = format_count(steps.count, "optimizer step")
            recorder.assume(f"the script failed after {seen}: {brief(error)}")
            return
        raise _failure(error, source, request, missing) from error


def _exit_error(code: object, request: Request) -> TraceError:
    printed = ""
    # The script may have closed its output, or put something else into its place.
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        printed = read_file(
            Path(request.output), last_bytes=_LAST_WORDS_BYTES, follow_links=False
        ).decode("utf-8", "replace")
    message, remedy = explain_exit(code, printed=printed, target=request.target)
    return TraceError(message, remedy=remedy)


def _is_own(error: BaseException, recorder: Recorder) -> bool:
    """Whether an error between two steps is the script's, and would come on a card as well.

    Otherwise it may be of what tracing made up, a metric of zeros, say, or a mask that selects
    everything; or of what is not on this machine: the network, files, packages.
    """
    if isinstance(error, (TypeError, NameError, AttributeError)):
        return True
    if isinstance(error, RuntimeError):
        return not recorder.has_made_up_sizes
    is_of_machine = isinstance(error, (OSError, EOFError, ImportError, MemoryError))
    return isinstance(error, Exception) and not is_of_machine and not recorder.has_made_up_values


def _failure(
    error: BaseException, source: ScriptSource, request: Request, missing: Missing
) -> TraceError:
    label = _labeller(source, Path(request.folder))
    frames = [label(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    line = next((name for name in reversed(frames) if name), request.target)
    reason = missing.find(error)
    if reason is not None:
        return TraceError(f"{line}: {reason[0]}", remedy=reason[1])
    places = [place for place in (request.typed_in, request.original) if place]
    message, remedy = explain(error, line=line, target=request.target, places=places)
    return TraceError(message, remedy=remedy)


def _check_ended_well(request: Request, steps: Steps, loaders: Loaders, recorder: Recorder) -> None:
    if steps.count == 0:
        raise TraceError(
            f"{request.target} ran to its end without an optimizer step, so there is no training "
            "step to plan.",
            remedy="Plan the script that trains: one that calls optimizer.step() of a "
            "torch.optim optimizer. If it trains only with arguments, give them after `--`.",
        )
    if steps.count < request.steps:
        recorder.assume(f"the script ended after {format_count(steps.count, 'optimizer step')}")
    if request.batch_size is not None and not loaders.overridden:
        raise TraceError(
            f"{request.target} makes its batches without a DataLoader that has a batch size, so "
            "--batch-size changes nothing.",
            remedy="Set the batch size in the script or through its own arguments after `--`.",
        )


def _actual_batch_size(loaders: Loaders) -> int | None:
    """Return the size of the batches that were seen: a short data set gives shorter ones."""
    batch_size = loaders.batch_size
    if batch_size is None:
        return loaders.first_dimension
    is_short = loaders.samples and not loaders.repeated
    return min(batch_size, loaders.samples or batch_size) if is_short else batch_size


if __name__ == "__main__":
    main()
