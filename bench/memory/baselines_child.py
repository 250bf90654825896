"""Ask torch-kitsune and accelerate about the rows given; runs in a process of its own.

    python baselines_child.py < rows.json > answers.json

Both get the model itself, in float32, built on torch's meta device: torch-kitsune then runs shapes
instead of a batch of hundreds of images, with the same answer.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import torch
import torchvision_models  # noqa: F401  before torchvision, which transformers imports too
from accelerate.commands.estimate import estimate_training_usage
from accelerate.utils import calculate_maximum_sizes
from torch import nn

KITSUNE, ACCELERATE = "torch-kitsune", "accelerate"
# fp32 tensors of the parameters' size that torch's optimizer keeps, as the rows use it. Adafactor
# keeps a row and a column of each.
_STATES = {"SGD": 0, "RMSprop": 1, "Adagrad": 1, "Adam": 2, "AdamW": 2, "Adafactor": 0}


def _model(row: dict[str, Any]) -> nn.Module:
    package = "torchvision" if row["sequence"] is None else "transformers"
    names: dict[str, Any] = {package: importlib.import_module(package)}
    # Some of torchvision's builders compute with tensors; texts' models may not fit the host.
    with torch.device("cpu" if row["sequence"] is None else "meta"):
        exec(row["definition"], names)
    model: nn.Module = names["model"]
    return model.to("meta")


def ask_accelerate(model: nn.Module, row: dict[str, Any]) -> int:
    """Parameters, gradients and optimizer states, by accelerate's own functions.

    `accelerate estimate-memory` prints Adam's; other optimizers keep fewer states.
    """
    usage = estimate_training_usage(calculate_maximum_sizes(model)[0], "float32")
    adam_states = 2
    states = usage["optimizer"] * _STATES[row["optimizer"]] / adam_states
    return int(usage["model"] + usage["gradients"] + states)


def ask_kitsune(model: nn.Module, row: dict[str, Any]) -> int:
    from kitsune.predict import predict_memory  # type: ignore[import-not-found]

    shape = (3, 86, 86) if row["sequence"] is None else (row["sequence"],)
    with torch.device("meta"):
        answer = predict_memory(
            model, shape, batch_size=row["batch"], optimizer=row["optimizer"].lower()
        )
    return int(answer.total_bytes)


def main() -> None:
    answers: dict[str, dict[str, Any]] = {}
    for row in json.load(sys.stdin):
        model = _model(row)
        answers[row["id"]] = {}
        for name, ask in ((ACCELERATE, ask_accelerate), (KITSUNE, ask_kitsune)):
            try:
                answer: dict[str, Any] = {"predicted_bytes": ask(model, row)}
            except Exception as error:  # noqa: BLE001  whatever stops a tool is its answer here
                answer = {"problem": f"{type(error).__name__}: {error}".splitlines()[0]}
            answers[row["id"]][name] = answer
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
