import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import sojourn
from sojourn.errors import AccessDeniedError
from sojourn.testing.s3 import S3Server

pytestmark = pytest.mark.s3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "empty" / "deep").mkdir(parents=True)
    for number in range(20):
        rows = "".join(f"{row},{row * number / 7:.4f}\n" for row in range(500))
        (folder / "train" / f"T_{number:02}.csv").write_text("a,b\n" + rows)
    (folder / "noise.bin").write_bytes(os.urandom(24 << 20))  # sent in parts
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def url(s3_server: S3Server, s3_environment: pytest.MonkeyPatch) -> str:
    assert s3_environment
    return f"s3://{s3_server.bucket}/roundtrip/{uuid.uuid4().hex}"


def _diff(one: Path, other: Path) -> str:
    command = ["diff", "-r", "--no-dereference", str(one), str(other)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_what_is_pushed_comes_back(folder: Path, url: str, tmp_path: Path) -> None:
    first = sojourn.push(folder, url, message="first")
    assert first.sent_bytes > 24 << 20
    report = sojourn.pull(url, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""
    assert (tmp_path / "back" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert report.files == 22
    again = sojourn.push(folder, url)
    assert again.unchanged
    assert again.sent_bytes == 0


def test_an_earlier_revision_can_be_had(folder: Path, url: str, tmp_path: Path) -> None:
    first = sojourn.push(folder, url)
    shutil.copytree(folder, tmp_path / "before", symlinks=True)
    (folder / "train" / "T_03.csv").write_text("a,b\n1,2\n")
    (folder / "run.sh").unlink()
    second = sojourn.push(folder, url)
    assert second.parent == first.revision
    sojourn.pull(url, tmp_path / "back", revision=first.revision)
    assert _diff(tmp_path / "before", tmp_path / "back") == ""


def test_tables_are_read_over_the_network(folder: Path, url: str) -> None:
    sojourn.push(folder, url)
    dataset = sojourn.open(url)
    names = [name for name, table in dataset.read_many("train/*.csv") if len(table) == 500]
    assert names == [f"train/T_{number:02}.csv" for number in range(20)]


def _sojourn(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sojourn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_ends_with_5_where_the_secret_is_wrong(
    folder: Path, url: str, s3_environment: pytest.MonkeyPatch
) -> None:
    s3_environment.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    ended = _sojourn("push", str(folder), url, "--json")
    assert ended.returncode == AccessDeniedError.exit_code == 5
    assert json.loads(ended.stdout)["error"]["code"] == "access_denied"
    assert "Traceback" not in ended.stderr
    assert "a-wrong-secret" not in ended.stdout + ended.stderr


def test_a_push_that_was_killed_goes_on(
    folder: Path, url: str, s3_server: S3Server, tmp_path: Path
) -> None:
    push = [sys.executable, "-m", "sojourn", "push", str(folder), url, "-q"]
    with subprocess.Popen(push) as process:
        prefix = url.removeprefix(f"s3://{s3_server.bucket}/")
        # Killed as soon as anything of it is in the store.
        while process.poll() is None and not _keys(s3_server, prefix):
            pass
        process.kill()
    keys = _keys(s3_server, prefix)
    assert keys
    if f"{prefix}/sojourn.json" not in keys:
        assert _sojourn("ls", url).returncode == 5
    report = sojourn.push(folder, url)
    assert report.shards_sent == 0
    sojourn.pull(url, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""


def _keys(server: S3Server, prefix: str) -> list[str]:
    answer = server.client().list_objects_v2(Bucket=server.bucket, Prefix=prefix)
    return [entry["Key"] for entry in answer.get("Contents", [])]
