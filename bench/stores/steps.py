"""What was measured: rows, and what takes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring import Step, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What passed a server: requests, and the bytes of each direction, heads left out."""

    requests: int
    received_bytes: int
    served_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step: who did what, what it took, and what passed the server."""

    store: str
    client: str
    what: str
    step: Step
    traffic: Traffic


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Takes the rows of one store.

    Attributes:
        store: Which.
        traffic: Returns what passed the server since it was last asked.
        environment: Variables of every client.
        rows: Those taken so far.
    """

    store: str
    traffic: Callable[[], Traffic]
    environment: Mapping[str, str]
    rows: list[Row]

    def take(self, client: str, what: str, work: Path, command: Sequence[str | Path]) -> Step:
        """Run a command in a folder, and take what it took as a row."""
        self.traffic()
        more = {name: text.format(work=work) for name, text in self.environment.items()}
        step = measure(command, link=None, folder=work, more=more)
        row = Row(store=self.store, client=client, what=what, step=step, traffic=self.traffic())
        self.rows.append(row)
        print(
            f"  {row.store:7} {client:11} {what:24} {step.seconds:8.2f} s "
            f"{step.peak_bytes / 1e6:7.0f} MB {row.traffic.requests:6} requests  "
            f"in {row.traffic.received_bytes / 1e6:9.2f} MB  "
            f"out {row.traffic.served_bytes / 1e6:9.2f} MB",
            flush=True,
        )
        return step
