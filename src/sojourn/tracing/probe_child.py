"""The process in which a user's script really runs, on a real device, for some optimizer steps.

What is measured is read through a `Meter`, so that what is around it can be tried without a card.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import signal
import statistics
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import dataloader

from sojourn.errors import SojournError, TraceError
from sojourn.forecast.correction import Measured
from sojourn.script.confine import end_with_parent
from sojourn.script.main_module import make_main
from sojourn.script.source import ScriptSource, read_source
from sojourn.tracing.failures import brief
from sojourn.tracing.probe_request import (
    TIME_IS_UP_STATUS,
    ProbeAnswer,
    ProbeRequest,
    read_probe_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Steps that are not counted: cuDNN tries algorithms, compilers compile, the allocator grows.
_WARM_UP = 5
# At the least so many steps are left of which the median is taken.
_LEAST_STEPS = 3
# Services that keep a record of a run must not be told of this one.
_ENVIRONMENT = {"WANDB_MODE": "disabled", "NEPTUNE_MODE": "debug", "MPLBACKEND": "Agg"}

# Where what is fetched or compiled is kept for the next time, in the home folder.
_CACHES = (".cache", ".nv", ".triton")

# A script may replace it.
_exit = os._exit


class StopProbe(BaseException):
    """Enough was measured. Not an Exception, which scripts that go on whatever happens catch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that can be measured: its name and total memory as torch gives them."""

    name: str
    memory_bytes: int
    compute_capability: str


class Meter(Protocol):
    """What measures a device. Nothing of it is called before the script has taken a step."""

    def find_device(self) -> Device | None:
        """Return the device, None if there is none. Called in a process of its own."""

    def mark(self) -> Any:
        """Note that the work given to the device so far ends here."""

    def seconds_between(self, marks: Sequence[Any]) -> list[float]:
        """Return the seconds from each mark to the next, once the device has got that far."""

    def peak_bytes(self) -> tuple[int, int]:
        """Return the most that was reserved, and the most that was allocated."""


class CudaMeter:
    """Measures with CUDA's own events, which need no waiting between steps."""

    def find_device(self) -> Device | None:
        """Return the first card that torch sees."""
        if not torch.cuda.is_available():
            return None
        card = torch.cuda.get_device_properties(0)
        return Device(
            name=card.name,
            memory_bytes=card.total_memory,
            compute_capability=f"{card.major}.{card.minor}",
        )

    def mark(self) -> Any:
        """Record an event."""
        if not torch.cuda.is_initialized():
            raise TraceError(
                "The script takes its steps without the GPU, so there is nothing to measure.",
                remedy="Move its model and batches to the device (.cuda(), .to('cuda')), or run "
                "it where no GPU is paid for.",
            )
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds_between(self, marks: Sequence[Any]) -> list[float]:
        """Return what passed on the device."""
        torch.cuda.synchronize()
        pairs = itertools.pairwise(marks)
        return [first.elapsed_time(second) / 1000 for first, second in pairs]

    def peak_bytes(self) -> tuple[int, int]:
        """Return what the card has most of, where there are several."""
        cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
        reserved = max((torch.cuda.max_memory_reserved(card) for card in cards), default=0)
        allocated = max((torch.cuda.max_memory_allocated(card) for card in cards), default=0)
        return reserved, allocated


class Probe:
    """Counts steps, and ends the script after enough of them."""

    def __init__(self, request: ProbeRequest, device: Device, meter: Meter) -> None:
        self._request = request
        self._device = device
        self._meter = meter
        self._marks: list[Any] = []
        self._waited_s: list[float] = []
        self._waiting_s = 0.0
        self._first: Any = None
        self._started = time.monotonic()
        self._progress = os.open(request.progress, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self._marks)

    def install(self) -> None:
        """Watch for the rest of the process."""
        iterator_class: Any = dataloader._BaseDataLoaderIter  # noqa: SLF001 - of all iterators
        next_batch = iterator_class.__next__

        @functools.wraps(next_batch)
        def following(iterator: Any) -> Any:
            before = time.perf_counter()
            try:
                return next_batch(iterator)
            finally:
                self._waiting_s += time.perf_counter() - before

        iterator_class.__next__ = following
        register_optimizer_step_post_hook(self._end_step)

    def measured(self, *, fits: bool = True) -> Measured:
        """Return what was measured so far."""
        seconds = self._meter.seconds_between(self._marks)
        counted = slice(_WARM_UP if len(seconds) >= _WARM_UP + _LEAST_STEPS else 0, None)
        reserved, allocated = self._meter.peak_bytes()
        return Measured(
            device=self._device.name,
            memory_bytes=self._device.memory_bytes,
            compute_capability=self._device.compute_capability,
            torch=torch.__version__.partition("+")[0],
            steps=self.steps,
            seconds=round(time.monotonic() - self._started, 3),
            peak_reserved_bytes=reserved,
            peak_allocated_bytes=allocated,
            step_s=statistics.median(seconds[counted]) if seconds else None,
            waited_s=statistics.median(self._waited_s[1:][counted]) if seconds else None,
            fits=fits,
        )

    def _end_step(self, optimizer: Any, *_: Any) -> None:
        if self._first is None:
            self._first = optimizer
        if optimizer is not self._first:
            return
        if self.steps >= self._request.steps:
            # The script has caught the end; there is nothing to unwind.
            _finish(self._request, ProbeAnswer(measured=self.measured()))
        self._marks.append(self._meter.mark())
        self._waited_s.append(self._waiting_s)
        self._waiting_s = 0.0
        os.write(self._progress, b".")
        if self.steps >= self._request.steps:
            raise StopProbe


