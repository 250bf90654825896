"""A large table that is kept as columns: what is read of it, and nothing else, is fetched and made.

It is several segments, and each of these several parts.
"""

import hashlib
import io
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.manifest import Manifest, Member, Part
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.verifying import verify_store
from sojourn.errors import IntegrityError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.testing.faults import Fault, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROWS = 900_000
DIGITS = 8
COLUMNS = ("time", *(f"Q{column}" for column in range(DIGITS)))


def _fetched(store: FaultyStore) -> int:
    return sum(verb == "get_range" for verb, _ in store.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A store with one large table, and the table's text."""

    memory: ObjectStore
    text: bytes

    def member(self) -> Member:
        return load_manifest(self.memory).files[0]

    def open(self, *faults: Fault) -> tuple[Dataset, FaultyStore]:
        store = FaultyStore(self.memory, *faults)
        return Dataset(load_manifest(self.memory), store), store


def _push(folder: Path, name: str, text: bytes) -> Pushed:
    folder.mkdir()
    (folder / name).write_bytes(text)
    memory = open_memory()
    push_folder(folder, memory, message="", now=NOW, progress=NoProgress())
    return Pushed(memory=memory, text=text)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    # Digits are four bytes in a column and two in the text, so segments come to be soon.
    digits = np.random.default_rng(1).integers(0, 10, (ROWS, DIGITS)).astype("S1")
    lines = (b"T-%d,%s\n" % (row, b",".join(values)) for row, values in enumerate(digits.tolist()))
    text = ",".join(COLUMNS).encode() + b"\n" + b"".join(lines)
    return _push(tmp_path_factory.mktemp("parts") / "data", "a.csv", text)


@pytest.fixture
def dataset(pushed: Pushed) -> Dataset:
    return pushed.open()[0]


def _segments(member: Member) -> list[int]:
    return [part.segment for part in member.table.parts] if member.table else []


def test_it_is_in_several_segments_of_several_parts(pushed: Pushed) -> None:
    segments = _segments(pushed.member())
    assert len(set(segments)) == 3
    assert segments.count(0) > 1


def test_opening_fetches_nothing_and_reading_the_segments_of_what_is_read(pushed: Pushed) -> None:
    dataset, store = pushed.open()
    with dataset.open("a.csv") as file:
        assert _fetched(store) == 0
        file.seek(-100, os.SEEK_END)
        assert file.read() == pushed.text[-100:]
        assert _fetched(store) == 1
        file.seek(1_000)
        assert file.read(50) == pushed.text[1_000:1_050]
        assert _fetched(store) == 2
        file.seek(-5_000_000, os.SEEK_END)
        assert file.readline() == io.BytesIO(pushed.text[-5_000_000:]).readline()
        assert _fetched(store) <= 3


def test_going_through_it_fetches_each_segment_once(pushed: Pushed) -> None:
    dataset, store = pushed.open()
    with dataset.open("a.csv") as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == pushed.text
    assert _fetched(store) == 3


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 9_000_000)),
        st.tuples(st.just("readline"), st.integers(-1, 40)),
        st.tuples(st.just("start"), st.integers(0, 30_000_000)),
        st.tuples(st.just("here"), st.integers(0, 5_000_000)),
        st.tuples(st.just("end"), st.integers(-20_000_000, 10)),
    ),
    max_size=8,
)


@given(steps=steps)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
def test_seeks_and_reads_give_what_the_text_in_memory_gives(
    pushed: Pushed, dataset: Dataset, steps: list[tuple[str, int]]
) -> None:
    whence = {"start": io.SEEK_SET, "here": io.SEEK_CUR, "end": io.SEEK_END}
    with dataset.open("a.csv") as file, io.BytesIO(pushed.text) as expected:
        for verb, count in steps:
            if verb in whence:
                assert file.seek(count, whence[verb]) == expected.seek(count, whence[verb])
            else:
                assert getattr(file, verb)(count) == getattr(expected, verb)(count)
            assert file.tell() == expected.tell()


