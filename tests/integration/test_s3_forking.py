import multiprocessing
from pathlib import Path

import pytest

import sojourn
from sojourn.testing.s3 import S3Server

pytestmark = [
    pytest.mark.s3,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
]

_LIMIT_S = 60


@pytest.mark.usefixtures("s3_environment")
def test_a_forked_process_reads_from_s3_what_its_parent_has_open(
    s3_server: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "data" / name).write_text(name)
    address = f"s3://{s3_server.bucket}/forked"
    sojourn.push(tmp_path / "data", address)
    dataset = sojourn.open(address)
    assert dataset.read_bytes("a.txt") == b"a.txt"
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=lambda: there.send(dataset.read_bytes("b.txt")))
    process.start()
    assert here.poll(_LIMIT_S)
    assert here.recv() == b"b.txt"
    process.join()
