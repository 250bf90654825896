"""Tables that shards hold as columns: their way there and back, in part and in danger."""

import csv
import io
import json
import os
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.manifest import MANIFEST_KEY, SEGMENTS_FOLDER, Manifest
from sojourn.dataset.preparing import WHOLE_FILE_BYTES
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.dataset.verifying import verify_store
from sojourn.errors import IntegrityError, SojournError, StoreError, UsageError
from sojourn.progress import NoProgress, Progress
from sojourn.stores.base import Body, Store, Swap
from sojourn.stores.objects import ObjectStore, open_memory
from sojourn.stores.retrying import Retrying
from sojourn.testing.faults import Fault, FaultyStore, unavailable

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIZES = Sizes(
    min_shard_bytes=60_000, mean_shard_bytes=90_000, max_shard_bytes=160_000, frame_bytes=8_000
)
ROWS = 400


def _window(start: int, rows: int = ROWS) -> bytes:
    """Return rows of one recording, counted down to its end as contests do."""
    lines = [
        f"T-{rows - 1 - row},{(start + row) * 7919 % 10_007 / 100:.2f},{(start + row) % 17}"
        for row in range(rows)
    ]
    return "\n".join(["time,level,state", *lines, ""]).encode()


def _fill(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def _push(folder: Path, store: Store, sizes: Sizes = SIZES) -> Manifest:
    push_folder(folder, store, message="", now=NOW, progress=NoProgress(), sizes=sizes)
    return load_manifest(store)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _read(store: Store) -> dict[str, bytes]:
    dataset = Dataset(load_manifest(store), store)
    return {name: dataset.read_bytes(name) for name in dataset.files()}


@pytest.fixture
def windows() -> dict[str, bytes]:
    return {f"test/{number:02}.csv": _window(6 * number) for number in range(30)}


def test_windows_of_one_recording_are_kept_once(windows: dict[str, bytes], tmp_path: Path) -> None:
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", windows), store)
    assert all(member.table for member in manifest.files)
    text_bytes = sum(map(len, windows.values()))
    assert sum(s.size_bytes for shard in manifest.shards for s in shard.segments) < text_bytes / 8
    assert _read(store) == windows
    Dataset(manifest, store).extract(tmp_path / "back")
    assert _tree(tmp_path / "back") == windows


def test_tables_are_read_as_pandas_reads_their_text(
    windows: dict[str, bytes], tmp_path: Path
) -> None:
    folder = _fill(tmp_path / "data", windows)
    store = open_memory()
    dataset = Dataset(_push(folder, store), store)
    for name, table in dataset.read_many("test/*.csv"):
        pd.testing.assert_frame_equal(table, pd.read_csv(folder / name), check_exact=True)
    arguments: dict[str, Any] = {"usecols": ["level"], "nrows": 5}
    few = dataset.read("test/03.csv", **arguments)
    pd.testing.assert_frame_equal(few, pd.read_csv(folder / "test/03.csv", **arguments))


def test_only_the_segments_of_what_is_read_are_fetched(tmp_path: Path) -> None:
    files = {f"{letter}/{n}.csv": _window(n * 5, 900) for letter in "abcdef" for n in range(12)}
    memory = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), memory)
    assert len(manifest.shards) > 3
    store = FaultyStore(memory)
    Dataset(manifest, store).read("c/3.csv")
    assert [verb for verb, _ in store.calls] == ["get_range"]


LARGE = WHOLE_FILE_BYTES * 2


