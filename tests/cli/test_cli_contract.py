"""What scripts may rely on, over all verbs: options, one document on stdout, errors, status."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

import sojourn
from sojourn.cli import VERBS, root
from sojourn.cli._errors import run_guarded

# The options that the contract names for each verb that there is.
OPTIONS = {
    "runtimes": {"--subscription"},
    "plan": {
        "--on",
        "--subscription",
        "--wallet",
        "--epochs",
        "--batch-size",
        "--path",
        "--html",
        "--timeout",
    },
    "push": {"--message", "--dry-run", "--exclude"},
    "pull": {"--include", "--revision"},
    "ls": {"--revision"},
    "verify": set(),
    "run": {"--on", "--data", "--deadline", "--out"},
    "runs": set(),
    "logs": {"-f"},
    "wallet": set(),
    "doctor": set(),
}
COMMON = {"--json", "-q", "-v", "--no-color"}
# What click writes for a value that was given no name: neither what it is, nor in which unit.
NAMELESS = {"TEXT", "INTEGER", "FLOAT", "PATH", "INTEGER RANGE", "FILENAME"}

CARD_OF_ONES_OWN = """
[accelerators.rtx3060]
name = "GeForce RTX 3060"
memory_bytes = 12622168064
memory_bandwidth_bytes_per_s = 360e9
fp32_flops_per_s = 12.7e12
tf32_flops_per_s = 25.4e12
fp16_flops_per_s = 50.8e12
bf16_flops_per_s = 50.8e12
compute_capability = "8.6"

