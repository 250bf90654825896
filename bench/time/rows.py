"""The measured rows as data: one `Row` for each line of rows.csv, and why some are left out."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# What cannot be compared with what a trace says, each with its reason.
_LEFT_OUT = {
    "TFT electricity": "the network is the repository's own code, scripted",
    "Qwen-7B QLoRA": "its products with 4-bit weights are auto-gptq's own CUDA kernels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured run. `step_s` is the seconds of one step; a step is what `grad_accum` says."""

    id: str
    source: str
    date: str
    model: str
    rebuild: str
    task: str
    gpu: str
    family: str
    precision: str
    batch: int
    grad_accum: int
    input: str
    optimizer: str
    framework: str
    memory_format: str
    is_compiled: bool
    step_s: float | None
    comparability: str
    notes: str

    @property
    def left_out(self) -> str:
        """Why the row is not scored; "" if it is."""
        if self.comparability == "low":
            return "marked as not comparable by who collected it"
        if self.is_compiled:
            return "measured under torch.compile, which is traced as eager"
        if self.step_s is None:
            return "no step time"
        return next((why for name, why in _LEFT_OUT.items() if self.model.startswith(name)), "")

    @property
    def is_channels_last(self) -> bool:
        return self.memory_format.startswith(("NHWC", "NDHWC"))

    @property
    def group(self) -> str:
        """The model without its variants: all rows of a group are left out together.

        Twins differ in layout, precision, batch size or task only.
        """
        name = re.sub(r"\s*\(.*?\)", "", self.model.lower()).replace("v1.5", "").replace("-", "_")
        name = name.strip().replace(" ", "_")
        for start, group in _GROUPS.items():
            if name.startswith(start):
                return group
        return name


# By how the name begins; longer beginnings first.
_GROUPS = {
    "bert_large": "bert_large",
    "bert_base": "bert_base",
    "seresnext101": "se_resnext101_32x4d",
    "transformerxl_base": "transformerxl_base",
    "transformerxl_large": "transformerxl_large",
    "gpt_2_124m": "gpt2_small",
    "gpt_2_small": "gpt2_small",
    "gpt_2_774m": "gpt2_774m",
    "gpt_2_1558m": "gpt2_1558m",
    "distilbert": "distilbert",
    "qwen_1.8b": "qwen_1.8b",
    "qwen_7b": "qwen_7b",
    "qwen_14b": "qwen_14b",
    "nnu_net": "nnunet",
    "efficientnet_b0": "efficientnet_b0",
    "lstm": "lstm",
    "resnet50": "resnet50",
}


def read_rows(path: Path) -> list[Row]:
    """Return the rows in the file's order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> Row:
    return Row(
        id=line["row"],
        source=line["source"],
        date=line["date"],
        model=line["model"],
        rebuild=line["rebuild"],
        task=line["task"],
        gpu=line["gpu"],
        family=line["gpu_family"],
        precision=line["precision"],
        batch=int(line["batch"]),
        grad_accum=int(line["grad_accum"] or 1),
        input=line["input"],
        optimizer=line["optimizer"],
        framework=line["framework"],
        memory_format=line["memory_format"],
        is_compiled=line["compile"] == "yes",
        step_s=_step_s(line),
        comparability=line["comparability"],
        notes=line["notes"],
    )


def _step_s(line: dict[str, str]) -> float | None:
    """Return the seconds of what a script's step is: of Qwen's rows one of their micro-batches."""
    if not line["step_time_s"]:
        return None
    parts = int(line["grad_accum"]) if line["source"].startswith("QwenLM") else 1
    return float(line["step_time_s"]) / parts
