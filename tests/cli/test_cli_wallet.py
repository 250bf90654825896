"""`sojourn wallet` as people type it, and what a plan makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where this machine's state is kept for the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "state" / "sojourn"
    folder.mkdir(parents=True)
    return folder


def sojourn(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sojourn", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def wallet(*arguments: str) -> dict[str, Any]:
    result = sojourn("wallet", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def note(state: Path, **entry: object) -> None:
    with (state / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(entry) + "\n")


def test_a_wallet_of_which_nothing_is_known_says_so() -> None:
    document = wallet()
    assert document["schema"] == "sojourn.wallet/1"
    assert (document["balance_units"], document["balance_as_of"]) == (None, None)
    assert document["current_rate_units_per_hour"] == 0
    rates = {row["runtime"]: row for row in document["rates"]}
    assert rates["colab/t4"]["rate_units_per_hour"] == 1.07
    assert rates["colab/h100"]["rate_units_per_hour"] is None
    assert {row["provider"] for row in document["quotas"]} == {"kaggle"}
    text = sojourn("wallet").stdout
    assert "sojourn wallet --set UNITS" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_balance_that_is_set_is_kept_with_its_date() -> None:
    assert wallet("--set", "87.5")["balance_units"] == 87.5
    document = wallet()
    assert document["balance_units"] == 87.5
    assert document["balance_as_of"].endswith("Z")
    assert not document["balance_is_stale"]
    assert "87.5 compute units on " in sojourn("wallet").stdout


@pytest.mark.parametrize("units", ["-1", "nan", "inf", "many"])
def test_what_is_no_balance_is_refused_and_not_kept(state: Path, units: str) -> None:
    result = sojourn("wallet", "--set", units)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert not (state / "ledger.jsonl").exists()


def test_figures_over_180_days_old_bear_a_star(state: Path) -> None:
    note(state, at="2024-01-01T00:00:00Z", kind="balance", units=40.0)
    note(state, at="2024-01-01T00:00:00Z", kind="rate", runtime_type="colab/h100", units=11.0)
    note(state, at="2024-01-01T00:00:00Z", kind="rate", runtime_type="colab/t4", units=1.84)
    text = sojourn("wallet").stdout
    assert "40.0* compute units on 2024-01-01" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("colab/")}
    assert "11.00*  2024-01-01  your own runs" in lines["colab/h100"]
    assert "1.07" in lines["colab/t4"]  # the shipped one is newer


def test_a_rate_of_one_s_own_is_yours_with_a_source_too(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    catalog = tmp_path / "config" / "sojourn" / "catalog.toml"
    catalog.parent.mkdir(parents=True)
    catalog.write_text(
        '[runtime_types."colab/t4"]\nrate_units_per_hour = 1.5\n'
        'sources.rate_units_per_hour = { source = "my panel", as_of = "2026-11-24" }\n'
    )
    note(state, at="2026-11-25T00:00:00Z", kind="rate", runtime_type="colab/t4", units=9.0)
    text = sojourn("wallet").stdout
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("colab/")}
    assert lines["colab/t4"].split()[1:] == [
        "1.50",
        "2026-11-24",
        "your",
        "catalog.toml",
        "unknown",
    ]


def test_a_damaged_ledger_is_told_with_its_line(state: Path) -> None:
    (state / "ledger.jsonl").write_text('{"at": 1}\n')
    for arguments in (("wallet",), ("plan", "x.json")):
        result = sojourn(*arguments)
        assert result.returncode == 6
        assert "Line 1 of" in result.stderr
        assert "Traceback" not in result.stderr


def test_runs_of_this_machine_are_listed_with_what_they_took(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("print(1)")
    assert sojourn("run", job, "--on", "local", "-q").returncode == 0
    (run,) = wallet()["runs"]
    assert (run["runtime"], run["compute_units"], run["is_running"]) == ("local", 0.0, False)
    assert "1 run so far took 0 units" in sojourn("wallet").stdout


@pytest.mark.torch
def test_a_plan_reckons_with_the_balance_and_the_rate_of_one_s_own_runs(
    state: Path, tmp_path: Path
) -> None:
    target = tmp_path / "train.py"
    target.write_text(
        "import torch\n"
        "model = torch.nn.Linear(8, 8).cuda()\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for _ in range(3):\n"
        "    model(torch.randn(4, 8, device='cuda')).mean().backward()\n"
        "    optimizer.step()\n"
    )
    day = subprocess.run(["date", "-u", "+%Y-%m-%d"], capture_output=True, text=True, check=True)
    today = day.stdout.strip()
    note(state, at=f"{today}T00:00:00Z", kind="balance", units=40.0)
    note(state, at=f"{today}T00:00:00Z", kind="rate", runtime_type="colab/t4", units=1.33)
    result = sojourn("plan", target, "--on", "colab/t4", "--json")
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    (option,) = plan["options"]
    assert option["rate_units_per_hour"] == 1.33
    assert (option["rate_as_of"], option["rate_source"]) == (today, "your own runs")
    assert (plan["terms"]["wallet_units"], plan["terms"]["wallet_as_of"]) == (40.0, today)
    assert any("your own run was charged" in line for line in plan["notes"])
    own = sojourn("plan", target, "--on", "colab/t4", "--json", "--wallet", "5")
    assert json.loads(own.stdout)["terms"]["wallet_units"] == 5.0
