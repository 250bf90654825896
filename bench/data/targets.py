"""What Sojourn is to reach, as a table, and what of it a run reached. Figures in, verdicts out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Run
    from limits import Limits

Sense: TypeAlias = Literal["at least", "at most"]
_READING = "all tables in memory: times faster than Kaggle's way"
_PULLING = "all files on disk: times faster than Kaggle's way"
_READ_BYTES = "bytes that reading all tables fetches / its zip"
_PULL_BYTES = "bytes that pulling all files fetches / its zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    what: str
    set_name: str
    sense: Sense
    bound: float
    figure: Callable[[Run, Limits], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    what: str
    set_name: str
    sense: Sense
    bound: float
    figure: float

    @property
    def is_met(self) -> bool:
        if self.sense == "at least":
            return self.figure >= self.bound
        return self.figure <= self.bound


def judge(runs: Sequence[Run], limits: Limits) -> list[Verdict]:
    """Return what each target that concerns these runs came to."""
    by_name = {run.data.name: run for run in runs}
    return [
        Verdict(
            what=target.what,
            set_name=target.set_name,
            sense=target.sense,
            bound=target.bound,
            figure=target.figure(by_name[target.set_name], limits),
        )
        for target in TARGETS
        if target.set_name in by_name
    ]


def kaggle_files_s(run: Run) -> float:
    return run.steps["kaggle: curl"].seconds + run.steps["kaggle: unzip"].seconds


def kaggle_tables_s(run: Run) -> float:
    return kaggle_files_s(run) + run.steps["kaggle: pandas"].seconds


def _faster_reading(run: Run, _: Limits) -> float:
    return kaggle_tables_s(run) / run.steps["sojourn: tables"].seconds


def _faster_pulling(run: Run, _: Limits) -> float:
    return kaggle_files_s(run) / run.steps["sojourn: pull"].seconds


def _of_the_link(run: Run, limits: Limits) -> float:
    step = run.steps["sojourn: pull"]
    return step.wire_bytes / step.seconds / limits.link_8


def _read_share(run: Run, _: Limits) -> float:
    return run.steps["sojourn: tables"].wire_bytes / run.archive.stat().st_size


def _pull_share(run: Run, _: Limits) -> float:
    return run.steps["sojourn: pull"].wire_bytes / run.archive.stat().st_size


def _pack_rate(run: Run, _: Limits) -> float:
    return float(run.facts["raw_bytes"]) / run.steps["sojourn: push"].cpu_s / 1e6


def _peak(name: str) -> Callable[[Run, Limits], float]:
    return lambda run, _: run.steps[name].peak_bytes / 2**20


def _again_requests(run: Run, _: Limits) -> float:
    return run.steps["sojourn: pull again"].requests


def _again_seconds(run: Run, _: Limits) -> float:
    return run.steps["sojourn: pull again"].seconds


def _fact(name: str) -> Callable[[Run, Limits], float]:
    return lambda run, _: float(run.facts[name])


def _first_table(run: Run, _: Limits) -> float:
    return float(run.steps["sojourn: one table"].said["first_s"]) * 1e3


def _next_table(run: Run, _: Limits) -> float:
    return float(run.steps["sojourn: one table"].said["again_s"]) * 1e3


def _target(
    what: str, set_name: str, sense: Sense, bound: float, figure: Callable[[Run, Limits], float]
) -> Target:
    return Target(what=what, set_name=set_name, sense=sense, bound=bound, figure=figure)


def _for_all(name: str) -> tuple[Target, ...]:
    """Return the targets that are the same whatever the set is."""
    return (
        _target("pull again: requests", name, "at most", 1, _again_requests),
        _target("pull again: seconds", name, "at most", 1.0, _again_seconds),
        _target("one file changed: shards sent", name, "at most", 2, _fact("shards_sent")),
        _target("one file changed: shards fetched", name, "at most", 2, _fact("shards_fetched")),
        _target("pack: MB/s a core", name, "at least", 60, _pack_rate),
        _target("push: peak memory, MiB", name, "at most", 512, _peak("sojourn: push")),
        _target("pull: peak memory, MiB", name, "at most", 512, _peak("sojourn: pull")),
    )


def _for_tables(name: str) -> tuple[Target, ...]:
    return (
        _target("read one small table, local shards: ms", name, "at most", 50, _first_table),
        _target("the same, frame decoded: ms", name, "at most", 2, _next_table),
    )


TARGETS = (
    _target(_READING, "windows", "at least", 12, _faster_reading),
    _target(_PULLING, "windows", "at least", 3, _faster_pulling),
    _target(_READ_BYTES, "windows", "at most", 1 / 20, _read_share),
    _target(_PULL_BYTES, "windows", "at most", 1 / 4, _pull_share),
    *_for_all("windows"),
    *_for_tables("windows"),
    _target(_READING, "walks", "at least", 4, _faster_reading),
    _target(_PULLING, "walks", "at least", 4, _faster_pulling),
    _target(_READ_BYTES, "walks", "at most", 1.05, _read_share),
    _target(_PULL_BYTES, "walks", "at most", 1.05, _pull_share),
    *_for_all("walks"),
    *_for_tables("walks"),
    _target(_PULLING, "images", "at least", 3, _faster_pulling),
    _target("pull: share of the link, 8 connections", "images", "at least", 0.8, _of_the_link),
    _target(_PULL_BYTES, "images", "at most", 1.01, _pull_share),
    *_for_all("images"),
)
