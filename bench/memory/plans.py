"""`sojourn plan` on a measured row's script and card, as a user runs it.

The card stands in the user's own catalog.toml (an overlay).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from installs import CACHE, environment, package_of
from scripts import training_script

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rows import Row

DOES_NOT_FIT = "does_not_fit"
NO_ANSWER = "no answer"
PLANS = CACHE / "plans"
# NVIDIA's compute capability by what the rows call a card. https://developer.nvidia.com/cuda-gpus
CAPABILITIES = {
    "RTX 3060": "8.6",
    "RTX 4060": "8.9",
    "A100": "8.0",
    "T4": "7.5",
    "V100": "7.0",
    "L4": "8.9",
    "H100": "9.0",
}
HOST_BYTES = 64 * 2**30
_ENDED_WITH_A_PLAN = (0, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Reserved memory without the CUDA context."""

    low_bytes: int
    expected_bytes: int
    high_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the plan says of the row's card.

    `problem` is the last line of the error where there is no plan; then nothing else is known.
    """

    verdict: str
    peak: Peak | None = None
    allocated_bytes: int | None = None
    usable_bytes: int | None = None
    parameter_bytes: int | None = None
    peak_at: str | None = None
    seconds: float | None = None
    problem: str | None = None


def runtime_of(row: Row) -> str:
    """Return the id of the row's card in the overlay."""
    name = "".join(letter for letter in row.gpu.lower() if letter.isalnum())
    return f"local/{name}-{row.card_bytes}"


def write_catalog(rows: Iterable[Row], config_home: Path) -> None:
    """Write the overlay with every card that the rows name."""
    tables = {runtime_of(row): _tables(row) for row in rows}
    folder = config_home / "sojourn"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.toml").write_text("\n".join(tables.values()), encoding="utf-8")


def _tables(row: Row) -> str:
    runtime = runtime_of(row)
    accelerator = runtime.removeprefix("local/")
    capability = next(figure for name, figure in CAPABILITIES.items() if row.gpu.startswith(name))
    return f"""\
[accelerators.{accelerator}]
name = "{row.gpu}"
memory_bytes = {row.card_bytes}
compute_capability = "{capability}"

[runtime_types."{runtime}"]
accelerator = "{accelerator}"
count = 1
host_memory_bytes = {HOST_BYTES}
rate_units_per_hour = 0.0
subscriptions = ["free", "payg", "pro", "pro+"]
"""


def plan(row: Row, *, config_home: Path, scratch: Path) -> Forecast:
    """Run `sojourn plan` on the row and keep its document under .cache/plans."""
    folder = scratch / row.id
    folder.mkdir()
    (folder / "train.py").write_text(training_script(row), encoding="utf-8")
    command = ["plan", "train.py", "--on", runtime_of(row), "--json", "--timeout", "15m"]
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "sojourn", *command],
        cwd=folder,
        env=environment(package_of(row.sequence)) | {"XDG_CONFIG_HOME": str(config_home)},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    seconds = time.perf_counter() - began_s
    PLANS.mkdir(parents=True, exist_ok=True)
    document = {"seconds": seconds, "exit_status": done.returncode, "plan": _parsed(done.stdout)}
    if done.returncode not in _ENDED_WITH_A_PLAN:
        document["stderr"] = done.stderr
    _kept(row).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return read_plan(row)


def read_plan(row: Row) -> Forecast:
    """Return what the last plan of this row said.

    Raises:
        FileNotFoundError: if there was none.
    """
    document = json.loads(_kept(row).read_text(encoding="utf-8"))
    if document["exit_status"] not in _ENDED_WITH_A_PLAN:
        return Forecast(verdict=NO_ANSWER, problem=_problem(document))
    option = document["plan"]["options"][0]
    memory = option["device_memory"]
    if memory is None or memory["peak_reserved_bytes"] is None:
        return Forecast(verdict=NO_ANSWER, problem=option["reason"])
    peak, at = memory["peak_reserved_bytes"], memory["at"]
    return Forecast(
        verdict=option["verdict"],
        peak=Peak(low_bytes=peak["low"], expected_bytes=peak["expected"], high_bytes=peak["high"]),
        allocated_bytes=memory["peak_allocated_bytes"],
        usable_bytes=memory["usable_bytes"],
        parameter_bytes=memory["by"]["parameters"],
        peak_at=at and f"{at['phase']} {at['line']}",
        seconds=document["seconds"],
    )


def _kept(row: Row) -> Path:
    return PLANS / f"{row.id}.json"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _problem(document: dict[str, Any]) -> str:
    error = (document["plan"] or {}).get("error")
    text = error["message"] if error else document["stderr"].strip()
    return text.splitlines()[-1] if text else f"exit status {document['exit_status']}"
