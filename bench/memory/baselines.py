"""What can be installed today to the same end, asked about the same rows.

- torch-kitsune: `predict_memory(model, input_shape, batch_size, optimizer=...)`.
- alloc: `alloc ghost FILE --dtype fp32 --batch-size N`. It imports the file with no GPU visible, so
  on a training script that moves its model to one it answers "Could not extract model"; it is given
  the lines that build the model alone. It takes no optimizer.
- accelerate: parameters, gradients and optimizer states, as `accelerate estimate-memory` counts.

None of the three counts with the card, so a prediction above the card's memory is taken as "does
not fit". Answers are kept in .cache, as they do not change with
sojourn; failures are not.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from installs import BASELINES, CACHE, HERE, environment, package_of
from scripts import model_definition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rows import Row

KITSUNE, ALLOC, ACCELERATE = "torch-kitsune", "alloc", "accelerate"
BASELINE_TOOLS = (KITSUNE, ALLOC, ACCELERATE)
_KEPT = CACHE / "baselines.json"
_GIB = 2**30
_ALLOC = (sys.executable, "-c", "from alloc.cli import app; app()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A prediction in bytes, or the reason why there is none."""

    predicted_bytes: int | None = None
    problem: str | None = None


def ask_baselines(rows: Sequence[Row], *, processes: int) -> dict[str, dict[str, Answer]]:
    """Return each tool's answer for each row id, from .cache where the row was asked before."""
    kept: dict[str, dict[str, Any]] = (
        json.loads(_KEPT.read_text(encoding="utf-8")) if _KEPT.exists() else {}
    )
    keys = {row.id: _key(row) for row in rows}
    new = [row for row in rows if keys[row.id] not in kept]
    for sequences in (False, True):
        part = [row for row in new if (row.sequence is not None) is sequences]
        for row_id, said in _ask_child(part).items():
            kept.setdefault(keys[row_id], {}).update(said)
    # alloc takes no optimizer: rows that differ in theirs only ask the same.
    asked = {(model_definition(row), row.batch): row for row in new}
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(processes) as pool:
        found = list(pool.map(lambda row: _ask_alloc(row, Path(scratch)), asked.values()))
    answers = dict(zip(asked, found, strict=True))
    for row in new:
        kept[keys[row.id]][ALLOC] = answers[model_definition(row), row.batch]
    CACHE.mkdir(exist_ok=True)
    whole = {
        key: said
        for key, said in kept.items()
        if all("problem" not in answer for answer in said.values())
    }
    _KEPT.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return {
        row.id: {tool: Answer(**answer) for tool, answer in kept[keys[row.id]].items()}
        for row in rows
    }


def _key(row: Row) -> str:
    """Return what the answers depend on: the versions, the model and how it is trained."""
    asked = [path.read_text(encoding="utf-8") for path in sorted(HERE.glob("requirements/*.txt"))]
    asked += [path.read_text(encoding="utf-8") for path in sorted(HERE.glob("baselines*.py"))]
    asked += [model_definition(row), str(row.batch), str(row.sequence), row.optimizer]
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()[:16]


def _ask_child(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    if not rows:
        return {}
    asked = [
        {
            "id": row.id,
            "sequence": row.sequence,
            "batch": row.batch,
            "optimizer": row.optimizer,
            "definition": model_definition(row),
        }
        for row in rows
    ]
    done = subprocess.run(
        [sys.executable, HERE / "baselines_child.py"],
        input=json.dumps(asked),
        env=environment(package_of(rows[0].sequence), BASELINES),
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8",
    )
    answers: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answers


def _ask_alloc(row: Row, scratch: Path) -> dict[str, Any]:
    file = scratch / f"{row.id}.py"
    file.write_text(
        f"import {package_of(row.sequence)}\n{model_definition(row)}\n", encoding="utf-8"
    )
    command = ["ghost", str(file), "--dtype", "fp32", "--batch-size", str(row.batch), "--no-config"]
    length = [] if row.sequence is None else ["--seq-length", str(row.sequence)]
    done = subprocess.run(
        [*_ALLOC, *command, *length, "--timeout", "600", "--json"],
        env=_with_startup(environment(package_of(row.sequence), BASELINES)),
        cwd=scratch,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"problem": (done.stderr.strip() or "no output").splitlines()[-1]}
    if "error" in document:
        return {
            "problem": str(document["error"]).replace(str(scratch), "").replace("from /", "from ")
        }
    return {"predicted_bytes": round(document["total_gb"] * _GIB)}


def _with_startup(variables: dict[str, str]) -> dict[str, str]:
    """Put startup/sitecustomize.py into every process of alloc's."""
    folders = (str(HERE / "startup"), str(HERE), variables["PYTHONPATH"])
    return variables | {"PYTHONPATH": os.pathsep.join(folders)}
