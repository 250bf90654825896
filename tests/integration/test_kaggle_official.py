"""Both ways between sojourn and Kaggle's own clients, as they are on PyPI."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import sojourn
from sojourn.stores.kaggle import open_kaggle
from sojourn.testing.kaggle_server import KaggleServer

_LAUNCHER = Path(__file__).with_name("kaggle_client.py")
_NAME = "me/leaks-2024"

pytestmark = pytest.mark.skipif(
    not (shutil.which("tar") and shutil.which("zstd")), reason="needs tar and zstd"
)

Client = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(kaggle: KaggleServer) -> KaggleServer:
    kaggle.datasets.pending_polls = 0
    return kaggle


@pytest.fixture
def client(server: KaggleServer) -> Client:
    """Run one of Kaggle's clients; it can reach the server, and nothing beyond this machine."""

    def run(
        *arguments: str | Path, check: bool = True, url: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(_LAUNCHER), url or server.url, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = random.Random(5)
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "noise.bin").write_bytes(rng.randbytes(300_000))
    (folder / "note.txt").write_text("a note\n")
    for number in range(12):
        rows = "".join(f"{row},{rng.gauss(0, 9):.3f}\n" for row in range(500))
        (folder / "train" / f"T_{number:02}.csv").write_text(f"time,level\n{rows}")
    return folder


def _follow_readme(pushed: Path) -> None:
    """Do what the README of a pushed set says, with tar, zstd and a Python without sojourn."""
    text = (pushed / "README.md").read_text()
    shell, python = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("sh", "python")
    )
    subprocess.run(["bash", "-euc", shell], cwd=pushed, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", python], cwd=pushed, check=True, env=environment)
    shutil.rmtree(pushed / "data" / ".sojourn-tables", ignore_errors=True)


def _difference(one: Path, other: Path) -> str:
    diff = ["diff", "-r", str(one), str(other)]
    return subprocess.run(diff, capture_output=True, text=True, check=False).stdout


def test_a_client_that_is_not_redirected_reaches_nothing(client: Client) -> None:
    done = client(
        "cli", "datasets", "files", "zillow/zecon", check=False, url="https://api.kaggle.com"
    )
    assert done.returncode != 0
    assert "ProxyError" in done.stdout + done.stderr


def test_what_was_pushed_is_fetched_by_kagglehub_and_opened_by_plain_tools(
    folder: Path, client: Client
) -> None:
    sojourn.push(folder, f"kaggle://{_NAME}")
    pushed = Path(client("hub-download", _NAME).stdout.splitlines()[-1])
    _follow_readme(pushed)
    assert _difference(folder, pushed / "data") == ""


def test_what_was_pushed_is_fetched_by_the_cli_and_opened_by_plain_tools(
    folder: Path, client: Client, tmp_path: Path
) -> None:
    sojourn.push(folder, f"kaggle://{_NAME}")
    client("cli", "datasets", "download", _NAME, "--unzip", "-p", tmp_path / "set")
    _follow_readme(tmp_path / "set")
    assert _difference(folder, tmp_path / "set" / "data") == ""


def test_after_more_pushes_versions_md_says_how_all_is_fetched(
    folder: Path, client: Client, server: KaggleServer, tmp_path: Path
) -> None:
    for number in range(3):
        (folder / "note.txt").write_text(f"note {number}\n")
        sojourn.push(folder, f"kaggle://{_NAME}", message=f"note {number}")
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    assert [version.notes for version in dataset.versions][1:] == ["note 1", "note 2"]
    # Kaggle's own client, under its own name.
    command = tmp_path / "bin" / "kaggle"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {_LAUNCHER} {server.url} cli "$@"\n')
    command.chmod(0o755)
    newest = Path(client("hub-download", _NAME).stdout.splitlines()[-1])
    (shell,) = re.findall(r"```sh\n(.*?)```", (newest / "VERSIONS.md").read_text(), re.DOTALL)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", shell], cwd=tmp_path, check=True, env=environment)
    _follow_readme(tmp_path / "set")
    assert _difference(folder, tmp_path / "set" / "data") == ""
    first = Path(client("hub-download", f"{_NAME}/versions/1").stdout.splitlines()[-1])
    assert (first / "sojourn-versions.json").exists()


def _make_foreign(folder: Path) -> dict[str, bytes]:
    files = {"train/A.csv": b"a,b\n1,2\n" * 40_000, "train/deep/B.csv": b"b\n", "C.txt": b"c"}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def test_what_kagglehub_uploaded_is_listed_and_read(
    client: Client, server: KaggleServer, tmp_path: Path
) -> None:
    files = _make_foreign(tmp_path / "theirs")
    client("hub-upload", _NAME, tmp_path / "theirs")
    client("hub-upload", _NAME, tmp_path / "theirs")
    assert server
    store = open_kaggle(_NAME, environment=os.environ)
    assert {o.key: o.size_bytes for o in store.list()} == {k: len(d) for k, d in files.items()}
    for key, data in files.items():
        assert store.get(key) == data
        assert store.get_range(key, offset=1, size_bytes=5) == data[1:6]
    server.datasets.zips_files_from_bytes = 1000
    store = open_kaggle(_NAME, environment=os.environ)
    assert store.get_range("train/A.csv", offset=80_000, size_bytes=8) == files["train/A.csv"][:8]


def test_what_kagglehub_uploaded_as_one_archive_is_read_unpacked_or_not(
    client: Client, server: KaggleServer, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "many").mkdir(parents=True)
    for number in range(60):
        (theirs / "many" / f"{number}.csv").write_text(f"{number}\n")
    client("hub-upload", _NAME, theirs)
    store = open_kaggle(_NAME, environment=os.environ)
    (packed,) = store.list()
    with zipfile.ZipFile(_saved(store.get(packed.key), tmp_path)) as archive:
        assert archive.read("many/7.csv") == b"7\n"
    server.datasets.unpacks = frozenset({".zip"})
    client("hub-upload", _NAME, theirs)
    store = open_kaggle(_NAME, environment=os.environ)
    assert len(list(store.list())) == 60
    assert store.get("archive/many/7.csv") == b"7\n"


def test_what_the_cli_made_is_listed_and_read(
    client: Client, server: KaggleServer, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    files = _make_foreign(theirs)
    metadata = {"id": _NAME, "title": "Leaks of 2024", "licenses": [{"name": "CC0-1.0"}]}
    (theirs / "dataset-metadata.json").write_text(json.dumps(metadata))
    server.datasets.unpacks = frozenset({".zip"})
    client("cli", "datasets", "create", "-p", theirs, "--dir-mode", "zip")
    store = open_kaggle(_NAME, environment=os.environ)
    assert {o.key: o.size_bytes for o in store.list()} == {k: len(d) for k, d in files.items()}
    assert store.get("train/A.csv") == files["train/A.csv"]


def _saved(data: bytes, folder: Path) -> Path:
    path = folder / "saved"
    path.write_bytes(data)
    return path