def main(meter: Meter) -> NoReturn:
    """Probe what the file that is named in the arguments asks for."""
    end_with_parent(signal.SIGKILL)
    request = read_probe_request(Path(sys.argv[1]))
    try:
        device = _ask(meter.find_device)
        if device is None:
            _finish(request, _no_device())
        _finish(request, _measure(request, Probe(request, device, meter)))
    except SojournError as error:
        _finish(request, ProbeAnswer(message=error.message, remedy=error.remedy))


def _ask(find_device: Callable[[], Device | None]) -> Device | None:
    """Ask for the device in a process of its own.

    The script may still choose which cards it sees, and fork; both end once CUDA is started.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(writing, pickle.dumps(find_device()))
        _exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    device: Device | None = pickle.loads(said) if said else None  # noqa: S301 - of this process
    return device


def _no_device() -> ProbeAnswer:
    return ProbeAnswer(
        message="There is no CUDA device here, and a probe takes real steps on one.",
        remedy="Run it on the rented machine (on Colab: `!sojourn probe train.py` in a cell of a "
        "GPU runtime). Without one, `sojourn plan` forecasts the same.",
    )


def _measure(request: ProbeRequest, probe: Probe) -> ProbeAnswer:
    source = read_source(Path(request.script))
    signal.signal(signal.SIGALRM, lambda *_: _time_is_up(request, probe))
    signal.setitimer(signal.ITIMER_REAL, request.timeout_s)
    _prepare_surroundings(request)
    probe.install()
    try:
        exec(source.compiled(), vars(make_main(request.script)))  # noqa: S102 - running the user's script is the job
    except StopProbe:
        pass
    except SojournError:
        raise
    except torch.OutOfMemoryError:
        traceback.print_exc()
        return ProbeAnswer(measured=probe.measured(fits=False))
    except SystemExit as ending:
        if ending.code not in {None, 0} and not probe.steps:
            return _failure(request, f"ended with status {ending.code}")
    except BaseException as error:  # noqa: BLE001 - the script may raise anything
        # Without this function's own line, which is none of the script's.
        own = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, own or error.__traceback__)
        return _failure(request, f"{_place(error, source, request)} raised {brief(error)}")
    if not probe.steps:
        return ProbeAnswer(
            message=f"{request.target} ran to its end without an optimizer step, so there is "
            "nothing to measure.",
            remedy="Probe the script that trains: one that calls optimizer.step() of a "
            "torch.optim optimizer. If it trains only with arguments, give them after `--`.",
        )
    return ProbeAnswer(measured=probe.measured())


def _place(error: BaseException, source: ScriptSource, request: ProbeRequest) -> str:
    """Name the innermost line of the script's own."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno or 0 for f in frames if f.filename == source.filename]
    return source.label(lines[-1]) if lines else request.target


def _failure(request: ProbeRequest, what: str) -> ProbeAnswer:
    own = what if what.startswith(request.target) else f"{request.target} {what}"
    return ProbeAnswer(
        message=f"{own.removesuffix('.')}.",
        remedy="What it printed is above. Mend it, or run it here by hand first.",
    )


def _time_is_up(request: ProbeRequest, probe: Probe) -> NoReturn:
    if probe.steps:
        _finish(request, ProbeAnswer(measured=probe.measured()))
    _exit(TIME_IS_UP_STATUS)


def _prepare_surroundings(request: ProbeRequest) -> None:
    """Make the script believe it is in its own folder, and keep it from writing to it."""
    from sojourn.script.colab import install_colab
    from sojourn.script.paths import PathMap, default_rules

    folder = Path(request.folder)
    sys.argv = [request.script, *request.arguments]
    sys.path.insert(0, request.folder)
    os.chdir(folder)
    os.environ.update(_ENVIRONMENT)
    install_colab([])
    writable = Path(request.writable)
    temporary = writable / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    rules = [(remote, Path(local)) for remote, local in request.rules]
    # Weights that it fetches and kernels that it compiles are kept, as they are by any run.
    free = [Path.home() / name for name in _CACHES]
    PathMap([*rules, *default_rules(folder)], writable=writable, free=free).install()


def _finish(request: ProbeRequest, answer: ProbeAnswer) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    try:
        answer.write(Path(request.answer))
    finally:
        _exit(0)


if __name__ == "__main__":
    main(CudaMeter())
