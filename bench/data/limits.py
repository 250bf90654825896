"""What this machine and the link can do at most, measured in the same run as the rest."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from link import LATENCY_S
from measuring import HERE, measure
from sets import CACHE

if TYPE_CHECKING:
    from link import Link

_CONNECTIONS = 8
_STREAM_BYTES = 400_000_000
_PART_BYTES = 100_000_000
_DISK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In bytes a second; a request is what one of 1 kB takes, in seconds."""

    memcpy: float
    disk: float
    link_1: float
    link_8: float
    request_s: float


def measure_limits(link: Link) -> Limits:
    """Measure, and stop if the link is not what it is said to be."""
    blob = CACHE / "blob"
    with blob.open("wb") as file:
        file.truncate(max(_STREAM_BYTES, _CONNECTIONS * _PART_BYTES))
    url = f"{link.url}/{blob.relative_to(link.root).as_posix()}"
    request_s = min(_fetch(url, 1_000, connections=1) for _ in range(3))
    stream_s = _fetch(url, _STREAM_BYTES, connections=1)
    parts_s = _fetch(url, _PART_BYTES, connections=_CONNECTIONS)
    blob.unlink()
    work = CACHE / "limits"
    work.mkdir(exist_ok=True)
    child = (sys.executable, HERE / "child.py")
    memcpy = measure([*child, "memcpy"], link=None, folder=work)
    disk = measure([*child, "disk", CACHE / "written", str(_DISK_BYTES)], link=None, folder=work)
    assert request_s >= LATENCY_S, f"a request takes {request_s} s, and should take {LATENCY_S}"
    return Limits(
        memcpy=memcpy.said["bytes_per_s"],
        disk=disk.said["bytes_per_s"],
        link_1=_STREAM_BYTES / stream_s,
        link_8=_CONNECTIONS * _PART_BYTES / parts_s,
        request_s=request_s,
    )


def _fetch(url: str, size_bytes: int, *, connections: int) -> float:
    """Return how long it takes to fetch as many bytes over each of some connections."""
    began_s = time.perf_counter()
    processes = []
    for number in range(connections):
        part = f"{number * size_bytes}-{(number + 1) * size_bytes - 1}"
        command = ["curl", "-sSf", "-o", "/dev/null", "-r", part, url]
        processes.append(subprocess.Popen(command))
    failed = [process.wait() for process in processes if process.wait() != 0]
    assert not failed, f"curl ended with {failed}"
    return time.perf_counter() - began_s
