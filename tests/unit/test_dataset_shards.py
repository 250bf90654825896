import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from sojourn.dataset.archive import ShardArchive
from sojourn.dataset.listing import Entry, list_folder
from sojourn.dataset.manifest import Member
from sojourn.dataset.packing import PackedShard, RawFrame, compress_frame, pack
from sojourn.dataset.shards import Sizes, split_into_shards
from sojourn.dataset.source import FolderSource, file_digest
from sojourn.errors import IntegrityError, UsageError

SIZES = Sizes(
    min_shard_bytes=40_000, mean_shard_bytes=80_000, max_shard_bytes=160_000, frame_bytes=8_000
)


def _write(folder: Path, path: str, data: bytes, mode: int = 0o644) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode)


def _frames(
    folder: Path, frame_bytes: int = 8_000, entries: tuple[Entry, ...] | None = None
) -> tuple[list[bytes], list[Member]]:
    with ThreadPoolExecutor(2) as pool:
        archive = ShardArchive(
            FolderSource(folder),
            shard=0,
            frame_bytes=frame_bytes,
            as_tables=True,
            pool=pool,
            ahead=3,
            advance=lambda *_: None,
        )
        frames = archive.frames(list_folder(folder) if entries is None else entries)
        raw = [bytes(frame.data) for frame in frames]
        return raw, list(archive.members)


