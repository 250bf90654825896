"""Run a .py or .ipynb in a child process until its optimizers have stepped: its Trace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import MissingPackageError, TraceError, TraceTimeoutError
from sojourn.forecast.trace import load_trace
from sojourn.script.scratch import make_scratch_copy
from sojourn.script.source import read_source
from sojourn.tracing.request import Request, read_answer
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.forecast.trace import Trace
    from sojourn.progress import Progress

# Optimizer steps: the first makes the optimizer's state, the second runs with it.
_STEPS = 2
_OUTPUT_TAIL_LINES = 15


def trace_script(
    script: Path,
    *,
    arguments: Sequence[str] = (),
    rules: Sequence[tuple[str, Path]] = (),
    batch_size: int | None = None,
    compute_capability: str,
    timeout_s: float,
    echo: bool = False,
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
        echo: Pass on what the script printed.
        progress: Where notes, and what is passed on, go.

    Raises:
        UsageError: there is no such script.
        MissingPackageError: torch is not installed.
        TraceError: it could not be traced; the message names the line.
        TraceTimeoutError: it took too long.
    """
    script = script.resolve()
    check_traceable(script)
    with tempfile.TemporaryDirectory(prefix="sojourn-trace-") as scratch:
        folder, notes = make_scratch_copy(script.parent, Path(scratch) / "folder")
        request = Request(
            target=script.name,
            script=str(folder / script.name),
            folder=str(folder),
            writable=scratch,
            answer=str(Path(scratch) / "answer.json"),
            arguments=tuple(arguments),
            rules=tuple((remote, str(local)) for remote, local in rules),
            batch_size=batch_size,
            steps=_STEPS,
            compute_capability=compute_capability,
        )
        for note in notes:
            progress.note(note)
        output_file = Path(scratch) / "output.txt"
        try:
            return _ask_child(request, Path(scratch), output_file, timeout_s)
        finally:
            if echo and output_file.exists():
                progress.note(output_file.read_text("utf-8", "replace"))


def check_traceable(script: Path) -> None:
    """Raise if a script cannot be traced, as far as that can be told without running it.

    Raises:
        UsageError: there is no such script.
        TraceError: it is no Python.
        MissingPackageError: torch is not installed. It is not imported here.
    """
    read_source(script)
    try:
        metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise MissingPackageError(
            "`sojourn plan` traces with torch, which is not installed.",
            remedy="pip install 'sojourn[torch]' (a CPU build of torch is enough).",
        ) from None


def _ask_child(request: Request, scratch: Path, output_file: Path, timeout_s: float) -> Trace:
    request_file = scratch / "request.json"
    request.write(request_file)
    # -P: the script's folder must not shadow the packages that tracing itself imports.
    command = [sys.executable, "-P", "-m", "sojourn.tracing.child", str(request_file)]
    with output_file.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=request.folder,
            start_new_session=True,
        )
        try:
            status: int | None = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(child)
    # Left already when training was seen, and again at the end.
    answer = read_answer(Path(request.answer))
    if answer is None and status is None:
        raise TraceTimeoutError(
            f"{request.target} had not taken {request.steps} optimizer steps after "
            f"{format_duration(timeout_s)}.",
            remedy="Give it longer (--timeout 20m), or less to do before training: a smaller "
            "part of the data, fewer files.",
        )
    if answer is None:
        raise TraceError(
            f"{request.target} ended its own process ({_ending(status or 0)}) before it was traced."
            f"{_tail(output_file)}",
            remedy="If the script does not do so on purpose: a crash often means too little memory "
            "(SIGKILL) or a package that does not match torch (SIGSEGV).",
        )
    if answer.trace is None:
        raise TraceError(answer.message, remedy=answer.remedy)
    return load_trace(answer.trace)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _ending(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _tail(output_file: Path) -> str:
    lines = output_file.read_text("utf-8", "replace").splitlines()
    return (
        "".join(f"\n  {line}" for line in ["It printed last:", *lines[-_OUTPUT_TAIL_LINES:]])
        if lines
        else ""
    )
