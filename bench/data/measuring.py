"""Run one step in a process of its own: how long, how much work, how much memory, what for.

Memory is the resident peak of the whole tree of processes, summed and sampled, so that what
processes share counts for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link import Link

HERE = Path(__file__).parent
_SAMPLE_S = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step took.

    Attributes:
        seconds: From the start of its process to its end, or to the end of its time.
        cpu_s: Of the process and those that it waited for.
        peak_bytes: Resident, of the tree.
        requests: That the link answered meanwhile.
        wire_bytes: That the link sent meanwhile.
        connections: Over which.
        finished: False if its time was over before it was.
        said: What the process printed as JSON.
    """

    seconds: float
    cpu_s: float
    peak_bytes: int
    requests: int
    wire_bytes: int
    connections: int
    finished: bool = True
    said: Mapping[str, Any] = field(default_factory=dict)


def measure(
    command: Sequence[str | Path],
    *,
    link: Link | None,
    folder: Path,
    limit_s: float | None = None,
    more: Mapping[str, str] | None = None,
) -> Step:
    """Run a command to its end and say what it took.

    Args:
        command: The words; its standard output is JSON or nothing.
        link: Whose requests to count.
        folder: Where it runs, and where its home, caches and temporary files are.
        limit_s: After how many seconds it is ended unfinished.
        more: Environment variables.
    """
    mark = link.mark() if link else 0
    said, complaints = folder / "said", folder / "complaints"
    with said.open("wb") as output, complaints.open("wb") as errors:
        # What the step before left to be written would slow down this one's own writing.
        os.sync()
        began_s = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=_environment(folder) | dict(more or {}),
            stdout=output,
            stderr=errors,
        )
        try:
            peak_bytes, finished = _watch(process, began_s=began_s, limit_s=limit_s)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - began_s
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if finished and process.returncode != 0:
        text = complaints.read_text(encoding="utf-8", errors="replace")
        print(text[-4000:], file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, process.args)
    requests = link.since(mark) if link else []
    return Step(
        seconds=round(seconds, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        peak_bytes=peak_bytes,
        requests=len(requests),
        wire_bytes=sum(request.sent_bytes for request in requests),
        connections=len({request.connection for request in requests}),
        finished=finished,
        said=_said(said),
    )


def _watch(
    process: subprocess.Popen[bytes], *, began_s: float, limit_s: float | None
) -> tuple[int, bool]:
    """Wait for the end without taking the exit status; return the tree's peak, and if it ended."""
    peak_bytes = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak_bytes = max(peak_bytes, _tree_bytes(process.pid))
        if limit_s is not None and time.perf_counter() - began_s > limit_s:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            return peak_bytes, False
        time.sleep(_SAMPLE_S)
    return peak_bytes, True


def _tree_bytes(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:
        return total
    return total


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of somebody who was never here before."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    home = folder / "home"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": str(HERE.parents[1] / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _said(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if not text.startswith("{"):
        return {}
    said: dict[str, Any] = json.loads(text)
    return said
