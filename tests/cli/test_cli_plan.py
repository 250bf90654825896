"""`sojourn plan` as people type it: verdicts, JSON, refusals with their exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sojourn.forecast.correction import Correction, job_key
from sojourn.runs.corrections import default_corrections_path, keep_correction
from sojourn.script.source import read_source

SCRIPTS = Path(__file__).parent.parent / "scripts"

TRAINING = """
import torch
from torch.utils.data import DataLoader, TensorDataset
width = 4096
model = torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(4)]).cuda()
optimizer = torch.optim.Adam(model.parameters())
for (x,) in DataLoader(TensorDataset(torch.randn(40_000, 16)), batch_size={batch}):
    optimizer.zero_grad()
    model(x.cuda().repeat(1, width // 16)).mean().backward()
    optimizer.step()
"""


def sojourn(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sojourn", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def script(tmp_path: Path, code: str, name: str = "train.py") -> Path:
    path = tmp_path / name
    path.write_text(code, "utf-8")
    return path


@pytest.mark.torch
def test_the_json_document_keeps_the_contract(tmp_path: Path) -> None:
    target = script(tmp_path, TRAINING.format(batch=512))
    result = sojourn("plan", target, "--on", "colab/t4", "--on", "colab/cpu", "--json")
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert plan["schema"] == "sojourn.plan/1"
    assert set(plan["trace"]) >= {
        "seconds",
        "steps",
        "batch_size",
        "samples_per_epoch",
        "torch",
        "assumptions",
        "host_memory_bytes",
    }
    assert (plan["trace"]["batch_size"], plan["trace"]["samples_per_epoch"]) == (512, 40_000)
    options = {option["runtime"]: option for option in plan["options"]}
    t4 = options["colab/t4"]
    assert t4["verdict"] == "fits"
    memory = t4["device_memory"]
    peak = memory["peak_reserved_bytes"]
    assert peak["low"] <= peak["expected"] <= peak["high"] <= memory["usable_bytes"]
    assert sum(memory["by"].values()) >= memory["peak_allocated_bytes"]
    assert memory["at"]["line"].startswith("train.py:")
    highest = max(memory["curve"], key=lambda point: sum(point["by"].values()))
    assert 10 < len(memory["curve"]) <= 200
    assert sum(highest["by"].values()) <= memory["peak_allocated_bytes"]
    assert memory["top_lines"][0]["line"].startswith("train.py:")
    sizes = [share["bytes"] for share in memory["top_lines"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) <= memory["peak_allocated_bytes"]
    assert t4["max_batch_size"] > 512
    assert options["colab/cpu"]["verdict"] == "unknown"
    assert options["colab/cpu"]["device_memory"] is None
    assert plan["recommended"] == "colab/t4"


@pytest.mark.torch
def test_what_fits_nowhere_is_shown_and_refused_with_status_8(tmp_path: Path) -> None:
    target = script(tmp_path, TRAINING.format(batch=40_000).replace("repeat(1,", "repeat(16,"))
    result = sojourn("plan", target, "--on", "colab/t4", "--json")
    assert result.returncode == 8
    plan = json.loads(result.stdout)
    assert plan["recommended"] is None
    assert plan["error"]["code"] == "nothing_fits"
    assert plan["options"][0]["verdict"] == "does_not_fit"
    assert "Traceback" not in result.stderr


NO_LOADER = """
import torch
model = torch.nn.Linear(1024, 1024).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    x = torch.randn({rows}, 1024, device="cuda")
    model(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
"""


@pytest.mark.torch
def test_where_nothing_fits_only_what_can_be_done_is_advised(tmp_path: Path) -> None:
    target = script(tmp_path, NO_LOADER.format(rows=40_000_000))
    result = sojourn("plan", target, "--on", "colab/t4")
    assert result.returncode == 8
    assert "it fits with" not in result.stdout
    assert "ways to fit" not in result.stderr
    assert "--batch-size" not in result.stderr
    assert "Make its batches smaller, in the script or by its own arguments" in result.stderr
    said = "carries the job as it is"
    assert (result.stdout + result.stderr).count(said) == 1

    target = script(tmp_path, TRAINING.format(batch=40_000).replace("repeat(1,", "repeat(8,"))
    result = sojourn("plan", target, "--on", "colab/t4")
    assert result.returncode == 8
    assert "it fits with" in result.stdout
    assert "See the ways to fit above, plan with a smaller --batch-size, or" in result.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_an_option_of_the_script_s_is_led_behind_the_dashes(tmp_path: Path, verb: str) -> None:
    result = sojourn(verb, script(tmp_path, "pass"), "--lr", "3")
    assert result.returncode == 2
    assert "No such option" in result.stderr
    assert f"go after `--`: sojourn {verb} TARGET -- --lr" in result.stderr


@pytest.mark.torch
def test_the_text_names_the_verdict_and_the_page_is_written(tmp_path: Path) -> None:
    target = script(tmp_path, TRAINING.format(batch=64))
    page = tmp_path / "plan.html"
    result = sojourn("plan", target, "--on", "colab/t4", "--html", page, "--no-color")
    assert result.returncode == 0, result.stderr
    assert "fits" in result.stdout
    assert "colab/t4 is the cheapest" in result.stdout
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.torch
def test_bars_are_drawn_with_what_the_terminal_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = sojourn("plan", script(tmp_path, TRAINING.format(batch=64)), "--on", "colab/t4")
    assert result.returncode == 0, result.stderr
    assert "##" in result.stdout
    assert "colab/t4 is the cheapest" in result.stdout


@pytest.mark.torch
def test_arguments_after_two_dashes_go_to_the_script(tmp_path: Path) -> None:
    code = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--batch', type=int)\n"
    code += TRAINING.replace("{batch}", "p.parse_args().batch")
    result = sojourn(
        "plan", script(tmp_path, code), "--on", "colab/t4", "--json", "--", "--batch", "96"
    )
    assert json.loads(result.stdout)["trace"]["batch_size"] == 96


@pytest.mark.torch
def test_a_path_rule_leads_to_the_data_on_this_machine(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    data.mkdir()
    (data / "size.txt").write_text("77")
    code = TRAINING.replace("{batch}", "int(open('/srv/data/size.txt').read())")
    folder = tmp_path / "code"
    folder.mkdir()
    target = script(folder, code)
    result = sojourn("plan", target, "--on", "colab/t4", "--json", "--path", f"/srv/data={data}")
    assert json.loads(result.stdout)["trace"]["batch_size"] == 77


@pytest.mark.parametrize(
    ("name", "code", "status", "needle"),
    [
        ("train.py", "def broken(:\n", 4, "train.py:1"),
        ("train.ipynb", "{not json", 4, "notebook"),
        ("train.txt", "x", 2, ".ipynb"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, name: str, code: str, status: int, needle: str
) -> None:
    result = sojourn("plan", script(tmp_path, code, name))
    assert result.returncode == status, result.stderr
    assert needle in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.torch
def test_a_script_without_a_training_step_is_refused_in_json_too() -> None:
    result = sojourn("plan", SCRIPTS / "no_torch.py", "--json")
    assert result.returncode == 4
    assert json.loads(result.stdout)["error"]["code"] == "trace"
    assert "optimizer step" in result.stderr


def test_a_missing_file_is_bad_usage(tmp_path: Path) -> None:
    result = sojourn("plan", tmp_path / "missing.py")
    assert result.returncode == 2
    assert "missing.py" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_runtime_names_the_near_ones() -> None:
    result = sojourn("plan", SCRIPTS / "gan.py", "--on", "colab/a100")
    assert result.returncode == 3
    assert "colab/a100-40gb" in result.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--timeout", "soon"),
        ("--batch-size", "0"),
        ("--path", "x"),
        ("--nonsense",),
        ("--wallet", "0"),
        ("--wallet", "-3"),
        ("--wallet", "nan"),
        ("--wallet", "much"),
        ("--epochs", "0"),
        ("--epochs", "-1"),
        ("--epochs", "1.5"),
        ("--deadline", "0h"),
        ("--deadline", "tomorrow"),
        ("--data-bytes", "-1"),
        ("--data-bytes", "lots"),
        ("--subscription", "platinum"),
        ("--save-trace", "traces.txt"),
        ("--save-trace", "/nowhere/traces.json"),
    ],
)
def test_bad_options_are_bad_usage(option: tuple[str, ...]) -> None:
    result = sojourn("plan", SCRIPTS / "gan.py", *option)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(("option", "value"), [("--wallet", "0"), ("--epochs", "0")])
def test_a_wallet_or_epochs_of_zero_are_refused_with_the_remedy_in_json_too(
    option: str, value: str
) -> None:
    result = sojourn("plan", SCRIPTS / "gan.py", option, value, "--json")
    assert result.returncode == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "usage"
    assert option in error["remedy"]


@pytest.mark.parametrize(
    ("line", "needle"),
    [
        ("rate_units_per_hour = -1.0", "rate_units_per_hour"),
        ("vcpus = 0", "vcpus"),
        ("network_bytes_per_s = -5", "network_bytes_per_s"),
        ("rate_units_per_hour =", "not TOML"),
    ],
)
def test_a_catalog_with_a_missing_or_negative_figure_is_refused_with_file_line_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, needle: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    overlay = tmp_path / "sojourn" / "catalog.toml"
    overlay.parent.mkdir()
    overlay.write_text(f'[runtime_types."colab/t4"]\n{line}\n', "utf-8")
    result = sojourn("plan", SCRIPTS / "gan.py")
    assert result.returncode == 3
    assert str(overlay) in result.stderr
    assert needle in result.stderr
    assert "line 2" in result.stderr
    assert "Traceback" not in result.stderr


def fields_of(option: dict[str, object]) -> dict[str, object]:
    """Return what tracing decides of an option, without what the seconds of tracing do."""
    names = ("runtime", "verdict", "device_memory", "max_batch_size", "rate_units_per_hour")
    return {name: option[name] for name in names}


@pytest.mark.torch
def test_saved_traces_are_a_target_for_other_wallets_and_cards_without_the_script(
    tmp_path: Path,
) -> None:
    target = script(tmp_path, TRAINING.format(batch=512))
    saved = tmp_path / "train.json.gz"
    made = sojourn("plan", target, "--on", "colab/t4", "--json", "--save-trace", saved)
    assert made.returncode == 0, made.stderr
    target.unlink()
    again = sojourn("plan", saved, "--on", "colab/t4", "--json", "--wallet", "3", "--epochs", "2")
    assert again.returncode == 0, again.stderr
    first, second = json.loads(made.stdout), json.loads(again.stdout)
    assert [*map(fields_of, first["options"])] == [*map(fields_of, second["options"])]
    assert second["target"] == first["target"]
    assert (second["terms"]["wallet_units"], second["options"][0]["epochs"]) == (3.0, 2)
    other = sojourn("plan", saved, "--on", "colab/a100-40gb", "--json")
    assert json.loads(other.stdout)["options"][0]["max_batch_size"] > 512


@pytest.mark.torch
def test_what_a_probe_measured_of_this_job_is_reckoned_with_and_not_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    target = script(tmp_path, TRAINING.format(batch=512))
    saved = tmp_path / "train.json"
    before = sojourn("plan", target, "--on", "colab/t4", "--json", "--save-trace", saved)
    for job, is_this in ((job_key(read_source(target).code, (), 512), True), ("other", False)):
        kept = Correction(
            job=job,
            accelerator="t4",
            measured_on="2026-11-20",
            steps=20,
            memory_ratio=2.0,
            step_ratio=None,
        )
        corrections = default_corrections_path()
        corrections.unlink(missing_ok=True)
        keep_correction(corrections, kept)
        for again in (target, saved):
            after = sojourn("plan", again, "--on", "colab/t4", "--json")
            first, second = (reserved_on_t4(result) for result in (before, after))
            assert second == pytest.approx(first * (2.0 if is_this else 1.0), abs=2)


def reserved_on_t4(result: subprocess.CompletedProcess[str]) -> int:
    (option,) = json.loads(result.stdout)["options"]
    expected: int = option["device_memory"]["peak_reserved_bytes"]["expected"]
    return expected


@pytest.mark.parametrize(
    "option",
    [
        ("--batch-size", "3"),
        ("--path", "/a=/b"),
        ("--step", "f"),
        ("--save-trace", "other.json"),
        ("--", "x"),
    ],
)
def test_what_saved_traces_cannot_tell_any_more_is_refused(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    (tmp_path / "t.json").write_text("{}")
    result = sojourn("plan", tmp_path / "t.json", *option)
    assert result.returncode == 2
    assert "plan the script itself" in result.stderr


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "sojourn.traces/0", "traces": []}'])
def test_a_file_that_holds_no_saved_traces_has_status_4(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.json").write_text(content)
    result = sojourn("plan", tmp_path / "t.json", "--json")
    assert result.returncode == 4
    assert "--save-trace" in json.loads(result.stdout)["error"]["remedy"]
    assert "Traceback" not in result.stderr


def test_help_says_what_it_costs_and_its_exit_status() -> None:
    result = sojourn("plan", "--help")
    assert all(word in result.stdout for word in ("Example:", "Costs nothing", "Exit status:"))