[runtime_types."local/rtx3060"]
accelerator = "rtx3060"
count = 1
host_memory_bytes = 34359738368
disk_bytes = 500e9
vcpus = 8
session_limit_s = 86400
rate_units_per_hour = 0.0
subscriptions = ["free", "payg", "pro", "pro+"]
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: a data set `data`, pushed to `store`; scripts; nothing of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "train" / "A.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "job.py").write_text("print('hello')\n")
    (tmp_path / "failing.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "broken.py").write_text("x = (\n")
    sojourn.push("data", "store")
    return tmp_path


def outcome(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    status = run_guarded(root, list(arguments))
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def parameters(verb: str) -> list[click.Option]:
    command = import_module(f"sojourn.cli.{verb}").command
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_takes_the_options_that_the_contract_names(verb: str) -> None:
    taken = {name for option in parameters(verb) for name in option.opts}
    assert taken >= OPTIONS[verb] | COMMON


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_each_option_is_and_takes(
    verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = outcome(capfd, verb, "--help")
    assert status == 0
    for option in parameters(verb):
        assert option.help
        assert all(name in out for name in option.opts)
        if not option.is_flag:
            assert option.make_metavar(click.Context(root)) not in NAMELESS


@pytest.mark.parametrize(
    "arguments",
    [
        "runtimes",
        "runtimes --subscription free --all",
        "push data store",
        "push data other --dry-run -m one",
        "pull store back --include train/*.csv",
        "ls store train/*",
        "verify store",
        "run job.py --on local --out results",
        "runs",
        "wallet",
        "wallet --set 3",
        "doctor",
        "doctor store",
    ],
)
@pytest.mark.parametrize("volume", ["", "-q", "-v"])
def test_a_result_is_one_document_with_its_schema(
    arguments: str, volume: str, capfd: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = arguments.split()
    status, out, _ = outcome(capfd, verb, *rest, "--json", *volume.split())
    assert status == 0
    assert json.loads(out)["schema"] == f"sojourn.{verb}/1"


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ("", 2, "usage"),
        ("nonsense", 2, "usage"),
        ("runtimes --subscription gold", 2, "usage"),
        ("plan", 2, "usage"),
        ("plan none.py", 2, "usage"),
        ("plan data", 2, "usage"),
        ("plan job.py --cheapest --fastest", 2, "usage"),
        ("plan job.py --timeout soon", 2, "usage"),
        ("plan job.py --on moon/t4", 3, "catalog"),
        ("plan broken.py", 4, "trace"),
        ("push none store", 2, "usage"),
        ("push empty store", 2, "usage"),
        ("push data store --exclude none", 2, "usage"),
        ("push data ftp://store", 5, "store"),
        ("pull nowhere", 5, "not_found"),
        ("pull store back --include none", 2, "usage"),
        ("pull store back --revision 0123", 2, "usage"),
        ("pull damaged back", 6, "integrity"),
        ("ls nowhere", 5, "not_found"),
        ("ls unreadable", 6, "integrity"),
        ("verify nowhere", 5, "not_found"),
        ("verify damaged", 6, "integrity"),
        ("run none.py --on local", 2, "usage"),
        ("run job.py --on moon/t4", 3, "catalog"),
        ("run broken.py --on local", 4, "trace"),
        ("run job.py --on local --data nowhere=x", 5, "not_found"),
        ("run job.py --on local --data damaged=x", 6, "integrity"),
        ("run failing.py --on local", 7, "run"),
        ("logs none", 2, "usage"),
        ("wallet --set -1", 2, "usage"),
        ("doctor --live", 2, "usage"),
        ("doctor ftp://store", 5, "store"),
        ("login nobody", 2, "usage"),
        ("share store --with me", 2, "usage"),
        ("probe none.py", 2, "usage"),
    ],
)
def test_a_failure_is_one_document_one_paragraph_and_its_status(
    arguments: str, status: int, code: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _damage(place)
    found, out, err = outcome(capfd, *arguments.split(), "--json")
    assert found == status
    error: dict[str, Any] = json.loads(out)["error"]
    assert set(error) == {"code", "message", "remedy", "retryable"}
    assert (error["code"], error["retryable"]) == (code, False)
    assert error["message"]
    assert error["remedy"]
    told = [line for line in err.splitlines() if line.startswith("sojourn: ")]
    assert told == [f"sojourn: {error['message']} {error['remedy']}"]
    assert err.splitlines()[-1] == told[0]
    assert "Traceback" not in err


def _damage(place: Path) -> None:
    """Push two more data sets, one with a flipped byte in its shard, one without a manifest."""
    for name in ("damaged", "unreadable"):
        sojourn.push("data", name)
    (shard,) = (place / "damaged" / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    (place / "unreadable" / "sojourn.json").write_text("{")


def test_what_the_doctor_finds_amiss_is_in_the_document_beside_the_error(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    catalog = place / "CONFIG" / "sojourn" / "catalog.toml"
    catalog.parent.mkdir(parents=True)
    catalog.write_text("[accelerators.t4\n")
    status, out, err = outcome(capfd, "doctor", "--json")
    document = json.loads(out)
    (amiss,) = (check for check in document["checks"] if check["required"] and not check["ok"])
    assert status == 3
    assert document["error"]["message"] == amiss["detail"]
    assert err == f"sojourn: {amiss['detail']} {amiss['remedy']}\n"


@pytest.mark.parametrize(
    "arguments",
    ["runtimes", "ls store", "push data store", "run job.py --on local", "runs", "logs last"],
)
def test_quiet_is_silent_where_all_went_well(
    arguments: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert outcome(capfd, "run", "job.py", "--on", "local")[0] == 0
    assert outcome(capfd, *arguments.split(), "-q") == (0, "", "")


def test_the_figures_of_a_runtime_type_that_have_sources_are_in_the_document(
    capfd: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = outcome(capfd, "runtimes", "--all", "--json")
    for row in json.loads(out)["runtimes"]:
        assert set(row["sources"]) <= set(row)


def test_a_card_of_one_s_own_is_a_row_like_the_shipped_ones(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    catalog = place / "CONFIG" / "sojourn" / "catalog.toml"
    catalog.parent.mkdir(parents=True)
    catalog.write_text(CARD_OF_ONES_OWN)
    status, out, _ = outcome(capfd, "runtimes", "--json")
    rows = {row["runtime"]: row for row in json.loads(out)["runtimes"]}
    row = rows["local/rtx3060"]
    assert status == 0
    assert row["accelerator"] == "GeForce RTX 3060"
    assert row["device_memory_bytes"] == 12622168064
    assert row["disk_bytes"] == 500_000_000_000
    assert row["session_limit_s"] == 86400
    assert row["rate_units_per_hour"] == 0
    assert set(rows) > {"local/rtx3060", "colab/t4", "colab/l4", "colab/a100-40gb", "colab/cpu"}


def test_the_manifest_holds_what_the_contract_says(place: Path) -> None:
    first = json.loads((place / "store" / "sojourn.json").read_text())
    (place / "data" / "more.txt").write_text("more")
    sojourn.push("data", "store")
    manifest = json.loads((place / "store" / "sojourn.json").read_text())
    assert manifest["schema"].startswith("sojourn.manifest/")
    assert (first["parent"], manifest["parent"]) == (None, first["revision"])
    (shard,) = manifest["shards"]
    assert (place / "store" / shard["key"]).stat().st_size == shard["size_bytes"]
    assert shard["digest"] == f"sha256:{Path(shard['key']).name.removesuffix('.tar.zst')}"
    files = [member for member in manifest["members"] if member["kind"] == "file"]
    assert [member["path"] for member in files] == ["more.txt", "train/A.csv"]
    for member in files:
        assert set(member) >= {"mode", "shard", "offset", "size_bytes", "digest"}
    assert "tar --zstd" in (place / "store" / "README.md").read_text()
