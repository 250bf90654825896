"""Fit small decision trees to cuDNN's answers: the table that `sojourn plan` carries.

Reads answers of one or more versions (`ask.py`), the one that is expected first; writes
`src/sojourn/forecast/convolution_table.py`, and prints how often the trees are right about answers
that they were not fitted to.

    python bench/convolutions/fit.py answers-9.10.csv.gz [answers-9.20.csv.gz]
"""

from __future__ import annotations

import argparse
import collections
import csv
import gzip
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from sojourn.forecast.convolution import COPIES, features_of

HERE = Path(__file__).parent
TARGET = HERE.parent.parent / "src" / "sojourn" / "forecast" / "convolution_table.py"
MOST_LEAVES = 24
FEWEST_ANSWERS = 4
FOLDS = 5
# Share of a leaf's answers that may lie outside of its bounds, at either end.
OUTSIDE = 0.05
Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One line of the answers, in bytes; `sizes` are those of input, output and weight."""

    key: Key
    features: tuple[float, ...]
    sizes: tuple[int, int, int]
    first: int
    largest: int

    def nearest(self, workspace_bytes: int) -> int:
        """Return the number of the copies that come nearest to a workspace."""
        return min(range(len(COPIES)), key=lambda index: abs(self.value(index) - workspace_bytes))

    def value(self, index: int) -> int:
        """Bytes of those copies."""
        return sum(count * size for count, size in zip(COPIES[index], self.sizes, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", type=Path, nargs="+")
    options = parser.parse_args()
    files = [read_answers(path) for path in options.answers]
    trees, shares = {}, []
    for key in sorted({answer.key for answer in files[0]}):
        expected = [answer for answer in files[0] if answer.key == key]
        every = [answer for answers in files for answer in answers if answer.key == key]
        shares.append(try_on_others(expected))
        print("/".join(key), len(expected), f"right about others: {shares[-1]:.0%}")
        trees["/".join(key)] = grow(expected, every)
    print(f"median: {statistics.median(shares):.0%}")
    TARGET.write_text(render(trees), "utf-8")


def read_answers(path: Path) -> list[Answer]:
    """Read what `ask.py` wrote."""
    with gzip.open(path, "rt", newline="") as file:
        return [answer_of(row) for row in csv.DictReader(file)]


def answer_of(row: dict[str, str]) -> Answer:
    source, weight, result = (
        tuple(int(part) for part in row[name].split("x")) for name in ("input", "weight", "output")
    )
    item_bytes = 2 if row["precision"] == "half" else 4
    layout = "nhwc" if row["is_channels_last"] == "1" else "nchw"
    features = features_of(
        input_shape=source,
        weight_shape=weight,
        output_shape=result,
        stride=int(row["stride"]),
        groups=int(row["groups"]),
    )
    return Answer(
        key=(row["capability"], row["precision"], layout, row["kernel"]),
        features=features,
        sizes=tuple(math.prod(shape) * item_bytes for shape in (source, result, weight)),
        first=int(row["workspace_bytes"]),
        largest=int(row["largest_of_ten_bytes"]),
    )


def new_tree(answers: list[Answer]) -> Any:
    tree = DecisionTreeClassifier(
        max_leaf_nodes=MOST_LEAVES, min_samples_leaf=FEWEST_ANSWERS, random_state=0
    )
    return tree.fit(
        np.array([answer.features for answer in answers]),
        np.array([answer.nearest(answer.first) for answer in answers]),
        weights(answers),
    )


def weights(answers: list[Answer]) -> Any:
    """Return each answer's weight: what is large decides the peak."""
    return np.array([math.sqrt(sum(answer.sizes)) for answer in answers])


def try_on_others(answers: list[Answer]) -> float:
    """Return the share of bytes that trees fitted to four fifths get right of the last fifth."""
    right = total = 0.0
    for fold in range(FOLDS):
        known = [answer for index, answer in enumerate(answers) if index % FOLDS != fold]
        others = answers[fold::FOLDS]
        tree = new_tree(known)
        guesses = tree.predict(np.array([answer.features for answer in others]))
        for answer, guess, weight in zip(others, guesses, weights(others), strict=True):
            right += weight * (guess == answer.nearest(answer.first))
            total += weight
    return right / total


def grow(expected: list[Answer], every: list[Answer]) -> Any:
    """Return a tree as nested tuples: (feature, threshold, at most, above), or a leaf."""
    tree = new_tree(expected)
    at_leaf: dict[int, list[Answer]] = collections.defaultdict(list)
    for answer, leaf in zip(every, leaves_of(tree, every), strict=True):
        at_leaf[leaf].append(answer)
    ours: dict[int, list[Answer]] = collections.defaultdict(list)
    for answer, leaf in zip(expected, leaves_of(tree, expected), strict=True):
        ours[leaf].append(answer)

    def node(index: int) -> Any:
        inner = tree.tree_
        if inner.children_left[index] < 0:
            return leaf_of(ours[index], at_leaf[index])
        before, after = node(inner.children_left[index]), node(inner.children_right[index])
        if before == after:
            return before
        threshold = round(float(inner.threshold[index]), 3)
        return (int(inner.feature[index]), threshold, before, after)

    return node(0)


def leaves_of(tree: Any, answers: list[Answer]) -> Any:
    return tree.apply(np.array([answer.features for answer in answers]))


def leaf_of(expected: list[Answer], every: list[Answer]) -> tuple[int, ...]:
    """Return the copies at the low end, expected, at the high end, and while torch measures."""
    shares = shares_of(expected, [answer.first for answer in expected])
    most_likely = max(shares, key=lambda index: shares[index])
    both = shares_of(every, [answer.first for answer in every])
    sizes = {index: statistics.mean(answer.value(index) for answer in every) for index in both}
    low, high = most_likely, most_likely
    passed = 0.0
    for index in sorted(both, key=lambda index: sizes[index]):
        if passed <= OUTSIDE < passed + both[index]:
            low = index
        if passed < 1 - OUTSIDE <= passed + both[index]:
            high = index
        passed += both[index]
    measured = shares_of(expected, [answer.largest for answer in expected])
    return (low, most_likely, high, max(measured, key=lambda index: measured[index]))


def shares_of(answers: list[Answer], workspaces: list[int]) -> dict[int, float]:
    """Return the share of each kind of copies, by weight."""
    found: dict[int, float] = collections.defaultdict(float)
    given = weights(answers) / weights(answers).sum()
    for answer, workspace, weight in zip(answers, workspaces, given, strict=True):
        found[answer.nearest(workspace)] += float(weight)
    return found


def render(trees: dict[str, Any]) -> str:
    lines = [
        '"""How cuDNN chooses, as decision trees. Generated by bench/convolutions/fit.py.',
        "",
        "Keys: compute capability / precision / layout / kernel. A node is (feature, threshold, at",
        "most, above); a leaf (low, expected, high, benchmarked), each a number into `COPIES`.",
        "Source: answers of cuDNN 9.10.2 and 9.20.0, asked without a GPU.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Any",
        "",
        "# fmt: off",
        "TREES: dict[str, Any] = {",
        *(f"    {key!r}: {compact(tree)}," for key, tree in trees.items()),
        "}",
        "",
    ]
    return "\n".join(lines).replace("'", '"')


def compact(tree: Any) -> str:
    return repr(tree).replace(" ", "")


if __name__ == "__main__":
    main()
