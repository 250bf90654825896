"""The measured runs as data: one `Row` for each line of a CSV like rows.csv beside this file.

What the columns mean and where they come from stands in README.md.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
HERE = Path(__file__).parent
PUBLISHED_TOOLS = ("xmem", "dnnmem", "schedtune", "llmem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What another tool said of a row, from the measured runs' own files; None: nothing."""

    predicted_bytes: int | None
    out_of_memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training run on a real card.

    `measured_bytes` is NVML's maximum over the run less its first sample, so without the CUDA
    context; None where the run ended in CUDA out of memory. `zero_grad` is where the loop clears
    the gradients: 0 before the forward pass, 1 before the backward pass, 2 after the step.
    `sequence` is None for images.
    """

    id: str
    family: str
    model: str
    optimizer: str
    batch: int
    classes: int | None
    sequence: int | None
    is_sequence_certain: bool
    zero_grad: int
    gpu: str
    card_bytes: int
    measured_bytes: int | None
    published: dict[str, Published | None]

    @property
    def out_of_memory(self) -> bool:
        return self.measured_bytes is None


def read_rows(path: Path, *, only: str = "") -> list[Row]:
    """Return the rows whose id contains `only`, in the file's order."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [_row(line) for line in csv.DictReader(file)]
    return [row for row in rows if only.lower() in row.id.lower()]


def _row(line: dict[str, str]) -> Row:
    shape = line["num_classes_or_seq"]
    number = int(re.findall(r"\d+", shape)[0])
    is_image = line["family"] == "cnn"
    return Row(
        id=line["id"],
        family=line["family"],
        model=line["model"],
        optimizer=line["optimizer"],
        batch=int(line["batch"]),
        classes=number if is_image else None,
        sequence=None if is_image else number,
        is_sequence_certain="not certain" not in shape,
        zero_grad=int(line["zero_grad_effective"][0]),
        gpu=line["gpu"],
        card_bytes=round(float(line["card_total_MiB"]) * MIB),
        measured_bytes=None if line["real_oom"] == "yes" else int(line["measured_bytes"]),
        published={tool: _published(line, tool) for tool in PUBLISHED_TOOLS},
    )


def _published(line: dict[str, str], tool: str) -> Published | None:
    predicted, verdict = line[f"{tool}_pred_MiB"], line[f"{tool}_oom"]
    if verdict not in {"yes", "no"}:
        return None
    return Published(
        predicted_bytes=round(float(predicted) * MIB) if predicted else None,
        out_of_memory=verdict == "yes",
    )