def _pack(folder: Path, file: io.BytesIO) -> PackedShard:
    frames = (RawFrame(bytearray(frame)) for frame in _frames(folder)[0])
    with ThreadPoolExecutor(2) as pool:
        return pack(frames, file, pool=pool, ahead=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    _write(folder, "a.csv", b"x,y\n1,2\n")
    _write(folder, "run.sh", b"#!/bin/sh\n", mode=0o755)
    _write(folder, "empty file", b"")
    _write(folder, "한글/데이터.bin", b"\x00" * 700)
    _write(folder, "new\nline", b"n")
    _write(folder, f"{'long' * 40}/{'name' * 40}", b"deep")
    _write(folder, "large.bin", os.urandom(30_000))
    for number in range(30):
        _write(folder, f"many/{number:02}", bytes([number]) * 513)
    (folder / "hollow" / "in").mkdir(parents=True)
    (folder / "link").symlink_to("한글/데이터.bin")
    return folder


def test_a_shard_is_a_tar_archive_of_the_folder(folder: Path, tmp_path: Path) -> None:
    frames, _ = _frames(folder)
    with tarfile.open(fileobj=io.BytesIO(b"".join(frames))) as archive:
        archive.extractall(tmp_path / "out", filter="tar")
    diff = ["diff", "-r", "--no-dereference", str(folder), str(tmp_path / "out")]
    assert subprocess.run(diff, capture_output=True, check=False).stdout == b""
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755


def test_every_member_is_where_its_record_says(folder: Path) -> None:
    frames, members = _frames(folder)
    raw = b"".join(frames)
    assert [member.path for member in members] == [entry.path for entry in list_folder(folder)]
    for member in members:
        if member.kind == "file":
            data = raw[member.offset : member.offset + member.size_bytes]
            assert data == (folder / member.path).read_bytes()
            assert member.digest == "sha256:" + hashlib.sha256(data).hexdigest()


def test_small_members_are_whole_in_one_frame_and_frames_keep_their_size(folder: Path) -> None:
    frames, members = _frames(folder)
    assert all(len(frame) <= 8_000 + 1_024 for frame in frames)
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    for member in members:
        if member.kind == "file" and 0 < member.size_bytes <= 7_000:
            first = next(index for index, end in enumerate(ends) if member.offset < end)
            assert member.offset + member.size_bytes <= ends[first], member.path


def test_frames_decode_alone_and_together(folder: Path) -> None:
    file = io.BytesIO()
    shard = _pack(folder, file).shard
    frames, _ = _frames(folder)
    data = file.getvalue()
    assert shard.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    at = 0
    for frame, raw in zip(shard.frames, frames, strict=True):
        alone = zstandard.decompress(data[at : at + frame.size_bytes])
        assert alone == raw
        assert len(raw) == frame.raw_bytes
        at += frame.size_bytes
    assert at == shard.size_bytes == len(data)
    decoder = zstandard.ZstdDecompressor()
    with decoder.stream_reader(io.BytesIO(data), read_across_frames=True) as together:
        assert together.read() == b"".join(frames)


def test_the_same_folder_gives_the_same_shard_wherever_it_lies(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    os.utime(tmp_path / "copy" / "a.csv", (1, 1))
    one, other = io.BytesIO(), io.BytesIO()
    assert _pack(folder, one).shard == _pack(tmp_path / "copy", other).shard
    assert one.getvalue() == other.getvalue()


def test_what_repeats_far_back_is_found_within_what_plain_zstd_opens() -> None:
    rng = random.Random(1)
    lines = [f"{number},{rng.random():.6f}\n".encode() for number in range(500_000)]
    table = b"".join(lines)
    once, twice = (
        compress_frame(RawFrame(bytearray(table))),
        compress_frame(RawFrame(bytearray(table + table))),
    )
    assert len(twice) < 1.2 * len(once)
    parameters = zstandard.get_frame_parameters(twice)
    assert parameters.window_size <= 1 << 27
    assert parameters.content_size == 2 * len(table)
    assert parameters.has_checksum


def test_what_is_compressed_already_is_not_compressed_again() -> None:
    noise = bytearray(os.urandom(4 << 20))
    packed = compress_frame(RawFrame(noise))
    assert len(packed) < len(noise) * 1.001
    assert zstandard.decompress(packed) == noise


def _entries(count: int, size_bytes: int = 2_000) -> list[Entry]:
    return [
        Entry(path=f"f{n:05}", kind="file", mode=0o644, size_bytes=size_bytes, modified_ns=0)
        for n in range(count)
    ]


def test_shards_keep_their_sizes() -> None:
    shards = list(split_into_shards(_entries(2_000), SIZES))
    assert [entry for shard in shards for entry in shard] == _entries(2_000)
    sizes_bytes = [sum(512 + entry.size_bytes for entry in shard) for shard in shards]
    assert max(sizes_bytes) <= SIZES.max_shard_bytes
    assert min(sizes_bytes[:-1]) >= SIZES.min_shard_bytes
    mean_bytes = sum(sizes_bytes) / len(sizes_bytes)
    assert 0.7 * SIZES.mean_shard_bytes < mean_bytes < 1.4 * SIZES.mean_shard_bytes


@pytest.mark.parametrize("at", [0, 700, 1_999])
def test_a_file_more_or_less_changes_few_shards(at: int) -> None:
    entries = _entries(2_000)
    before = set(split_into_shards(entries, SIZES))
    less = set(split_into_shards(entries[:at] + entries[at + 1 :], SIZES))
    extra = Entry(path=f"f{at:05}b", kind="file", mode=0o644, size_bytes=900, modified_ns=0)
    more = set(split_into_shards([*entries[: at + 1], extra, *entries[at + 1 :]], SIZES))
    assert len(before) > 40
    assert len(less - before) <= 5
    assert len(more - before) <= 5


def test_a_file_larger_than_a_shard_is_not_split() -> None:
    huge = Entry(path="f00001x", kind="file", mode=0o644, size_bytes=10**6, modified_ns=0)
    entries = [*_entries(2), huge, *_entries(1)]
    shards = list(split_into_shards(entries, SIZES))
    assert [entry for shard in shards for entry in shard] == entries
    assert any(huge in shard for shard in shards)


@pytest.mark.parametrize("data", [b"longer than it was", b"short", b"sAme size!"])
def test_a_file_that_changed_since_it_was_listed_is_noticed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"same size!")
    os.utime(path, (1, 1))
    entries = list_folder(tmp_path)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        _frames(tmp_path, entries=entries)


def test_a_file_that_grows_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    status = path.stat()
    (entry,) = list_folder(tmp_path)
    chunks = FolderSource(tmp_path).chunks(entry)
    next(chunks)
    with path.open("ab") as file:
        file.write(b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(IntegrityError, match="changed while it was read"):
        list(chunks)


def test_a_file_that_went_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    entries = list_folder(tmp_path)
    (tmp_path / "file").unlink()
    with pytest.raises(UsageError, match="No such file"):
        _frames(tmp_path, entries=entries)


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    def become_a_pipe() -> tuple[Entry, ...]:
        (tmp_path / "a").write_bytes(b"x")
        entries = list_folder(tmp_path)
        (tmp_path / "a").unlink()
        os.mkfifo(tmp_path / "a")
        return entries

    entries = become_a_pipe()
    with pytest.raises(IntegrityError, match="became something else"):
        _frames(tmp_path, entries=entries)
    with pytest.raises(IntegrityError, match="became something else"):
        file_digest(tmp_path / "a")