@pytest.mark.parametrize(
    ("last", "is_kept"),
    [(b"", True), (b"T-9,1.25,3", True), (b"T-9,1.250,3\n", False), (b"T-9,,3\n", True)],
    ids=["as the others", "without a line end", "with more digits", "without a number"],
)
def test_a_large_table_is_kept_as_columns_if_all_of_it_can_be(
    tmp_path: Path, last: bytes, *, is_kept: bool
) -> None:
    rows = LARGE // 14
    text = _window(0, rows) + last
    folder = _fill(tmp_path / "data", {"large.csv": text, "small.csv": _window(1, 3_000)})
    store = open_memory()
    manifest = _push(folder, store, Sizes())
    (large, small) = manifest.files
    assert (large.table is not None) == is_kept
    assert small.table is not None
    assert large.rows == text.count(b"\n") - 1 + (not text.endswith(b"\n"))
    if large.table is not None:
        assert len(large.table.parts) > 1
    Dataset(manifest, store).extract(tmp_path / "back")
    assert _tree(tmp_path / "back") == _tree(folder)
    table = Dataset(manifest, store).read("large.csv")
    pd.testing.assert_frame_equal(table, pd.read_csv(folder / "large.csv"), check_exact=True)


def _frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n": range(rows),
            "level": [1.5, None, 0.1 + 0.2, 1e-07] * (rows // 4),
            "이름": ["가, 나", 'say "x"/', "a\nb", "plain"] * (rows // 4),
            "open": [True, False] * (rows // 2),
        }
    )


def _written(rows: int) -> dict[str, bytes]:
    frame = _frame(rows)
    return {
        "all.csv": frame.to_csv(index=False, quoting=csv.QUOTE_ALL).encode(),
        "index.csv": frame.to_csv(na_rep="NaN").encode("utf-8-sig"),
        "lines.jsonl": frame.to_json(orient="records", lines=True).encode(),
        "spaced.ndjson": b"".join(
            json.dumps({"at": "2024-01-01", "n": n, "x": n / 7}).encode() + b"\n"
            for n in range(rows)
        ),
        "text.tsv": frame.to_csv(
            index=False, sep="\t", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n"
        ).encode(),
    }


@pytest.mark.parametrize("rows", [2_000, 120_000], ids=["small", "large"])
def test_tables_of_every_writing_are_kept_as_columns_and_come_back(
    tmp_path: Path, rows: int
) -> None:
    files = _written(rows)
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), store, Sizes())
    assert [member.path for member in manifest.files if member.table] == sorted(files)
    assert {member.rows for member in manifest.files} == {rows}
    assert [member.columns for member in manifest.files] == [4, 5, 4, 3, 4]
    assert b'"schema": "sojourn.manifest/3"' in store.get(MANIFEST_KEY)
    Dataset(manifest, store).extract(tmp_path / "back")
    assert _tree(tmp_path / "back") == files
    dataset = Dataset(load_manifest(store), store)
    for name, data in files.items():
        theirs = (
            pd.read_json(io.BytesIO(data), lines=True)
            if "json" in name
            else pd.read_csv(io.BytesIO(data), sep="\t" if "tsv" in name else ",")
        )
        pd.testing.assert_frame_equal(dataset.read(name), theirs, check_exact=True)


def test_a_table_in_korean_is_read_with_its_encoding_and_not_without(tmp_path: Path) -> None:
    data = _frame(2_000).to_csv(index=False).encode("cp949")
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", {"a.csv": data}), store)
    assert manifest.files[0].table is not None
    dataset = Dataset(manifest, store)
    assert dataset.read_bytes("a.csv") == data
    theirs = pd.read_csv(io.BytesIO(data), encoding="cp949")
    for encoding in ("cp949", "CP949", "euc-kr"):
        table = dataset.read("a.csv", encoding=encoding)
        pd.testing.assert_frame_equal(table, theirs, check_exact=True)
    with pytest.raises(UsageError, match="cannot be read") as raised:
        dataset.read("a.csv")
    assert 'encoding="cp949"' in raised.value.remedy


