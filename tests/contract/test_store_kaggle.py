import io
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sojourn.errors import (
    AccessDeniedError,
    ConflictError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)
from sojourn.stores.base import Presentation, Store
from sojourn.stores.kaggle import KaggleStore, open_kaggle
from sojourn.stores.kaggle_busy import BusyError
from sojourn.stores.kaggle_limits import KaggleLimits
from sojourn.stores.kaggle_readiness import Patience
from sojourn.stores.retrying import Retrying
from sojourn.testing.kaggle_server import KaggleServer, KaggleTrouble
from sojourn.testing.store_contract import RawAccess, ReadingContract, StoreContract, publish, swap

OWNER, SLUG = "me", "leaks-2024"


class Clock:
    """Time that goes on by being waited for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits_s: list[float] = []

    def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self.now_s += wait_s

    def __call__(self) -> float:
        return self.now_s


class VersionsAccess:
    """Objects as a person finds them who follows the index by hand."""

    def __init__(self, server: KaggleServer) -> None:
        self._datasets = server.datasets

    def read(self, key: str) -> bytes | None:
        dataset = self._datasets.get(OWNER, SLUG)
        if dataset is None:
            return None
        files = dataset.versions[-1].files
        if "sojourn-versions.json" in files:
            objects = json.loads(files["sojourn-versions.json"].read_bytes())["objects"]
            if key not in objects:
                return None
            if objects[key]["version"] is not None:
                files = dataset.versions[objects[key]["version"] - 1].files
        return files[key].read_bytes() if key in files else None

    def write(self, key: str, data: bytes) -> None:
        dataset = self._datasets.get(OWNER, SLUG)
        files = dataset.versions[-1].files if dataset else {}
        earlier = {name: path.read_bytes() for name, path in files.items()}
        self._datasets.add(OWNER, SLUG, {**earlier, key: data})


OpenStore = Callable[..., KaggleStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_it(kaggle: KaggleServer, clock: Clock) -> OpenStore:
    def open_it(name: str = f"{OWNER}/{SLUG}", **arguments: Any) -> KaggleStore:
        assert kaggle
        patience = Patience(clock=clock, sleep=clock.sleep)
        return open_kaggle(name, environment=os.environ, **{"patience": patience, **arguments})

    return open_it


@pytest.fixture
def store(open_it: OpenStore) -> KaggleStore:
    return open_it()


class TestKaggleStore(StoreContract):
    @pytest.fixture
    def store(self, open_it: OpenStore) -> Store:
        return open_it()

    @pytest.fixture
    def raw(self, kaggle: KaggleServer) -> RawAccess:
        return VersionsAccess(kaggle)

    def test_list_goes_beyond_one_page(self, store: Store) -> None:
        """What is put is listed from an index without pages, so fewer will do."""
        keys = {f"many/{number}" for number in range(60)}
        for key in keys:
            store.put(key, b"")
        publish(store)
        assert {entry.key for entry in store.list("many/")} == keys

    def test_the_list_of_what_others_made_goes_beyond_one_page(
        self, store: Store, kaggle: KaggleServer
    ) -> None:
        keys = {f"many/{number}" for number in range(450)}
        kaggle.datasets.add(OWNER, SLUG, dict.fromkeys(keys, b"x"))
        assert {entry.key for entry in store.list("many/")} == keys
        assert len(kaggle.calls("ListDatasetFiles")) == 3


class TestWhereSingleFilesComeAsArchives(ReadingContract):
    @pytest.fixture
    def store(self, kaggle: KaggleServer, open_it: OpenStore) -> Store:
        kaggle.datasets.zips_files_from_bytes = 0
        return open_it()

    @pytest.fixture
    def raw(self, kaggle: KaggleServer) -> RawAccess:
        return VersionsAccess(kaggle)


class TestWhereOnlyWholeVersionsAreHandedOut(TestWhereSingleFilesComeAsArchives):
    @pytest.fixture
    def store(self, kaggle: KaggleServer, open_it: OpenStore) -> Store:
        kaggle.datasets.single_files = False
        return open_it()


def put_all(store: Store, **objects: bytes) -> None:
    for key, data in objects.items():
        store.put(key.replace("__", "/"), data)
    publish(store)


def versions(server: KaggleServer) -> list[set[str]]:
    dataset = server.datasets.get(OWNER, SLUG)
    return [set(version.files) for version in dataset.versions] if dataset else []


def test_a_version_holds_what_changed_and_says_where_the_rest_is(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, shards__one=b"1" * 1000, shards__two=b"2" * 1000)
    kaggle.forget_traffic()
    put_all(store, shards__two=b"3" * 1000)
    first, second = versions(kaggle)
    own = {"sojourn-versions.json", "VERSIONS.md"}
    assert first == {"shards/one", "shards/two"} | own
    assert second == {"shards/two"} | own
    assert 1000 < kaggle.received_bytes < 3000
    assert store.get("shards/one") == b"1" * 1000
    assert store.get("shards/two") == b"3" * 1000
    dataset = kaggle.datasets.get(OWNER, SLUG)
    assert dataset
    guide = dataset.versions[1].files["VERSIONS.md"].read_text()
    assert "kaggle datasets download me/leaks-2024/1 --unzip -p set\n" in guide


def test_what_others_made_stays_when_something_is_put_beside_it(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    kaggle.datasets.add(OWNER, SLUG, {"train/a.csv": b"a,b\n"})
    put_all(store, more=b"more")
    assert {o.key: o.size_bytes for o in store.list()} == {"train/a.csv": 4, "more": 4}
    assert store.get("train/a.csv") == b"a,b\n"


def test_it_is_made_as_the_user_says_and_private_if_not(
    open_it: OpenStore, kaggle: KaggleServer
) -> None:
    put_all(open_it("me/private-one"), k=b"x")
    shown = Presentation(title="Leaks of 2024", license="CC0-1.0", public=True)
    put_all(open_it(presentation=shown), k=b"x")
    private, public = kaggle.datasets.get("me", "private-one"), kaggle.datasets.get(OWNER, SLUG)
    assert private
    assert public
    assert (private.title, private.private) == ("private-one", True)
    assert (public.title, public.license, public.private) == ("Leaks of 2024", "CC0-1.0", False)
    assert "sojourn pull kaggle://me/leaks-2024" in public.description
    with pytest.raises(UsageError, match="is there already"):
        open_it(presentation=shown).put("k", b"y")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("me/ab", StoreError, "3 to 50 lower-case"),
        ("me/Capital-Letters", StoreError, "3 to 50 lower-case"),
        ("somebody/leaks-2024", AccessDeniedError, "kaggle://me/leaks-2024|is private"),
    ],
)
def test_what_kaggle_would_not_make_is_refused_before_anything_is_sent(
    open_it: OpenStore, kaggle: KaggleServer, name: str, error: type[StoreError], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_it(name).put("k", b"x")
    assert kaggle.calls("StartBlobUpload") == []


def test_a_name_shorter_than_a_title_gets_one_that_kaggle_takes(
    open_it: OpenStore, kaggle: KaggleServer
) -> None:
    put_all(open_it("me/leaks"), k=b"x")
    found = kaggle.datasets.get("me", "leaks")
    assert found
    assert found.title == "leaks data set"


def test_a_title_that_kaggle_would_not_take_is_refused(open_it: OpenStore) -> None:
    with pytest.raises(UsageError, match="has 3 characters"):
        open_it(presentation=Presentation(title="abc")).put("k", b"x")


@pytest.mark.parametrize("address", ["", "me", "me/", "me/a/b", "me/a b", "../x", "me/x?v=1"])
def test_an_address_that_names_no_data_set_is_refused(open_it: OpenStore, address: str) -> None:
    with pytest.raises(StoreError, match="names no data set"):
        open_it(address)


def test_an_answer_of_403_is_no_data_set_yet_where_it_would_be_ones_own(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    kaggle.datasets.absent_status = 403
    assert list(store.list()) == []
    put_all(store, k=b"x")
    assert store.get("k") == b"x"


def test_what_is_private_and_anothers_is_denied(open_it: OpenStore, kaggle: KaggleServer) -> None:
    kaggle.datasets.add("other", "secret-one", {"k": b"x"})
    with pytest.raises(AccessDeniedError, match="private, or not there"):
        open_it("other/secret-one").get("k")


def test_public_data_sets_are_read_without_credentials(
    kaggle: KaggleServer, open_it: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    kaggle.datasets.add("other", "public-one", {"k": b"x"}, private=False)
    store = open_it("other/public-one")
    assert store.get("k") == b"x"
    with pytest.raises(AccessDeniedError, match="none were found") as caught:
        store.put("k", b"y")
    assert "KAGGLE_API_TOKEN" in caught.value.remedy


def test_a_wrong_token_is_said_to_be_wrong_and_not_shown(
    store: KaggleStore, kaggle: KaggleServer, open_it: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all(store, k=b"x")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_canary")
    with pytest.raises(AccessDeniedError, match="credentials from KAGGLE_API_TOKEN") as caught:
        open_it().get("k")
    assert "canary" not in f"{caught.value!s}{caught.value!r}{open_it()._credentials!r}"
    assert kaggle.calls("DownloadDataset")


def test_an_address_that_expired_is_asked_for_anew(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, k=b"0123456789")
    assert store.get_range("k", offset=0, size_bytes=5) == b"01234"
    kaggle.expire_addresses()
    assert store.get_range("k", offset=5, size_bytes=5) == b"56789"
    kaggle.expire_addresses()
    assert store.get("k") == b"0123456789"


def test_parts_of_a_file_share_one_address(store: KaggleStore, kaggle: KaggleServer) -> None:
    put_all(store, k=b"0123456789")
    kaggle.forget_traffic()
    for offset in range(10):
        store.get_range("k", offset=offset, size_bytes=1)
    assert len(kaggle.calls("DownloadDataset")) == 1
    assert kaggle.served_bytes == 10


def test_a_large_object_is_read_in_parts_side_by_side_and_checked(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    data = bytes(range(256)) * (40 << 12)
    put_all(store, k=data)
    kaggle.forget_traffic()
    assert store.get("k") == data
    assert len([1 for name, _ in kaggle.requests if name.startswith("GET")]) >= 3
    dataset = kaggle.datasets.get(OWNER, SLUG)
    assert dataset
    path = dataset.versions[0].files["k"]
    path.write_bytes(b"y" + data[1:])
    with pytest.raises(StoreUnavailableError, match="checksum"):
        store.get("k")


@pytest.mark.parametrize("where", ["GetDataset$", "DownloadDataset", "GET /storage", "StartBlob"])
def test_who_is_asked_to_come_back_comes_back_then(
    store: KaggleStore, kaggle: KaggleServer, clock: Clock, where: str
) -> None:
    put_all(store, k=b"x")
    busy = KaggleTrouble(where=where, status=429, headers={"Retry-After": "7"}, times=2)
    kaggle.troubles = [busy]
    store.put("k", b"y")
    assert store.get_range("k", offset=0, size_bytes=1) == b"x"
    assert store.get("k") == b"x"
    assert busy.times == 0
    assert clock.waits_s.count(7.0) == 2


@pytest.mark.parametrize("status", [500, 503, None])
def test_trouble_of_a_moment_is_not_noticed(
    open_it: OpenStore, kaggle: KaggleServer, status: int | None
) -> None:
    put_all(open_it(), k=b"0123456789")
    for where in ("GetDataset$", "DownloadDataset", "GET /storage"):
        kaggle.troubles = [KaggleTrouble(where=where, status=status, keep_bytes=3, times=1)]
        assert Retrying(open_it(), sleep=lambda _: None).get("k") == b"0123456789"
        assert kaggle.troubles[0].times == 0


def test_trouble_that_stays_is_unavailable(store: KaggleStore, kaggle: KaggleServer) -> None:
    put_all(store, k=b"0123456789")
    for status in (500, None):
        kaggle.troubles = [KaggleTrouble(where="GET /storage", status=status, keep_bytes=3)]
        with pytest.raises(StoreUnavailableError) as caught:
            store.get("k")
        assert "Signature" not in str(caught.value)


def test_an_upload_that_breaks_off_goes_on_where_it_stopped(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    data = bytes(range(256)) * (8 << 12)
    kaggle.troubles = [KaggleTrouble(where="PUT /upload", keep_bytes=3 << 20, times=2)]
    store.put("k", data)
    publish(store)
    assert store.get("k") == data
    assert kaggle.received_bytes < len(data) + (3 << 20)
    assert len(kaggle.calls("StartBlobUpload")) == 3


def test_an_upload_goes_on_in_a_later_process(
    store: KaggleStore, open_it: OpenStore, kaggle: KaggleServer
) -> None:
    data = bytes(range(256)) * (8 << 12)
    cut = KaggleTrouble(where="PUT /upload", keep_bytes=5 << 20, times=1)
    kaggle.troubles = [cut, KaggleTrouble(where="PUT /upload", status=503)]
    with pytest.raises(StoreUnavailableError):
        store.put("k", data)
    kaggle.troubles = []
    received_bytes = kaggle.received_bytes
    later = open_it()
    later.put("k", data)
    publish(later)
    assert later.get("k") == data
    assert kaggle.received_bytes - received_bytes < (4 << 20)


def test_what_was_sent_and_not_published_is_not_sent_again(
    store: KaggleStore, open_it: OpenStore, kaggle: KaggleServer
) -> None:
    store.put("k", b"x" * 100_000)
    kaggle.forget_traffic()
    later = open_it()
    later.put("k", b"x" * 100_000)
    assert kaggle.received_bytes == 0
    publish(later)
    assert later.get("k") == b"x" * 100_000


def test_an_upload_that_the_storage_forgot_begins_anew(
    store: KaggleStore, open_it: OpenStore, kaggle: KaggleServer
) -> None:
    cut = KaggleTrouble(where="PUT /upload", keep_bytes=1 << 20, times=1)
    kaggle.troubles = [cut, KaggleTrouble(where="PUT /upload", status=503)]
    with pytest.raises(StoreUnavailableError):
        store.put("k", bytes(2 << 20))
    kaggle.troubles = []
    for blob in kaggle.datasets.blobs.values():
        blob.expired = True
    later = open_it()
    later.put("k", bytes(2 << 20))
    publish(later)
    assert later.get("k") == bytes(2 << 20)


def test_notes_of_uploads_are_for_their_owner_only_and_go_with_the_commit(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    store.put("k", b"x")
    assert kaggle
    folder = Path(os.environ["HOME"]) / ".local/state/sojourn/kaggle/me/leaks-2024"
    (note,) = folder.iterdir()
    assert note.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    publish(store)
    assert list(folder.iterdir()) == []


def test_a_version_is_waited_for(store: KaggleStore, kaggle: KaggleServer, clock: Clock) -> None:
    kaggle.datasets.pending_polls = 5
    put_all(store, k=b"x")
    assert len(clock.waits_s) == 5
    assert store.get("k") == b"x"


def test_a_version_that_is_never_ready_ends_with_what_to_do(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    kaggle.datasets.pending_polls = 10_000
    with pytest.raises(StoreError, match="ready within 30 m") as caught:
        put_all(store, k=b"x")
    assert "https://www.kaggle.com/datasets/me/leaks-2024" in caught.value.remedy
    assert not caught.value.retryable


def test_a_version_that_is_not_found_for_a_moment_is_waited_for(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    for _ in range(2):
        late = KaggleTrouble(where="ListDatasetFiles", status=404, times=3)
        kaggle.troubles = [late]
        put_all(store, k=b"x")
        assert late.times == 0
    assert store.get("k") == b"x"


def test_versions_of_ours_are_read_where_only_whole_ones_are_handed_out(
    store: KaggleStore, open_it: OpenStore, kaggle: KaggleServer
) -> None:
    put_all(store, one=b"1", two=b"2")
    put_all(store, two=b"3")
    kaggle.datasets.single_files = False
    later = open_it()
    assert {o.key for o in later.list()} == {"one", "two"}
    assert later.get("two") == b"3"
    assert later.get("one") == b"1"


def test_one_that_kaggle_could_not_make_is_told(store: KaggleStore, kaggle: KaggleServer) -> None:
    kaggle.datasets.fails = True
    with pytest.raises(StoreError, match="says 'failed'"):
        put_all(store, k=b"x")


def test_a_refusal_for_lack_of_quota_says_what_to_do(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    kaggle.datasets.quota_bytes = 1000
    with pytest.raises(StoreError, match="exceeded your private data quota") as caught:
        put_all(store, k=bytes(2000))
    assert "--public" in caught.value.remedy


def test_success_that_is_none_is_told(store: KaggleStore, kaggle: KaggleServer) -> None:
    """Over the quota the real one says that all is well, and has nothing."""
    kaggle.datasets.quota_bytes = 1000
    kaggle.datasets.quota_is_silent = True
    with pytest.raises(StoreError, match=r"has not made the version.*'not there'"):
        put_all(store, k=bytes(2000))


def test_files_that_are_missing_in_the_new_version_are_told(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    kaggle.datasets.drops_folders = True
    with pytest.raises(StoreError, match=r"1 of 4 files are missing.*shards/a"):
        put_all(store, shards__a=b"x", b=b"y")


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, k=b"x")
    store.put("k", b"y")
    kaggle.troubles = [KaggleTrouble(where="GetDatasetStatus", status=503, times=1)]
    with pytest.raises(StoreUnavailableError):
        publish(store)
    publish(store)
    assert len(versions(kaggle)) == 2
    assert store.get("k") == b"y"


def test_room_is_what_the_limits_leave(open_it: OpenStore, kaggle: KaggleServer) -> None:
    limits = KaggleLimits(file_bytes=10_000, dataset_bytes=9_000, account_bytes=12_000)
    kaggle.datasets.add("me", "another-one", {"k": bytes(5_000)})
    store = open_it(limits=limits)
    assert store.capabilities.max_object_bytes == 10_000
    assert store.room_bytes() == 7_000
    public = open_it(limits=limits, presentation=Presentation(public=True))
    assert public.room_bytes() == 9_000
    kaggle.datasets.add("me", SLUG, {"k": bytes(1_000)})
    assert open_it(limits=limits).room_bytes() == 6_000


def test_a_deleted_object_stays_in_the_versions_before(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, k=b"x", m=b"y")
    store.delete("k")
    publish(store)
    assert store.find("k") is None
    with pytest.raises(ObjectNotFoundError, match="no k in kaggle://me/leaks-2024"):
        store.get("k")
    assert store.get("m") == b"y"
    assert "k" in versions(kaggle)[0]


def test_what_kaggle_unpacked_is_found_below_the_archive(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", b"inside")
    kaggle.datasets.unpacks = frozenset({".zip"})
    put_all(store, shards__x=b"1", shards__one=b"2")
    store.put("shards/s.zip", packed.getvalue())
    publish(store)
    put_all(store, other=b"x")
    with pytest.raises(ObjectNotFoundError):
        store.get("shards/s.zip")
    assert store.find("shards/s/a/b.txt") == 6
    assert store.get_range("shards/s/a/b.txt", offset=2, size_bytes=2) == b"si"
    assert store.find("shards/s/no") is None


def test_a_set_of_very_many_files_is_read_from_one_archive(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    files = {f"test/{n}.csv": f"{n},".encode() * n for n in range(300)}
    kaggle.datasets.add(OWNER, SLUG, files)
    assert {o.key: o.size_bytes for o in store.list("test/")} == {
        k: len(d) for k, d in files.items()
    }
    kaggle.forget_traffic()
    assert store.get("test/7.csv") == files["test/7.csv"]
    assert store.get_range("test/299.csv", offset=3, size_bytes=4) == files["test/299.csv"][3:7]
    assert [asked.get("fileName") for asked in kaggle.calls("DownloadDataset")][-1] is None
    kaggle.forget_traffic()
    for key, data in files.items():
        assert store.get_range(key, offset=0, size_bytes=len(data)) == data
    assert kaggle.calls("DownloadDataset") == []
    assert len(kaggle.requests) <= len(files)


def test_two_commits_at_once_leave_all_of_both(
    open_it: OpenStore, store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, base=b"0")
    stores = [open_it() for _ in range(2)]
    for number, one in enumerate(stores):
        one.put(f"k{number}", b"x")
    for one in stores:
        publish(one)
    assert {o.key for o in store.list()} == {"base", "k0", "k1"}
    assert len(versions(kaggle)) == 3


def hold_first_versions(kaggle: KaggleServer, count: int) -> None:
    """Let the next versions be made once so many are asked for: all began from the same one."""
    together = threading.Barrier(count, timeout=60)
    left = threading.Semaphore(count)

    def hold(request: str) -> None:
        if request.endswith("/CreateDatasetVersion") and left.acquire(blocking=False):
            together.wait()

    kaggle.hold = hold


def test_who_publish_in_the_same_instant_all_keep_what_they_sent(
    open_it: OpenStore, store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, base=b"0", old=b"0", gone=b"0")
    hold_first_versions(kaggle, 3)

    def work(number: int) -> None:
        one = open_it()
        one.put(f"k{number}", b"%d" % number)
        if number == 0:
            one.put("old", b"new")
        if number == 1:
            one.delete("gone")
        publish(one)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert {o.key for o in open_it().list()} == {"base", "old", "k0", "k1", "k2"}
    assert open_it().get("old") == b"new"
    assert [open_it().get(f"k{n}") for n in range(3)] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("count", [2, 3])
def test_of_those_who_swap_in_the_same_instant_the_first_wins(
    open_it: OpenStore, store: KaggleStore, kaggle: KaggleServer, count: int
) -> None:
    swap(store, "head", b"before", expected=None)
    hold_first_versions(kaggle, count)

    def work(number: int) -> bool:
        one = open_it()
        one.put(f"k{number}", b"x")
        try:
            swap(one, "head", b"%d" % number, expected=b"before")
        except ConflictError:
            # It goes on from what came, and sends no object twice.
            assert one.find(f"k{number}") == 1
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        won = [number for number, ended in enumerate(pool.map(work, range(count))) if ended]
    assert len(won) == 1
    assert open_it().get("head") == b"%d" % won[0]
    assert {o.key for o in open_it().list()} == {"head", *(f"k{n}" for n in range(count))}


def test_what_was_put_after_a_version_whose_answer_was_lost_is_published_too(
    store: KaggleStore, kaggle: KaggleServer
) -> None:
    put_all(store, k=b"x")
    store.put("k", b"y")
    kaggle.troubles = [KaggleTrouble(where="GetDatasetStatus", status=503, times=1)]
    with pytest.raises(StoreUnavailableError):
        publish(store)
    store.put("k", b"z")
    store.put("m", b"new")
    publish(store)
    assert (store.get("k"), store.get("m")) == (b"z", b"new")
    assert len(versions(kaggle)) == 3


def test_who_is_asked_to_wait_in_a_helper_process_is_told_for_how_long() -> None:
    error = BusyError("Kaggle is busy.", remedy="Wait.", after_s=7.0)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.after_s) == (BusyError, str(error), 7.0)
