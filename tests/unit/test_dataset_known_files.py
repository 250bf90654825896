"""Digests that are remembered: never when the file may have changed."""

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from sojourn.dataset.known_files import KnownFiles
from sojourn.dataset.manifest import Member, digest_of

# Longer ago than the tick of any clock of a file system.
LONG_AGO_NS = 10_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode() * 10)
    return folder


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "record.json"


def _digest(known: KnownFiles, folder: Path, path: str) -> str | None:
    return known.find_digest(path, (folder / path).lstat())


def _member(path: str, data: bytes) -> Member:
    return Member(
        path=path, kind="file", mode=0o644, shard=0, size_bytes=len(data), digest=digest_of(data)
    )


def _noted(folder: Path, record: Path, digest: str) -> KnownFiles:
    """Return what is known where both files had been noted as having a digest, long ago."""
    files = {}
    for path in folder.iterdir():
        status = path.lstat()
        stamp = [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
        files[path.name] = [*stamp, digest]
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"schema": "sojourn.known_files/1", "files": files}))
    return KnownFiles(folder, record)


def test_a_file_that_nobody_touched_is_not_read(folder: Path, record: Path) -> None:
    assert _digest(_noted(folder, record, "sha256:noted"), folder, "a") == "sha256:noted"


def test_one_that_changed_is_read_though_size_and_time_are_the_same(
    folder: Path, record: Path
) -> None:
    before = (folder / "a").lstat()
    known = _noted(folder, record, "sha256:noted")
    (folder / "a").write_bytes(b"b" * 10)
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "a").lstat().st_mtime_ns == before.st_mtime_ns
    assert _digest(known, folder, "a") is None
    assert _digest(known, folder, "b") == "sha256:noted"


def test_one_in_the_place_of_another_is_read(folder: Path, record: Path) -> None:
    known = _noted(folder, record, "sha256:noted")
    (folder / "b").replace(folder / "a")
    assert _digest(known, folder, "a") is None


def test_what_changed_just_now_is_not_noted(folder: Path, record: Path) -> None:
    deadline = time.monotonic() + 5
    os.utime(folder / "b", ns=(0, time.time_ns() + LONG_AGO_NS))
    known = KnownFiles(folder, record)
    while time.monotonic() < deadline:
        known.note([_member("a", b"a" * 10), _member("b", b"b" * 10)])
        noted = json.loads(record.read_text())["files"] if record.exists() else {}
        assert "b" not in noted  # it claims to be of the time to come
        if "a" in noted:
            return
    pytest.fail("what settled was never noted")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "{}",
            "\x00",
            "[" * 200_000,
            '{"schema": "sojourn.known_files/1", "files": []}',
        ),
        '{"schema": "sojourn.known_files/2", "files": {"a": [1, 2, 3, 4, "x"]}}',
        '{"schema": "sojourn.known_files/1", "files": {"a": [1], "b": "x"}}',
    ],
)
def test_a_damaged_record_says_nothing(folder: Path, record: Path, text: str) -> None:
    record.parent.mkdir()
    record.write_text(text)
    assert _digest(KnownFiles(folder, record), folder, "a") is None


def test_a_record_that_cannot_be_kept_is_done_without(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = KnownFiles(folder, tmp_path / "file" / "record.json")
    known.note([_member("a", b"a" * 10)])
    assert not (tmp_path / "file" / "record.json").exists()


def test_a_record_that_is_a_pipe_is_not_waited_for(folder: Path, record: Path) -> None:
    record.parent.mkdir()
    os.mkfifo(record)
    assert _digest(KnownFiles(folder, record), folder, "a") is None


def test_a_record_with_a_name_that_cannot_be_written_does_no_harm(
    folder: Path, record: Path
) -> None:
    record.parent.mkdir()
    files = r'{"\ud800": [1, 2, 3, 4, "x"], "a": [1, 2, 3, 4, "x"]}'
    record.write_text(f'{{"schema": "sojourn.known_files/1", "files": {files}}}')
    KnownFiles(folder, record).note([_member("a", b"a" * 10)])  # so it is to be written anew
    assert sorted(path.name for path in record.parent.iterdir()) == [record.name]


def test_keeping_many_takes_little_memory(folder: Path, record: Path) -> None:
    record.parent.mkdir()
    stamp = [10, 1, 1, 1, digest_of(b"a")]
    files = {f"{number:06}": stamp for number in range(5000)} | {"a": stamp}
    record.write_text(json.dumps({"schema": "sojourn.known_files/1", "files": files}))
    known = KnownFiles(folder, record)
    tracemalloc.start()
    try:
        known.note([_member("a", b"a" * 10)])  # so it is to be written anew
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert json.loads(record.read_text())["files"]["004999"] == stamp
    assert json.loads(record.read_text())["files"].get("a") != stamp
    assert peak_bytes < record.stat().st_size