def test_a_line_end_in_quotes_ends_no_block_of_a_large_table(tmp_path: Path) -> None:
    line = 'x,"' + "a\n" * 40 + 'b",1\n'
    files = {"a.csv": ("s,t,n\n" + line * (LARGE // len(line))).encode()}
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), store, Sizes())
    table = manifest.files[0].table
    assert table is not None
    assert len(table.parts) > 1
    assert manifest.files[0].rows == LARGE // len(line)
    assert _read(store) == files


def test_what_older_readers_know_is_written_for_them(
    windows: dict[str, bytes], tmp_path: Path
) -> None:
    store = open_memory()
    _push(_fill(tmp_path / "data", windows), store)
    assert b'"schema": "sojourn.manifest/2"' in store.get(MANIFEST_KEY)
    assert b'"style"' not in store.get(MANIFEST_KEY)


def test_a_folder_that_has_segments_of_its_own_is_sent_as_bytes(tmp_path: Path) -> None:
    files = {f"{SEGMENTS_FOLDER}/a.csv": _window(0), "b.csv": _window(1)}
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), store)
    assert not any(member.table for member in manifest.files)
    assert _read(store) == files


def test_tables_of_too_few_bytes_for_a_segment_stay_as_they_are(tmp_path: Path) -> None:
    files = {f"{n:03}.csv": _window(n).replace(b"level", b"level_%d" % (n % 9)) for n in range(40)}
    files["000.txt"] = b"between"
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), store)
    assert not any(member.table for member in manifest.files)
    assert [member.path for member in manifest.files] == sorted(files)
    assert _read(store) == files


@pytest.mark.parametrize("place", ["start", "rows", "decimals"])
def test_an_edited_place_or_layout_is_noticed(
    windows: dict[str, bytes], tmp_path: Path, place: str
) -> None:
    store = open_memory()
    _push(_fill(tmp_path / "data", windows), store)
    text = store.get(MANIFEST_KEY).decode()
    before, after = {
        "start": ("[400, 3, 0]", "[400, 3, 6]"),
        "rows": ("[400, ", "[399, "),
        "decimals": ('"decimal", 2', '"decimal", 1'),
    }[place]
    assert before in text
    store.put(MANIFEST_KEY, text.replace(before, after, 1).encode())
    with pytest.raises(IntegrityError, match="does not match its digest"):
        load_manifest(store)


def test_one_changed_table_sends_few_shards(tmp_path: Path) -> None:
    files = {f"test/{n:03}.csv": _window(6 * n) for n in range(300)}
    folder = _fill(tmp_path / "data", files)
    memory = open_memory()
    assert len(_push(folder, memory).shards) > 10
    (folder / "test/150.csv").write_bytes(_window(7_777))
    store = FaultyStore(memory)
    _push(folder, store)
    sent = [key for verb, key in store.calls if verb == "put" and key.startswith("shards/")]
    assert 1 <= len(sent) <= 2
    assert _read(memory) == files | {"test/150.csv": _window(7_777)}


_tables = st.builds(_window, st.integers(0, 50), st.integers(1, 120))
_files = st.dictionaries(
    st.sampled_from(
        [
            f"{folder}{name}"
            for folder in ("", "a/", "b/c/")
            for name in ("p.csv", "q.csv", "r.csv", "s.jsonl")
        ]
    ),
    st.one_of(
        _tables,
        st.binary(max_size=200),
        st.just(_window(0, 300).replace(b",", b";")),
        st.sampled_from(sorted(_written(800).values())),
    ),
    min_size=1,
)


def _mixed_tables() -> dict[str, bytes]:
    """Return tables of one header whose columns are now of this kind and now of that."""
    values = ("0.25", "0.5", "", "7", "2026-01-02", "True", "1e-07", "0.125", "-0.00")
    tables = {}
    for number in range(40):
        first, second = values[number % len(values)], values[number // 3 % len(values)]
        rows = [f"{first},{second},{row}" for row in range(5000)]
        tables[f"mixed/{number:02}.csv"] = "\n".join(["a,b,c", *rows, ""]).encode()
    return tables


def test_tables_like_those_before_them_are_read_as_pandas_reads_them(tmp_path: Path) -> None:
    files = _mixed_tables()
    store = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), store, Sizes())
    assert sum(member.table is not None for member in manifest.files) > len(files) / 2
    dataset = Dataset(manifest, store)
    for name, text in files.items():
        expected = pd.read_csv(io.BytesIO(text))
        pd.testing.assert_frame_equal(dataset.read(name), expected, check_exact=True)
        assert dataset.read_bytes(name) == text


