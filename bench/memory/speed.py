"""What a trace costs, beside a run of the same script on the CPU under torch's profiler.

    python bench/memory/speed.py [--only SUBSTRING] [--out FOLDER]

The profiled run is the method of tools that run a training step on the CPU to learn what it would
need on a card (xMem: shapes, stacks, modules and memory recorded, the trace written out). Both take
two steps of the very same script, which uses CUDA where there is one. Writes speed.json and
speed.md to bench/memory/results/.

`sojourn plan` traces twice, the second time at half the batch, to say which batch would fit. A
trace is what the first of the two takes in its process, after torch is imported, and so is the run;
the command is all of it. Peaks are of the largest process. Ends with status 1 if a trace is not 20
times faster than the run, or needs more than 1.5 GB beyond the parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from installs import HERE, TORCHVISION, TRANSFORMERS, environment
from report import dump

RATIO_LIMIT = 20
HOST_LIMIT_BYTES = 1_500_000_000
REPEATS = 3  # of `sojourn plan`, for the median; the run takes minutes and is run once
CARD = "colab/a100-40gb"
CORES = os.cpu_count() or 1
_ENDED_WITH_A_PLAN = (0, 8)
_LEGEND = (
    "Made by `python bench/memory/speed.py` on {machine}. Two training steps: traced by `sojourn "
    "plan`, and really run on the CPU under torch's profiler. The command traces twice, the second "
    "time at half the batch, and starts Python and torch each time; medians of {repeats}."
)
_HEAD = (
    *("two steps of", "run on the CPU", "traced", "times faster", "whole command", "times faster"),
    *("host memory of the run", "of the command", "parameters"),
)

_RESNET = """\
import torch
import torchvision
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    def __len__(self):
        return 50000

    def __getitem__(self, index):
        return torch.rand(3, 224, 224), index % 1000


device = "cuda" if torch.cuda.is_available() else "cpu"
model = torchvision.models.resnet50().to(device)
optimizer = torch.optim.AdamW(model.parameters())
criterion = torch.nn.CrossEntropyLoss()
for step, (images, labels) in enumerate(DataLoader(Images(), batch_size=64)):
    loss = criterion(model(images.to(device)), labels.to(device))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step == 1:
        break
"""
# A BertConfig as it comes is BERT base.
_BERT = """\
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertForSequenceClassification


class Texts(Dataset):
    def __len__(self):
        return 50000

    def __getitem__(self, index):
        return torch.randint(30522, (128,)), index % 2


device = "cuda" if torch.cuda.is_available() else "cpu"
model = BertForSequenceClassification(BertConfig()).to(device)
optimizer = torch.optim.AdamW(model.parameters())
for step, (ids, labels) in enumerate(DataLoader(Texts(), batch_size=32)):
    loss = model(input_ids=ids.to(device), labels=labels.to(device)).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if step == 1:
        break
"""
# The clock starts where a trace's does.
_PROFILED = """\
import runpy
import time

import torch
import torchvision_models
from torch.profiler import ProfilerActivity, profile

began_s = time.perf_counter()
with profile(
    activities=[ProfilerActivity.CPU],
    record_shapes=True,
    profile_memory=True,
    with_stack=True,
    with_modules=True,
) as profiler:
    runpy.run_path("train.py", run_name="__main__")
