"""Ask cuDNN what its heuristics take for convolutions of common image models, on every card.

Writes `answers.csv.gz`, a line for each question. Needs `install.sh` first, torch and torchvision:

    . FOLDER/environment && python bench/convolutions/ask.py --include "$CUDNN_INCLUDE"
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cards import CARDS
from cudnn import Cudnn, CudnnError, Question
from shapes import IMAGE_SIZES, MODELS, find_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
COLUMNS = (
    *("capability", "kernel", "precision", "is_channels_last", "input", "weight", "output"),
    *("stride", "groups", "workspace_bytes", "largest_of_ten_bytes"),
)
PRECISIONS = {
    "tf32": ("float32", True),
    "fp32": ("float32", False),
    "half": ("float16", True),
}
KERNELS = ("forward", "backward_data", "backward_weight")
_BATCHES = (4, 8, 16, 24, 32, 48, 64, 96, 100, 128, 200, 251, 256, 384, 400, 477, 512, 603, 768)
# Elements of input and output together: below, no workspace matters; above, few cards hold them.
_FEWEST, _MOST = 1 << 20, 1 << 29
# torch's heuristics look at so many candidates when it measures them.
# Source: PyTorch, torch.backends.cudnn.benchmark_limit.
_CANDIDATES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--include", type=Path, required=True, help="cuDNN's headers")
    parser.add_argument("--shapes", type=int, default=1000, help="how many convolutions")
    parser.add_argument("--part", type=int, default=0, help="which of --parts to ask")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "answers.csv.gz")
    options = parser.parse_args()
    cudnn = Cudnn(options.include)
    devices = {name: cudnn.describe_device(card) for name, card in CARDS.items()}
    chosen = choose_shapes(options.shapes)[options.part :: options.parts]
    with gzip.open(options.output, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for index, (shape, groups) in enumerate(chosen):
            if index % 50 == 0:
                print(f"{index} of {len(chosen)}", file=sys.stderr)
            for question, precision in vary(shape, groups):
                for capability, device in devices.items():
                    try:
                        found = cudnn.workspaces(question, device, most=_CANDIDATES)
                    except CudnnError:
                        continue
                    if found:
                        writer.writerow(line(capability, question, precision, groups, found))


def choose_shapes(count: int) -> list[tuple[Question, int]]:
    """Draw convolutions, each with a batch size, always the same ones."""
    drawn = random.Random(7)
    known = {
        shape: None
        for model_name in MODELS
        for size in IMAGE_SIZES
        if model_name != "vit_b_16" or size == 224
        for shape in find_shapes(model_name, size)
    }
    found = []
    for source, weight, result, stride, padding, dilation, groups in known:
        batch = drawn.choice(_BATCHES)
        question = Question(
            kernel="forward",
            input_shape=(batch, *source[1:]),
            weight_shape=weight,
            output_shape=(batch, *result[1:]),
            stride=stride,
            padding=padding,
            dilation=dilation,
            dtype="float32",
            is_channels_last=False,
            allows_tf32=True,
        )
        elements = math.prod(question.input_shape) + math.prod(question.output_shape)
        if _FEWEST <= elements <= _MOST:
            found.append((question, groups))
    drawn.shuffle(found)
    return found[:count]


def vary(question: Question, groups: int) -> Iterator[tuple[Question, str]]:
    """Yield the convolution in every layout, precision and pass that reaches cuDNN."""
    is_depthwise = groups > 1 and groups == question.input_shape[1]
    for precision, (dtype, allows_tf32) in PRECISIONS.items():
        for is_channels_last in (False, True):
            if is_depthwise and dtype == "float32" and not is_channels_last:
                continue  # torch's own kernels run these
            for kernel in KERNELS:
                yield (
                    replace(
                        question,
                        kernel=kernel,
                        dtype=dtype,
                        allows_tf32=allows_tf32,
                        is_channels_last=is_channels_last,
                    ),
                    precision,
                )


def line(
    capability: str, question: Question, precision: str, groups: int, found: list[int]
) -> tuple[str | int, ...]:
    """Return one line of the file."""
    return (
        capability,
        question.kernel,
        precision,
        int(question.is_channels_last),
        "x".join(map(str, question.input_shape)),
        "x".join(map(str, question.weight_shape)),
        "x".join(map(str, question.output_shape)),
        question.stride[0],
        groups,
        found[0],
        max(found),
    )


if __name__ == "__main__":
    main()
