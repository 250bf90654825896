"""What every store must do, as a suite that a store's own short test file plugs into.

    class TestFolderStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path): return open_folder(tmp_path)
        @pytest.fixture
        def raw(self, tmp_path): return FolderAccess(tmp_path)

`raw` goes round the verbs, so that a `get` is not tested with the `put` of the same store. Needs
pytest.
"""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import pytest

from sojourn.errors import ConflictError, ObjectNotFoundError, StoreError
from sojourn.progress import NoProgress
from sojourn.stores.base import StoredObject, Swap
from sojourn.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.stores.base import Store

_ODD_KEYS = (
    "plain",
    "in/a/deep/folder",
    "space in it",
    "per%20cent+plus&and?mark#1x",
    "데이터/한글.bin",
    "dots..and.dots",
    "-dash",
)
_NO_KEYS = ("", "/abs", "a//b", "a/", "../up", "a/../b", ".", "a/./b", "line\nfeed", "x" * 1025)


class RawAccess(Protocol):
    """The objects of a store, reached in another way than by its verbs."""

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes; None if there is no such object."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object."""
        ...


class FolderAccess:
    """The files of a folder, for a store that keeps its objects in one or gives them out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> bytes | None:
        """Return a file's bytes; None if there is no such file."""
        path = self._folder / key
        return path.read_bytes() if path.is_file() else None

    def write(self, key: str, data: bytes) -> None:
        """Write a file, and make the folders above it."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class ReadingContract:
    """What also a store that can only be read must do. Fixtures: see `StoreContract`."""

    @pytest.fixture
    def store(self) -> Store:
        """Return a new, empty store."""
        raise NotImplementedError

    @pytest.fixture
    def raw(self) -> RawAccess:
        """Return the same objects, reached in another way."""
        raise NotImplementedError

    def test_get_returns_what_is_there(self, store: Store, raw: RawAccess) -> None:
        """Get, against raw access."""
        raw.write("a/b", b"bytes \x00\xff")
        assert store.get("a/b") == b"bytes \x00\xff"

    def test_get_of_nothing_is_an_error(self, store: Store, raw: RawAccess) -> None:
        """And says which object."""
        raw.write("other", b"x")
        with pytest.raises(ObjectNotFoundError, match="no/such"):
            store.get("no/such")

    def test_get_range_returns_a_part(self, store: Store, raw: RawAccess) -> None:
        """Offset and size count bytes."""
        raw.write("k", b"0123456789")
        assert store.get_range("k", offset=0, size_bytes=3) == b"012"
        assert store.get_range("k", offset=4, size_bytes=6) == b"456789"

    def test_get_range_ends_where_the_object_does(self, store: Store, raw: RawAccess) -> None:
        """Fewer bytes are no error of the store's."""
        raw.write("k", b"0123456789")
        assert store.get_range("k", offset=8, size_bytes=100) == b"89"
        assert store.get_range("k", offset=10, size_bytes=1) == b""
        assert store.get_range("k", offset=99, size_bytes=1) == b""
        assert store.get_range("k", offset=3, size_bytes=0) == b""

    def test_get_range_of_nothing_is_an_error(self, store: Store) -> None:
        """And not an empty part."""
        with pytest.raises(ObjectNotFoundError):
            store.get_range("no/such", offset=0, size_bytes=1)

    def test_find_tells_the_size(self, store: Store, raw: RawAccess) -> None:
        """Or None."""
        data = b"12345"
        raw.write("a/k", data)
        assert store.find("a/k") == len(data)
        assert store.find("a/no") is None

    def test_an_empty_object_is_found(self, store: Store, raw: RawAccess) -> None:
        """No bytes are not nothing."""
        raw.write("empty", b"")
        assert store.get("empty") == b""
        assert store.find("empty") == 0

    @pytest.mark.parametrize("key", _ODD_KEYS)
    def test_odd_keys_are_found(self, store: Store, raw: RawAccess, key: str) -> None:
        """A key is looked for as it is, whatever the characters mean elsewhere."""
        raw.write(key, key.encode())
        assert store.get(key) == key.encode()
        assert store.find(key) == len(key.encode())

    @pytest.mark.parametrize("key", _NO_KEYS)
    def test_what_is_no_key_is_refused_by_what_reads(self, store: Store, key: str) -> None:
        """Nothing outside of the store can be named."""
        for verb in (store.get, store.find):
            with pytest.raises(StoreError, match="cannot name an object"):
                verb(key)
        with pytest.raises(StoreError, match="cannot name an object"):
            store.get_range(key, offset=0, size_bytes=1)

    def test_threads_may_read_at_once(self, store: Store, raw: RawAccess) -> None:
        """Each gets what it asked for."""
        for number in range(8):
            raw.write(f"t/{number}", bytes([number]) * 1000)
        begin = threading.Barrier(8)

        def work(number: int) -> bytes:
            begin.wait()
            return store.get_range(f"t/{number}", offset=10, size_bytes=2)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [bytes([n, n]) for n in range(8)]


