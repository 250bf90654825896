"""Take some real optimizer steps of an unmodified script in a child process, and measure them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import TraceError, TraceTimeoutError
from sojourn.script.scratch import make_scratch_copy
from sojourn.script.source import read_source
from sojourn.tracing.leftovers import trace_folder
from sojourn.tracing.probe_request import TIME_IS_UP_STATUS, ProbeRequest, read_probe_answer
from sojourn.tracing.versions import check_surroundings
from sojourn.tracing.words import NO_SECRETS, Words, cut_output, printed
from sojourn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sojourn.forecast.correction import Measured
    from sojourn.progress import Progress

STEPS = 20
# -P: the script's folder must not shadow the packages that measuring itself imports.
_CHILD = (sys.executable, "-P", "-m", "sojourn.tracing.probe_child")
# Seconds between two looks at how far the script is.
_LOOK_EVERY_S = 0.1
# Seconds that the process has to answer with what it has, once its time is up.
_GRACE_S = 10.0


def probe_script(
    script: Path,
    *,
    arguments: Sequence[str] = (),
    rules: Sequence[tuple[str, Path]] = (),
    steps: int = STEPS,
    timeout_s: float,
    echo: bool = False,
    words: Words = NO_SECRETS,
    progress: Progress,
    child: Sequence[str] = _CHILD,
) -> Measured:
    """Take real steps of a script on this machine's device.

    It runs in a scratch copy of its folder; what Python code writes elsewhere goes to a shadow that
    is thrown away. It is not kept from the network, nor other programs from writing: it really
    runs.

    Args:
        script: A .py or .ipynb file.
        arguments: What the script gets in `sys.argv[1:]`.
        rules: (REMOTE, LOCAL): what the script opens under REMOTE is found under LOCAL.
        steps: After how many optimizer steps it is ended.
        timeout_s: Seconds after which it is ended with what was measured by then.
        echo: Pass on what the script printed.
        words: How what the script says is made harmless.
        progress: Where the steps, and what is passed on, go.
        child: The command that measures; the name of a `ProbeRequest`'s file is added to it.

    Raises:
        UsageError: there is no such script.
        MissingPackageError: torch is not installed.
        TraceError: there is no device, the script failed or took no step; what it printed was
            passed on.
        TraceTimeoutError: it took no step in time.
    """
    script = script.resolve()
    read_source(script)
    check_surroundings(any_torch=True)
    with trace_folder() as scratch:
        folder, notes = make_scratch_copy(script.parent, scratch / "folder")
        for note in words.notes(notes):
            progress.note(note)
        request = ProbeRequest(
            target=script.name,
            script=str(folder / script.name),
            folder=str(folder),
            writable=str(scratch),
            answer=str(scratch / "answer.json"),
            progress=str(scratch / "steps"),
            arguments=tuple(arguments),
            rules=tuple((remote, str(local)) for remote, local in rules),
            steps=steps,
            timeout_s=timeout_s,
        )
        output = scratch / "output.txt"
        is_done = False
        try:
            status = _run(request, scratch, output, [*child], progress)
            measured = _outcome(request, status, words)
            is_done = measured.fits
            return measured
        finally:
            # A script's own traceback is what its user needs most.
            if (echo or not is_done) and (said := printed(output, words)):
                progress.note(said)


def _run(
    request: ProbeRequest, scratch: Path, output: Path, command: list[str], progress: Progress
) -> int | None:
    """Run the child to its end; returns its status, None if it had to be ended."""
    file = scratch / "request.json"
    request.write(file)
    with output.open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - this very package
            [*command, os.fspath(file)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with progress.task("probe", total=request.steps, unit="steps") as task:
            give_up_at = time.monotonic() + request.timeout_s + _GRACE_S
            seen = 0
            while process.poll() is None and time.monotonic() < give_up_at:
                time.sleep(_LOOK_EVERY_S)
                cut_output(output)
                taken = _size(Path(request.progress))
                task.advance(taken - seen)
                seen = taken
            return process.poll()
    finally:
        # Its loaders' workers are of its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _outcome(request: ProbeRequest, status: int | None, words: Words) -> Measured:
    answer = read_probe_answer(Path(request.answer))
    if answer is not None and answer.measured is not None:
        return answer.measured
    if answer is not None:
        raise TraceError(words.message(answer.message), remedy=words.message(answer.remedy))
    if status is None or status == TIME_IS_UP_STATUS:
        raise TraceTimeoutError(
            f"{request.target} had not taken an optimizer step after "
            f"{format_duration(request.timeout_s)}.",
            remedy="Give it longer: --timeout 30m.",
        )
    how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
    raise TraceError(
        f"{request.target} ended its own process ({how}) before its steps were measured.",
        remedy="What it printed is above. SIGKILL often means too little host memory.",
    )
