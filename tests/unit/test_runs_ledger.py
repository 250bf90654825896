"""The ledger on the disk: what is noted comes back, what is damaged is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sojourn.errors import IntegrityError, UsageError
from sojourn.planning.wallet import Balance, ObservedRate, Use
from sojourn.runs.ledger import Ledger, default_ledger_path, past_runs, read_ledger

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 25, 12, 0, 0, 120_000, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """Ticks a second at each look."""

    at: datetime = field(default=START)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(path=tmp_path / "state" / "ledger.jsonl", now=Clock())


def test_what_is_noted_comes_back_with_its_instant(ledger: Ledger) -> None:
    assert ledger.entries() == []
    ledger.record_balance(87.5)
    assert ledger.record_rate("colab/t4", 1.07, runtimes_up=1)
    ledger.record_use("20261125-120000-train-abcd", 3.25)
    first = START + timedelta(seconds=1)
    assert ledger.entries() == [
        Balance(units=87.5, at=first),
        ObservedRate(runtime_type="colab/t4", units_per_hour=1.07, at=first + timedelta(seconds=1)),
        Use(run="20261125-120000-train-abcd", units=3.25, at=first + timedelta(seconds=2)),
    ]


@pytest.mark.parametrize(("rate", "runtimes_up"), [(2.78, 2), (1.07, 0), (0.0, 1), (5e-324, 1)])
def test_the_account_s_rate_is_a_runtime_s_only_where_exactly_one_is_up(
    ledger: Ledger, rate: float, runtimes_up: int
) -> None:
    assert not ledger.record_rate("colab/t4", rate, runtimes_up=runtimes_up)
    assert ledger.entries() == []


@pytest.mark.parametrize("units", [-1.0, float("nan"), float("inf"), 1e308])
def test_what_is_no_number_of_units_is_refused_and_nothing_is_written(
    ledger: Ledger, units: float
) -> None:
    for record in (
        ledger.record_balance,
        lambda value: ledger.record_rate("colab/t4", value, runtimes_up=1),
        lambda value: ledger.record_use("x", value),
    ):
        with pytest.raises(UsageError):
            record(units)
    assert not ledger.path.exists()


def test_a_line_that_was_torn_is_left_out_and_does_not_take_the_next_with_it(
    ledger: Ledger,
) -> None:
    ledger.record_balance(5.0)
    with ledger.path.open("ab") as file:
        file.write(b'{"at": "2026-11-2')
    assert len(ledger.entries()) == 1
    ledger.record_balance(4.0)
    assert [entry.units for entry in ledger.entries() if isinstance(entry, Balance)] == [5.0, 4.0]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"at": "yesterday", "kind": "balance", "units": 1}',
        '{"at": "2026-11-25T12:00:00", "kind": "balance", "units": 1}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "balance", "units": -1}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "balance", "units": "x"}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "balance", "units": NaN}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "rate", "units": 1}',
        '{"at": 3, "kind": "balance", "units": 1}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "balance", "units": 1e308}',
        '{"at": "2026-11-25T12:00:00Z", "kind": "rate", "runtime_type": "x/y", "units": 5e-324}',
        f'{{"at": "2026-11-25T12:00:00Z", "kind": "balance", "units": {"9" * 400}}}',
        '{"at": "0001-01-01T00:00:00+14:00", "kind": "balance", "units": 1}',
        "nonsense}",
    ],
)
def test_a_whole_line_that_is_no_entry_is_told_with_its_number(ledger: Ledger, line: str) -> None:
    ledger.record_balance(5.0)
    with ledger.path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(IntegrityError, match="Line 2 of"):
        ledger.entries()


def test_lines_that_an_editor_of_windows_ended_count(ledger: Ledger) -> None:
    ledger.record_balance(5.0)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"\n", b" \r\n"))
    assert [entry.units for entry in ledger.entries() if isinstance(entry, Balance)] == [5.0]


def test_a_pipe_in_place_of_the_ledger_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ledger.jsonl")
    ledger = Ledger(path=tmp_path / "ledger.jsonl", now=Clock())
    with pytest.raises(IntegrityError, match="cannot be read"):
        ledger.entries()
    with pytest.raises(UsageError, match="cannot be written"):
        ledger.record_balance(1.0)


def test_a_kind_of_entry_of_a_later_version_is_left_out(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_text('{"at": "2026-11-25T12:00:00Z", "kind": "gift", "flowers": 3}\n')
    assert ledger.entries() == []


def test_a_folder_in_place_of_the_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_ledger(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        Ledger(path=tmp_path, now=Clock()).record_balance(1.0)


def test_the_ledger_is_kept_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert str(default_ledger_path()) == "/somewhere/sojourn/ledger.jsonl"


def test_where_nothing_ran_there_are_no_runs(tmp_path: Path) -> None:
    assert past_runs(tmp_path / "runs") == []
