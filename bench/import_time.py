"""How long `import sojourn` and `sojourn --help` take in a fresh process, against other imports.

    python bench/import_time.py

Writes bench/results/import_time.json: the median and the range of each, in seconds. `python` alone
is a row of its own, so that what the interpreter takes can be told apart. Ends with status 1 if
`import sojourn` adds 100 ms or more to it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

REPEATS = 15
OURS = "import sojourn"
LIMIT_S = 0.1
COMMANDS = {
    "python": ["-c", "pass"],
    OURS: ["-c", "import sojourn"],
    "sojourn --help": ["-m", "sojourn", "--help"],
    "sojourn runtimes": ["-m", "sojourn", "runtimes"],
} | {
    f"import {package}": ["-c", f"import {package}"]
    for package in ("pandas", "torch")
    if find_spec(package) is not None
}


def seconds_of(arguments: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_s


def measure() -> dict[str, dict[str, float]]:
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds_of(arguments)  # fills the disk cache and writes the byte code
    # One round after the other, so that a busy moment of the machine falls on all of them.
    for _ in range(REPEATS):
        for name, arguments in COMMANDS.items():
            samples[name].append(seconds_of(arguments))
    return {
        name: {
            "median_s": round(statistics.median(values), 4),
            "min_s": round(min(values), 4),
            "max_s": round(max(values), 4),
        }
        for name, values in samples.items()
    }


def main() -> int:
    figures = measure()
    interpreter_s = figures["python"]["median_s"]
    own_s = figures[OURS]["median_s"] - interpreter_s
    document = {
        "benchmark": "import_time",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "repeats": REPEATS,
        "import_sojourn_without_interpreter_s": round(own_s, 4),
        "commands": figures,
    }
    path = Path(__file__).parent / "results" / "import_time.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for name, figure in figures.items():
        times = figure["median_s"] / figures[OURS]["median_s"]
        print(f"{name:<18} {figure['median_s'] * 1000:7.0f} ms   {times:5.1f} x `{OURS}`")
    print(f"`{OURS}` adds {own_s * 1000:.0f} ms to the interpreter; the limit is 100 ms.")
    return 0 if own_s < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
