"""Probes a script that really runs on the processor, with a meter that reads its clock and memory.

It stands in for a card's: torch gives no card its memory here, so what is "reserved" is the most
that the process held. `SOJOURN_TEST_DEVICE=none` says that there is no device.
"""

from __future__ import annotations

import itertools
import os
import resource
import time
from typing import TYPE_CHECKING

from sojourn.tracing.probe_child import Device, main

if TYPE_CHECKING:
    from collections.abc import Sequence


class CpuMeter:
    def find_device(self) -> Device | None:
        if os.environ.get("SOJOURN_TEST_DEVICE") == "none":
            return None
        return Device(name="Tesla T4", memory_bytes=15_637_413_888, compute_capability="7.5")

    def mark(self) -> float:
        return time.perf_counter()

    def seconds_between(self, marks: Sequence[float]) -> list[float]:
        return [after - before for before, after in itertools.pairwise(marks)]

    def peak_bytes(self) -> tuple[int, int]:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return most, most


if __name__ == "__main__":
    main(CpuMeter())