def publish(store: Store, swap: Swap | None = None) -> None:
    """Let readers see what was put and deleted, and what is swapped last."""
    store.publish(swap, message="a test", progress=NoProgress())


def swap(store: Store, key: str, body: bytes, *, expected: bytes | None) -> None:
    """Publish, and replace an object that nobody changed."""
    publish(store, Swap(key=key, body=body, expected=expected))


class StoreContract(ReadingContract):
    """Derive, and give the fixtures `store` (a new, empty one) and `raw` (the same objects).

    Whatever the store does with what it is sent (keeps it back for a commit or a version, or puts
    it in its place at once), these tests are the same: what counts is what is there once `publish`
    returns.
    """

    def test_put_bytes_are_there(self, store: Store, raw: RawAccess) -> None:
        """Put, against raw access."""
        store.put("a/b", b"bytes \x00\xff")
        publish(store)
        assert raw.read("a/b") == b"bytes \x00\xff"

    def test_what_is_put_is_seen_once_it_is_published(self, store: Store, raw: RawAccess) -> None:
        """Sooner, perhaps, but whole; and one that was put and deleted, not at all."""
        store.put("k", b"new")
        store.put("gone", b"x")
        store.delete("gone")
        assert raw.read("k") in (None, b"new")
        publish(store)
        assert raw.read("k") == b"new"
        assert raw.read("gone") is None
        assert store.find("k") == len(b"new")

    def test_publishing_nothing_does_nothing(self, store: Store, raw: RawAccess) -> None:
        """Neither in an empty store nor a second time."""
        publish(store)
        assert list(store.list()) == []
        store.put("k", b"1")
        publish(store)
        publish(store)
        assert raw.read("k") == b"1"
        assert [entry.key for entry in store.list()] == ["k"]

    def test_what_is_swapped_comes_with_all_that_was_put(
        self, store: Store, raw: RawAccess
    ) -> None:
        """The first of its key, and one that replaces that."""
        store.put("a/1", b"one")
        swap(store, "head", b"first", expected=None)
        assert (raw.read("a/1"), raw.read("head")) == (b"one", b"first")
        store.put("a/2", b"two")
        assert raw.read("head") == b"first"
        swap(store, "head", b"second", expected=b"first")
        assert (raw.read("a/1"), raw.read("a/2")) == (b"one", b"two")
        assert raw.read("head") == b"second"

    def test_what_somebody_changed_is_not_swapped(self, store: Store, raw: RawAccess) -> None:
        """Made or replaced meanwhile. What was put comes with the swap after that one."""
        swap(store, "head", b"theirs", expected=None)
        store.put("a", b"one")
        for expected in (None, b"mine"):
            with pytest.raises(ConflictError, match="head was changed by somebody else"):
                swap(store, "head", b"new", expected=expected)
            assert raw.read("head") == b"theirs"
        swap(store, "head", b"new", expected=b"theirs")
        assert (raw.read("a"), raw.read("head")) == (b"one", b"new")

    def test_a_refused_swap_is_forgotten(self, store: Store, raw: RawAccess) -> None:
        """The next `publish` does not bring it in."""
        swap(store, "head", b"theirs", expected=None)
        with pytest.raises(ConflictError):
            swap(store, "head", b"new", expected=b"mine")
        store.put("a", b"one")
        publish(store)
        assert (raw.read("a"), raw.read("head")) == (b"one", b"theirs")

    def test_a_swap_may_be_repeated(self, store: Store, raw: RawAccess) -> None:
        """Who got no answer asks again, though it was done."""
        swap(store, "head", b"first", expected=None)
        swap(store, "head", b"second", expected=b"first")
        store.put("a", b"one")
        swap(store, "head", b"second", expected=b"first")
        assert (raw.read("a"), raw.read("head")) == (b"one", b"second")

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        """No bytes are not nothing."""
        store.put("empty", b"")
        publish(store)
        assert store.get("empty") == b""
        assert store.find("empty") == 0

    def test_put_replaces(self, store: Store, raw: RawAccess) -> None:
        """A shorter object leaves nothing of the longer one."""
        raw.write("k", b"the longer one")
        store.put("k", b"short")
        publish(store)
        assert raw.read("k") == b"short"

    def test_put_sends_a_file_from_its_start(self, store: Store, raw: RawAccess) -> None:
        """Wherever the file stands when it is handed over."""
        file = io.BytesIO(b"0123456789")
        file.seek(7)
        store.put("k", file)
        publish(store)
        assert raw.read("k") == b"0123456789"

    def test_put_sends_large_files_whole(self, store: Store, raw: RawAccess) -> None:
        """Large ones go in parts."""
        data = bytes(range(256)) * (20 * MIB // 256) + b"tail"
        store.put("large", io.BytesIO(data))
        publish(store)
        assert raw.read("large") == data

    def test_a_put_that_fails_leaves_the_old_object(self, store: Store, raw: RawAccess) -> None:
        """Readers never see a part."""
        raw.write("k", b"old")
        with pytest.raises(Exception, match="half-way"):
            store.put("k", cast("BinaryIO", _FailingFile(20 * MIB)))
        assert raw.read("k") == b"old"

    def test_a_folder_is_no_object(self, store: Store, raw: RawAccess) -> None:
        """Even where the store keeps its objects in folders."""
        raw.write("a/k", b"x")
        assert store.find("a") is None

    def test_list_names_all_below_a_prefix(self, store: Store, raw: RawAccess) -> None:
        """A prefix is a folder, not the beginning of a name."""
        for key in ("a/1", "a/b/2", "ab/3", "4"):
            raw.write(key, b"x" * len(key))
        below_a = {StoredObject(key="a/1", size_bytes=3), StoredObject(key="a/b/2", size_bytes=5)}
        assert set(store.list("a/")) == below_a
        assert {entry.key for entry in store.list()} == {"a/1", "a/b/2", "ab/3", "4"}
        assert list(store.list("no/")) == []

    def test_an_empty_store_holds_nothing(self, store: Store) -> None:
        """Also one whose place is yet to be made."""
        assert list(store.list()) == []
        assert store.find("k") is None

    def test_list_goes_beyond_one_page(self, store: Store) -> None:
        """Servers give a thousand at a time."""
        keys = {f"many/{number}" for number in range(1_050)}
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.put(key, b""), keys))
        publish(store)
        assert {entry.key for entry in store.list("many/")} == keys

    def test_delete_removes(self, store: Store, raw: RawAccess) -> None:
        """That one and no other; and nothing is no error."""
        raw.write("a", b"1")
        raw.write("b", b"2")
        store.delete("a")
        store.delete("a")
        publish(store)
        assert raw.read("a") is None
        assert raw.read("b") == b"2"

    @pytest.mark.parametrize("key", _ODD_KEYS)
    def test_odd_keys_are_kept(self, store: Store, key: str) -> None:
        """A key comes back as it was given."""
        store.put(key, key.encode())
        publish(store)
        assert store.get(key) == key.encode()
        assert [entry.key for entry in store.list()] == [key]

    @pytest.mark.parametrize("key", _NO_KEYS)
    def test_what_is_no_key_is_refused_by_every_verb(self, store: Store, key: str) -> None:
        """Nothing outside of the store can be named."""
        for verb in (store.get, store.find, store.delete):
            with pytest.raises(StoreError, match="cannot name an object"):
                verb(key)
        with pytest.raises(StoreError, match="cannot name an object"):
            store.put(key, b"")
        with pytest.raises(StoreError, match="cannot name an object"):
            swap(store, key, b"", expected=None)
        with pytest.raises(StoreError, match="cannot name an object"):
            store.get_range(key, offset=0, size_bytes=1)

    def test_threads_may_share_it(self, store: Store) -> None:
        """Every verb, at once."""
        begin = threading.Barrier(8)

        def work(number: int) -> bytes:
            begin.wait()
            store.put(f"t/{number}", bytes([number]) * 1000)
            publish(store)
            return store.get_range(f"t/{number}", offset=10, size_bytes=2)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [bytes([n, n]) for n in range(8)]


class _FailingFile(io.RawIOBase):
    """A file that cannot be read to its end."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        if self._at >= self._size_bytes // 2:
            raise OSError("half-way")
        size = self._size_bytes if size < 0 else size
        self._at += size
        return bytes(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._size_bytes if whence == io.SEEK_END else 0)
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