def test_what_is_packed_does_not_depend_on_how_many_cores_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _fill(tmp_path / "data", _mixed_tables())
    shards = []
    for cores in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        shards.append(_push(folder, open_memory(), Sizes()).shards)
    assert shards[0] == shards[1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=_files)
def test_any_tables_come_back(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        store = open_memory()
        manifest = _push(_fill(Path(scratch, "data"), files), store)
        assert _read(store) == files
        Dataset(manifest, store).extract(Path(scratch, "back"))
        assert _tree(Path(scratch, "back")) == files
        assert verify_store(manifest, store, progress=NoProgress()).problems == ()


class _Cut:
    """A store whose connection is gone after so many puts, the last one half-way perhaps."""

    def __init__(self, store: ObjectStore, puts: int) -> None:
        self._store = store
        self._left = puts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, body: Body) -> None:
        self._pass()
        self._store.put(key, body)

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        self._pass()
        self._store.publish(swap, message=message, progress=progress)

    def _pass(self) -> None:
        if self._left <= 0:
            raise StoreError("The connection is gone.", remedy="Connect.")
        self._left -= 1


@settings(max_examples=25, deadline=None)
@example(puts=0, seed=0)
@given(puts=st.integers(0, 12), seed=st.integers(0, 3))
def test_a_push_cut_anywhere_leaves_the_old_revision_readable(puts: int, seed: int) -> None:
    rng = random.Random(seed)
    old = {f"{n:02}.csv": _window(5 * n, 200) for n in range(40)} | {"x.bin": rng.randbytes(90_000)}
    new = {name: _window(9_000 + n, 210) for n, name in enumerate(sorted(old))}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = open_memory()
        _push(_fill(folder, old), store)
        _fill(folder, new)
        try:
            _push(folder, _Cut(store, puts))
        except StoreError:
            assert _read(store) == old
            _push(folder, store)
        assert _read(store) == new
        assert verify_store(load_manifest(store), store, progress=NoProgress()).problems == ()


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), which=st.integers(0, 9))
def test_a_flipped_bit_anywhere_is_found(place: float, bit: int, which: int) -> None:
    files = {f"{n:02}.csv": _window(5 * n, 200) for n in range(20)} | {"x.bin": bytes(9_000)}
    with tempfile.TemporaryDirectory() as scratch:
        store = open_memory()
        manifest = _push(_fill(Path(scratch), files), store)
        keys = [MANIFEST_KEY, *(shard.key for shard in manifest.shards)]
        key = keys[which % len(keys)]
        data = bytearray(store.get(key))
        data[int(place * len(data))] ^= 1 << bit
        store.put(key, bytes(data))
        try:
            found = load_manifest(store)
        except IntegrityError:
            return
        problems = verify_store(found, store, progress=NoProgress()).problems
        # What a manifest says beside its revision, its message say, may change and harm nothing.
        assert problems or key == MANIFEST_KEY
        try:
            assert _read(store) == files
        except SojournError:
            assert problems or key == MANIFEST_KEY


def test_a_store_that_fails_every_third_request_is_asked_again(
    windows: dict[str, bytes], tmp_path: Path
) -> None:
    files = windows | {"noise.bin": random.Random(1).randbytes(200_000)}
    memory = open_memory()
    manifest = _push(_fill(tmp_path / "data", files), memory)
    faulty = FaultyStore(memory, Fault(verb="get_range", every=3, error=unavailable()))
    Dataset(manifest, Retrying(faulty, sleep=lambda _: None)).extract(tmp_path / "back")
    assert len(faulty.calls) > 15
    assert _tree(tmp_path / "back") == files


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: Any) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    _push(_fill(tmp_path / "data", {"large.csv": _window(0, LARGE // 14)}), open_memory(), Sizes())
    assert os.listdir(scratch) == []  # noqa: PTH208 - names are enough