def test_the_digest_of_the_text_counts_where_all_of_it_is_read(pushed: Pushed) -> None:
    manifest: Manifest = load_manifest(pushed.memory)
    members = tuple(replace(m, digest="sha256:" + "0" * 64) for m in manifest.members)
    dataset = Dataset(replace(manifest, members=members), pushed.memory)
    with dataset.open("a.csv") as file:
        file.seek(10_000_000)
        assert file.read(10) == pushed.text[10_000_000:10_000_010]
        file.seek(0)
        with pytest.raises(IntegrityError, match=r"'a\.csv' does not match its digest"):
            file.read()


@pytest.mark.parametrize(
    ("arguments", "fetches"),
    [
        ({"usecols": ["Q7", "Q2"]}, 3),
        ({"usecols": [0, 5]}, 3),
        ({"nrows": 1_000}, 1),
        ({"nrows": ROWS // 2, "usecols": ["time", "Q0"]}, 2),
        ({"nrows": ROWS - 1}, 3),
        ({"nrows": ROWS + 1}, 3),
        # pandas reads the text of these, as far as it needs it.
        ({"nrows": 1_000, "index_col": "time"}, 1),
        ({"nrows": 1_000, "skiprows": 3, "header": None}, 1),
        ({"nrows": 1_000, "engine": "python"}, 1),
        ({"nrows": 0}, 1),
        ({"usecols": lambda name: name == "Q3", "nrows": 10}, 1),
        ({"usecols": ["time", "Q1"], "dtype": {"Q1": "int8"}}, 3),
    ],
    ids=lambda item: " ".join(map(str, item)) if isinstance(item, dict) else str(item),
)
def test_parts_of_a_table_are_what_pandas_reads_of_its_text(
    pushed: Pushed, arguments: dict[str, Any], fetches: int
) -> None:
    dataset, store = pushed.open()
    table = dataset.read("a.csv", **arguments)
    theirs = pd.read_csv(io.BytesIO(pushed.text), **arguments)
    pd.testing.assert_frame_equal(table, theirs, check_exact=True)
    assert _fetched(store) == fetches


def test_pandas_reads_it_chunk_by_chunk(pushed: Pushed) -> None:
    dataset, store = pushed.open()
    chunks: Iterator[pd.DataFrame] = dataset.read("a.csv", chunksize=50_000)
    first = next(chunks)
    assert _fetched(store) == 1
    whole = pd.concat([first, *chunks])
    theirs = pd.read_csv(io.BytesIO(pushed.text))
    pd.testing.assert_frame_equal(whole, theirs, check_exact=True)


def test_columns_that_are_not_there_are_named_by_pandas(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"'a\.csv' cannot be read: .*Q99") as raised:
        dataset.read("a.csv", usecols=["Q99"])
    assert "read_bytes" in raised.value.remedy


@pytest.mark.parametrize("arguments", [{"usecols": ["Q1"]}, {"index_col": "time"}, {"nrows": 5}])
def test_a_damaged_segment_is_told_however_it_is_read(
    pushed: Pushed, arguments: dict[str, Any]
) -> None:
    dataset, _ = pushed.open(Fault(verb="get_range", flip_bit_at=70_000))
    with pytest.raises(IntegrityError, match="is damaged"):
        dataset.read("a.csv", **arguments)


def test_a_large_table_in_korean_is_read_in_part_with_its_encoding(tmp_path: Path) -> None:
    rows = 400_000
    lines = "".join(f"가{row},{row % 7 / 4:.2f}\n" for row in range(rows))
    pushed = _push(tmp_path / "data", "a.csv", ("이름,수\n" + lines).encode("cp949"))
    assert len(_segments(pushed.member())) > 1
    dataset, _ = pushed.open()
    several: list[dict[str, Any]] = [{"usecols": ["수"]}, {"nrows": 9}, {"index_col": 0}]
    for arguments in several:
        table = dataset.read("a.csv", encoding="cp949", **arguments)
        theirs = pd.read_csv(io.BytesIO(pushed.text), encoding="cp949", **arguments)
        pd.testing.assert_frame_equal(table, theirs, check_exact=True)
    with pytest.raises(UsageError, match="cannot be read") as raised:
        dataset.read("a.csv", nrows=9)
    assert 'encoding="cp949"' in raised.value.remedy


def test_json_lines_are_read_as_they_come(tmp_path: Path) -> None:
    lines = "".join(f'{{"n": {row}, "t": "x{row}"}}\n' for row in range(400_000))
    pushed = _push(tmp_path / "data", "a.jsonl", lines.encode())
    assert len(_segments(pushed.member())) > 1
    dataset, _ = pushed.open()
    theirs = pd.read_json(io.BytesIO(pushed.text), lines=True)
    pd.testing.assert_frame_equal(dataset.read("a.jsonl", nrows=7), theirs.head(7))
    chunks = list(dataset.read("a.jsonl", chunksize=150_000))
    assert [len(chunk) for chunk in chunks] == [150_000, 150_000, 100_000]
    pd.testing.assert_frame_equal(pd.concat(chunks), theirs)


def test_the_first_rows_of_a_large_file_of_bytes_cost_its_first_frame(tmp_path: Path) -> None:
    lines = "".join(f"0{row},{'x' * 90}\n" for row in range(250_000))  # leading zeros: no columns
    pushed = _push(tmp_path / "data", "a.csv", ("n,t\n" + lines).encode())
    assert pushed.member().table is None
    dataset, store = pushed.open()
    table = dataset.read("a.csv", nrows=100)
    pd.testing.assert_frame_equal(table, pd.read_csv(io.BytesIO(pushed.text), nrows=100))
    assert _fetched(store) == 1
    assert len(dataset.read("a.csv")) == 250_000
    assert _fetched(store) == len(load_manifest(pushed.memory).shards[0].frames) > 2


def _verified(manifest: Manifest, store: FaultyStore) -> list[tuple[str, str]]:
    report = verify_store(manifest, store, progress=NoProgress())
    return [(problem.name, problem.problem) for problem in report.problems]


def _with_member(manifest: Manifest, **changes: Any) -> Manifest:
    return replace(manifest, members=(replace(manifest.members[0], **changes),))


def test_verifying_fetches_each_frame_once(pushed: Pushed) -> None:
    manifest, store = load_manifest(pushed.memory), FaultyStore(pushed.memory)
    assert _verified(manifest, store) == []
    assert _fetched(store) == sum(len(shard.frames) for shard in manifest.shards)


def test_verifying_finds_a_table_whose_rows_make_another_text(pushed: Pushed) -> None:
    manifest = load_manifest(pushed.memory)
    wrong = _with_member(manifest, digest="sha256:" + "0" * 64)
    assert _verified(wrong, FaultyStore(pushed.memory)) == [("a.csv", "its contents differ")]
    table = manifest.members[0].table
    assert table is not None
    # Of two parts of one segment, each has the rows of the other.
    first, second, *others = table.parts
    swapped = (
        replace(first, placement=second.placement),
        replace(second, placement=first.placement),
    )
    wrong = _with_member(manifest, table=replace(table, parts=(*swapped, *others)))
    [(name, problem)] = _verified(wrong, FaultyStore(pushed.memory))
    assert name == "a.csv"
    assert "make another text" in problem


def test_verifying_takes_parts_in_any_order(pushed: Pushed) -> None:
    manifest = load_manifest(pushed.memory)
    table = manifest.members[0].table
    assert table is not None
    header_bytes = pushed.text.index(b"\n") + 1
    ends = np.cumsum([part.text_bytes for part in table.parts]).tolist()
    bodies = [
        pushed.text[end - part.text_bytes + (header_bytes if end == ends[0] else 0) : end]
        for part, end in zip(table.parts, ends, strict=True)
    ]
    order = [*range(3, len(bodies)), 0, 2, 1]
    parts: list[Part] = [
        replace(table.parts[at], text_bytes=len(bodies[at]) + (header_bytes if at == 3 else 0))
        for at in order
    ]
    text = pushed.text[:header_bytes] + b"".join(bodies[at] for at in order)
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    moved = _with_member(manifest, table=replace(table, parts=tuple(parts)), digest=digest)
    store = FaultyStore(pushed.memory)
    assert _verified(moved, store) == []
    assert Dataset(moved, store).read_bytes("a.csv") == text
    wrong = _with_member(moved, digest=manifest.members[0].digest)
    assert _verified(wrong, store) == [("a.csv", "its contents differ")]
