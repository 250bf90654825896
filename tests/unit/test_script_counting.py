"""How often a loop goes round, told from its text; and that nothing of the user's is run for it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from sojourn.script.counting import Count, Names, NotSeenError, count_rounds


class Loud:
    """Whatever is run in it fails the test."""

    level = 3

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def __len__(self) -> int:
        raise AssertionError

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        raise AssertionError

    def __bool__(self) -> bool:
        raise AssertionError

    @property
    def epochs(self) -> int:
        raise AssertionError


class LoudList(list[int]):
    def __len__(self) -> int:
        raise AssertionError


@dataclass(slots=True)
class Slotted:
    epochs: int = 11


class Settings(dict[str, int]):
    def __getattr__(self, name: str) -> int:
        raise AssertionError(name)


class Splitter:
    def __init__(self) -> None:
        self.n_splits = 5

    def split(self, _data: Any) -> Any:
        raise AssertionError


def count(text: str, **names: Any) -> Count:
    expression = ast.parse(text, mode="eval").body
    return count_rounds(expression, Names(local=names, shared={"islice": islice}))


def asked_resolver() -> int:
    raise AssertionError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("range(cfg.train.epochs)", 90),
        ("range(cfg['train']['epochs'] // 2)", 45),
        ("range(cfg.train.get('epochs', 3))", 90),
        ("range(cfg.train.get('rounds', 3))", 3),
        ("range(cfg.train.get('rounds'))", None),
        ("cfg.rates", 2),
        ("range(cfg.rates[1])", 4),
        ("cfg.train", 3),
        ("range(cfg.train.same)", None),
        ("range(cfg.train.asked)", None),
        ("range(cfg.train.nothing)", None),
    ],
)
def test_settings_of_hydra_are_read_and_none_of_their_functions_is_run(
    text: str, number: int | None
) -> None:
    OmegaConf.register_resolver("asked", asked_resolver, replace=True)
    cfg = OmegaConf.create(
        {"train": {"epochs": 90, "same": "${train.epochs}", "asked": "${asked:}"}, "rates": [3, 4]}
    )
    if number is None:
        with pytest.raises(NotSeenError):
            count(text, cfg=cfg)
    else:
        assert count(text, cfg=cfg) == Count(number=number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("range(10)", 10),
        ("range(2, args.epochs + 1)", 14),
        ("range(0, 1000, 64)", 16),
        ("range(-3)", 0),
        ("range(config['train']['epochs'])", 7),
        ("range(config.get('train', {}).get('epochs', 2))", 7),
        ("range(config.get('rounds', 2))", 2),
        ("range(slotted.epochs)", 11),
        ("range(settings.epochs)", 21),
        ("range(loud.level)", 3),
        ("range(int(12 / 5))", 2),
        ("range(max(args.epochs, 3) * 2)", 28),
        ("range(args.epochs if args.long else 2)", 2),
        ("range(args.long or 9)", 9),
        ("enumerate(range(4), start=1)", 4),
        ("tqdm(range(6), desc='x')", 6),
        ("tqdm(iterable=range(6))", 6),
        ("tqdm.tqdm(range(6))", 6),
        ("trange(5)", 5),
        ("sojourn.epochs(30, model=model)", 30),
        ("reversed(range(4))", 4),
        ("[1e-3, rate, 1e-5]", 3),
        ("('train', 'val')", 2),
        ("rates", 4),
        ("mapping.items()", 2),
        ("splitter.split(data)", 5),
        ("enumerate(splitter.split(data))", 5),
        ("zip(range(5), rates)", 4),
        ("range(len(rates))", 4),
        ("islice(rates, 2)", 2),
        ("range(0, len(array), 4)", 3),
        ("range(array.shape[1])", 3),
        ("range(tensor.size(0) // 2)", 3),
        ("range(tensor.shape[-1])", 5),
        ("range(len(table))", 2),
        ("range(int(np.ceil(len(array) / 4)))", 3),
        ("range(array.shape[0] // number)", 5),
        ("array", 10),
        ("islice(rates, 1, 100)", 3),
    ],
)
def test_what_python_itself_has_made_is_counted(text: str, number: int) -> None:
    names = {
        "args": SimpleNamespace(epochs=14, long=False),
        "config": {"train": {"epochs": 7}},
        "slotted": Slotted(),
        "settings": Settings(epochs=21),
        "loud": Loud(),
        "rates": [1, 2, 3, 4],
        "mapping": {"a": 1, "b": 2},
        "splitter": Splitter(),
        "array": np.zeros((10, 3)),
        "tensor": torch.zeros(6, 5),
        "table": pd.DataFrame({"a": [1, 2]}),
        "number": np.int64(2),
        "np": np,
    }
    wanted = number if text != "range(2, args.epochs + 1)" else 13
    assert count(text, **names) == Count(number=wanted)


def test_the_shortest_that_is_known_bounds_what_goes_on_together() -> None:
    assert count("zip(range(500), batches())") == Count(number=500, is_bound=True)
    assert count("islice(batches(), 40)") == Count(number=40, is_bound=True)


@pytest.mark.parametrize(
    "text",
    [
        "range(loud.epochs)",
        "range(loud.unknown)",
        "loud",
        "range(len(loud))",
        "loud_list",
        "range(find_epochs())",
        "range(n)",
        "batches()",
        "own_range(3)",
        "thing.range(3)",
        "range('x')",
        "range(1 / 0)",
        "range(2.5)",
        "[*rates, 1]",
        "zip(batches(), batches())",
        "range(1, 2, 0)",
        "config['missing']",
        "range(config.get(loud, 3))",
        "range(loud.get('epochs'))",
        "-" * 100 + "1",
        "generator",
        "range(1 if loud in (1, 2) else 2)",
        "range(1 if 3 in (loud, 2) else 2)",
        "range(1 if not loud else 2)",
        "range(loud.size(0))",
    ],
)
def test_what_would_have_to_be_run_is_not_known(text: str) -> None:
    names = {
        "loud": Loud(),
        "loud_list": LoudList([1]),
        "rates": [1],
        "own_range": Loud(),
        "config": {},
        "generator": (x for x in range(3)),
    }
    with pytest.raises(NotSeenError):
        count(text, **names)


def test_a_name_that_the_script_took_from_python_is_its_own() -> None:
    def backwards(_n: int) -> Any:
        raise AssertionError

    with pytest.raises(NotSeenError):
        count("range(5)", range=backwards)