profiler.export_chrome_trace("trace.json")
print(time.perf_counter() - began_s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    package: str
    script: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Wall time, and the resident peak of the largest process."""

    seconds: float
    host_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`trace` is one trace, `command` all of `sojourn plan`, `run` the profiled run on the CPU.

    Seconds of a trace and of a run are those after torch was imported, of a command all.
    """

    case: str
    parameter_bytes: int
    trace: Cost
    command: Cost
    run: Cost

    @property
    def ratio(self) -> float:
        return self.run.seconds / self.trace.seconds

    @property
    def is_good(self) -> bool:
        beyond_bytes = self.command.host_bytes - self.parameter_bytes
        return self.ratio >= RATIO_LIMIT and beyond_bytes <= HOST_LIMIT_BYTES


CASES = (
    Case(name="ResNet-50, 64 images of 224 x 224", package=TORCHVISION, script=_RESNET),
    Case(name="BERT base, 32 texts of 128 tokens", package=TRANSFORMERS, script=_BERT),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    chosen = [case for case in CASES if options.only.lower() in case.name.lower()]
    found = [_compare(case) for case in chosen]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(dump(_document(found)), encoding="utf-8")
    (options.out / "speed.md").write_text(_page(found), encoding="utf-8")
    return 0 if all(each.is_good for each in found) else 1


def _compare(case: Case) -> Comparison:
    with TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(case.script, encoding="utf-8")
        Path(folder, "profiled.py").write_text(_PROFILED, encoding="utf-8")
        variables = environment(case.package, threads=CORES)
        variables["PYTHONPATH"] += f"{os.pathsep}{HERE}"
        plan = ["-m", "sojourn", "plan", "train.py", "--on", CARD, "--json", "--quiet"]
        _measure(plan, folder, variables)  # fills the disk cache and writes the byte code
        plans = [_measure(plan, folder, variables) for _ in range(REPEATS)]
        process, seconds = _measure(["profiled.py"], folder, variables)
    documents = [json.loads(text) for _, text in plans]
    traces = [document["trace"] for document in documents]
    memory = documents[0]["options"][0]["device_memory"]
    found = Comparison(
        case=case.name,
        parameter_bytes=memory["by"]["parameters"],
        trace=_median([_traced(trace) for trace in traces]),
        command=_median([cost for cost, _ in plans]),
        run=Cost(seconds=round(float(seconds), 3), host_bytes=process.host_bytes),
    )
    print(f"{case.name}: {asdict(found)}, ratio {found.ratio:.1f}", flush=True)
    return found


def _traced(trace: dict[str, Any]) -> Cost:
    return Cost(seconds=trace["seconds"], host_bytes=trace["host_memory_bytes"])


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        seconds=statistics.median(cost.seconds for cost in costs),
        host_bytes=max(cost.host_bytes for cost in costs),
    )


def _measure(arguments: list[str], folder: str, variables: dict[str, str]) -> tuple[Cost, str]:
    """Run a Python process to its end; return what it took, and what it printed."""
    printed, errors = Path(folder, "printed"), Path(folder, "errors")
    with printed.open("wb") as output, errors.open("wb") as complaints:
        began_s = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=complaints,
        )
        # Unlike `wait`, this tells the peak of this very process and of those it waited for.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in _ENDED_WITH_A_PLAN:
        print(errors.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, process.args)
    kib = 1024
    return (
        Cost(seconds=round(seconds, 3), host_bytes=usage.ru_maxrss * kib),
        printed.read_text(encoding="utf-8"),
    )


def _document(found: list[Comparison]) -> dict[str, Any]:
    return {
        "benchmark": "trace speed",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {CORES} cores",
        "cases": [asdict(each) | {"ratio": round(each.ratio, 1)} for each in found],
    }


def _page(found: list[Comparison]) -> str:
    lines = [
        "# What a trace costs",
        "",
        _LEGEND.format(machine=f"{platform.machine()}, {CORES} cores", repeats=REPEATS),
        "",
        f"| {' | '.join(_HEAD)} |",
        "|" + " --- |" + " ---: |" * (len(_HEAD) - 1),
    ]
    lines += [
        f"| {each.case} | {each.run.seconds:.1f} s | {each.trace.seconds:.1f} s "
        f"| {each.ratio:.0f} | {each.command.seconds:.1f} s "
        f"| {each.run.seconds / each.command.seconds:.0f} | {_gb(each.run.host_bytes)} "
        f"| {_gb(each.command.host_bytes)} | {_gb(each.parameter_bytes)} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"


if __name__ == "__main__":
    sys.exit(main())
