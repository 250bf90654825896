"""The same forecasts with each version of torch that tracing is tested with?

    python bench/torch_versions.py [--cuda-builds] [--at VERSION=FOLDER]...

Traces the scripts of the tests with each version and compares every figure with those of the
version that the project pins. A version that is not installed here is put into a folder of its own
(bench/.cache/), which goes in front of this environment: its CPU build, if the indexes that pip
knows have it, or with --cuda-builds the CUDA build, which takes 5 GB and works without a card. One
that cannot be had is left out, and the result says so. --at names a folder that holds a version.

Writes bench/results/torch_versions.json. Ends with status 1 if any figure differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sojourn.errors import SojournError
from sojourn.forecast.memory import forecast_memory
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_script
from sojourn.units import GIB

if TYPE_CHECKING:
    from sojourn.forecast.trace import Trace

HERE = Path(__file__).parent
RESULT = HERE / "results" / "torch_versions.json"
CACHE = HERE / ".cache"
VERSIONS = ("2.12.1", "2.13.0", "2.14.1", "2.15.0")
PINNED = "2.13.0"
TESTS = HERE.parent / "tests"
# Device memory by compute capability: a T4's and an A100's.
CARDS = {"7.5": 15 * GIB, "8.0": 40 * GIB}


def scripts() -> list[Path]:
    """Return every script that the tests trace."""
    folders = (TESTS / "scripts", TESTS / "accuracy" / "scripts")
    return sorted(path for folder in folders for path in folder.glob("*.py"))


def folder_of(version: str, *, allow_cuda: bool) -> Path | None:
    """Return the folder that holds a version, installing it the first time; None if it cannot."""
    folder = CACHE / f"torch-{version}"
    whole = folder / ".whole"
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--upgrade", "--target", str(folder)]
    if not whole.exists():
        # The environment has what torch itself needs, but not what its CUDA build does.
        tries = [["--no-deps", f"torch=={version}+cpu"]]
        tries += [[f"torch=={version}"]] if allow_cuda else []
        if all(subprocess.run([*pip, *one], check=False).returncode for one in tries):
            return None
        whole.touch()
    return folder


def figures_with(folder: Path | None) -> dict[str, Any]:
    """Trace all scripts in a process that finds torch in a folder first."""
    given = os.environ.get("PYTHONPATH", "")
    paths = [str(folder)] if folder else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, given]).strip(os.pathsep)}
    command = [sys.executable, __file__, "--figures"]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(run.stdout)
    return document


def figures() -> dict[str, Any]:
    """Return what is forecast for each script with the torch that this process finds."""
    found = {}
    for path in scripts():
        name = f"{path.parent.parent.name}/{path.name}"
        found[name] = _figures_of(path)
        print(f"  {name}", file=sys.stderr, flush=True)
    return {"torch": metadata.version("torch"), "scripts": found}


def _figures_of(script: Path) -> dict[str, Any]:
    """Return a script's figures by compute capability; of older cards where it asks for that."""
    try:
        trace = _trace(script, "8.0")
        found = {"8.0": _forecast(trace, "8.0")}
        if trace.asked_capability:
            found["7.5"] = _forecast(_trace(script, "7.5"), "7.5")
    except SojournError as error:
        return {"refused": error.message.splitlines()[0]}
    return found


def _trace(script: Path, capability: str) -> Trace:
    return trace_script(script, compute_capability=capability, timeout_s=300, progress=NoProgress())


def _forecast(trace: Trace, capability: str) -> dict[str, int]:
    forecast = forecast_memory(trace, memory_bytes=CARDS[capability], compute_capability=capability)
    reserved = forecast.peak_reserved_bytes
    return {
        "low": round(reserved.low),
        "expected": round(reserved.expected),
        "high": round(reserved.high),
        "allocated": forecast.peak_allocated_bytes,
    }


def differences(versions: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each script whose forecast is not the same with all versions."""
    pinned = versions[PINNED]["scripts"]
    return [
        f"{version} {name}: {found} instead of {pinned[name]}"
        for version, document in versions.items()
        for name, found in document["scripts"].items()
        if found != pinned[name]
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuda-builds", action="store_true")
    parser.add_argument("--at", action="append", default=[], metavar="VERSION=FOLDER")
    parser.add_argument("--figures", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.figures:
        print(json.dumps(figures()))
        return 0
    folders = {name: Path(folder) for name, _, folder in (at.partition("=") for at in options.at)}
    here = metadata.version("torch").partition("+")[0]
    found: dict[str, dict[str, Any]] = {}
    for version in VERSIONS:
        folder = folders.get(version)
        if folder is None and version != here:
            folder = folder_of(version, allow_cuda=options.cuda_builds)
            if folder is None:
                print(f"torch {version}: no CPU build is to be had here; left out")
                continue
        print(f"torch {version}: tracing {len(scripts())} scripts", flush=True)
        found[version] = figures_with(folder)
    return report(found)


def report(found: dict[str, dict[str, Any]]) -> int:
    """Write and print what came of it; return the exit status."""
    if PINNED not in found:
        print(f"torch {PINNED}, with which the others are compared, was not there.")
        return 1
    lines = differences(found)
    document = {
        "benchmark": "torch_versions",
        "python": platform.python_version(),
        "builds": {version: document["torch"] for version, document in found.items()},
        "left_out": [version for version in VERSIONS if version not in found],
        "differences": lines,
        "scripts": found[PINNED]["scripts"],
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))
    builds = ", ".join(document["torch"] for document in found.values())
    print(f"{builds}: {len(lines)} of {len(scripts()) * (len(found) - 1)} forecasts differ.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
