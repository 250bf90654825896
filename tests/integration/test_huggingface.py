"""Data sets on a hub of the tests' own, by the real client of Hugging Face."""

import io
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

import sojourn
from sojourn.api import verify
from sojourn.dataset.engine import Group
from sojourn.dataset.ray_engine import pack_remotely
from sojourn.dataset.shards import Sizes
from sojourn.dataset.source import StoreSource
from sojourn.errors import (
    AccessDeniedError,
    ConflictError,
    IntegrityError,
    MissingPackageError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.base import Body, Store
from sojourn.stores.huggingface import open_huggingface
from sojourn.stores.retrying import Retrying
from sojourn.stores.url import open_store
from sojourn.testing.hub_records import HubFile, HubServer
from sojourn.testing.store_contract import publish, swap
from sojourn.testing.web import Trouble

URL = "hf://datasets/me/leaks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "empty").mkdir()
    for number in range(5):
        rows = "".join(f"{row},{row * number / 7:.4f}\n" for row in range(500))
        (folder / "train" / f"T_{number}.csv").write_text("a,b\n" + rows)
    (folder / "noise.bin").write_bytes(os.urandom(12 << 20))
    return folder


def _diff(one: Path, other: Path) -> str:
    command = ["diff", "-r", str(one), str(other)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _paths(hub: HubServer, method: str, place: str) -> list[str]:
    return [r.path for r in hub.requests if (r.method, r.place) == (method, place)]


def test_what_is_pushed_comes_back_and_is_private_and_one_commit(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    report = sojourn.push(folder, URL, message="first")
    assert hub.repos["me/leaks"].private
    assert hub.commits_made() == 1
    sojourn.pull(URL, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""
    assert not verify(URL).problems
    assert sojourn.open(URL).revision == report.revision
    hub.requests.clear()
    assert sojourn.push(folder, URL).unchanged
    assert hub.commits_made() == 0


def test_readers_see_a_push_whole_or_not_at_all(hub: HubServer, folder: Path) -> None:
    sojourn.push(folder, URL)
    first, second = hub.repos["me/leaks"].commits
    assert set(first[1]) == {".gitattributes"}
    assert {"README.md", "sojourn.json"} < set(second[1])


def test_others_get_it_with_the_hubs_own_client(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    sojourn.push(folder, URL)
    there = snapshot_download(
        "me/leaks", repo_type="dataset", local_dir=tmp_path / "s", endpoint=hub.url, token=hub.token
    )
    sojourn.pull(there, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""
    one = hf_hub_download(
        "me/leaks",
        "sojourn.json",
        repo_type="dataset",
        local_dir=tmp_path / "o",
        endpoint=hub.url,
        token=hub.token,
    )
    assert json.loads(Path(one).read_text())["schema"].startswith("sojourn.manifest")


def test_what_others_put_there_with_the_hubs_own_client_can_be_read(hub: HubServer) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/theirs", repo_type="dataset", private=False)
    for name, data in (("a.csv", b"x,y\n1,2\n"), ("deep/b.bin", bytes(300_000))):
        api.upload_file(
            path_or_fileobj=io.BytesIO(data),
            path_in_repo=name,
            repo_id="me/theirs",
            repo_type="dataset",
        )
    store = open_store("hf://datasets/me/theirs")
    assert {entry.key: entry.size_bytes for entry in store.list()} == {
        "a.csv": 8,
        "deep/b.bin": 300_000,
    }
    assert store.get("a.csv") == b"x,y\n1,2\n"
    assert store.get_range("deep/b.bin", offset=299_990, size_bytes=100) == bytes(10)


def test_a_public_data_set_is_read_without_a_token(
    hub: HubServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make_repo("me/leaks", private=False)
    sojourn.push(folder, URL)
    monkeypatch.delenv("HF_TOKEN")
    hub.requests.clear()
    sojourn.pull(URL, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""
    assert not any(request.token for request in hub.requests)
    with pytest.raises(AccessDeniedError, match="not shown to you"):
        _put(open_store(URL), "k", b"x")


def test_the_token_goes_to_the_hub_only(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    sojourn.push(folder, URL)
    sojourn.pull(URL, tmp_path / "back")
    by_place = {
        place: {r.token for r in hub.requests if r.place == place} for place in ("hub", "storage")
    }
    assert by_place == {"hub": {hub.token}, "storage": {""}}


def test_parts_of_a_large_file_are_asked_for_side_by_side_with_one_redirect(
    hub: HubServer,
) -> None:
    data = os.urandom(1 << 20)
    store = open_store(URL)
    _put(store, "large.bin", data)
    hub.requests.clear()
    offsets = range(0, len(data), 1 << 15)
    assert store.get_range("large.bin", offset=0, size_bytes=1) == data[:1]
    with ThreadPoolExecutor(8) as pool:
        parts = pool.map(
            lambda at: store.get_range("large.bin", offset=at, size_bytes=1 << 15), offsets
        )
        assert b"".join(parts) == data
    assert len(_paths(hub, "GET", "hub")) == 1
    assert len(_paths(hub, "GET", "storage")) == 1 + len(offsets)
    assert sum(r.sent_bytes for r in hub.requests if r.place == "storage") == len(data) + 1


def test_a_signed_address_that_expired_is_asked_for_anew(hub: HubServer) -> None:
    store = open_store(URL)
    _put(store, "large.bin", b"0123456789")
    assert store.get_range("large.bin", offset=2, size_bytes=3) == b"234"
    hub.expire_signatures()
    hub.requests.clear()
    assert store.get_range("large.bin", offset=4, size_bytes=3) == b"456"
    assert [r.place for r in hub.requests] == ["storage", "hub", "storage"]


def test_large_files_go_in_the_parts_that_the_hub_asks_for(hub: HubServer) -> None:
    hub.part_bytes = 5 << 20
    data = os.urandom(12 << 20)
    store = open_store(URL)
    _put(store, "large.bin", io.BytesIO(data))
    assert len(_paths(hub, "PUT", "storage")) == 3
    assert store.get("large.bin") == data


def test_a_push_of_many_shards_is_a_commit_for_each_hundred(hub: HubServer) -> None:
    store = open_store(URL)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.put(f"shards/{n}.zst", b"%d" % n), range(250)))
    swap(store, "m.json", b"all", expected=None)
    assert hub.commits_made() == 3
    assert len(list(store.list("shards/"))) == 250


def test_what_a_worker_of_a_cluster_packs_is_there_at_once(hub: HubServer, folder: Path) -> None:
    entries = StoreSource(open_store(folder)).entries()
    group = Group(index=0, entries=entries, sizes=Sizes(), as_tables=True)
    packed, sent_shards, _ = pack_remotely(group, str(folder), URL)
    assert sent_shards == 1
    assert packed.shard.key in hub.repos["me/leaks"].files


def test_what_is_put_is_not_there_before_it_is_published(hub: HubServer) -> None:
    store = open_store(URL)
    store.put("shards/1.zst", bytes(300_000))
    assert hub.storage
    assert store.find("shards/1.zst") is None
    swap(store, "m.json", b"1", expected=None)
    assert store.find("shards/1.zst") == 300_000


def test_an_object_that_changed_is_not_replaced_and_what_was_put_waits(hub: HubServer) -> None:
    store, other = open_store(URL), open_store(URL)
    swap(store, "m.json", b"1", expected=None)
    store.put("shards/1.zst", bytes(300_000))
    swap(other, "m.json", b"2", expected=b"1")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        swap(store, "m.json", b"3", expected=b"1")
    assert store.find("shards/1.zst") is None
    swap(store, "m.json", b"3", expected=b"2")
    assert store.find("shards/1.zst") == 300_000
    assert hub.repos["me/leaks"].files["m.json"].data == b"3"


def test_a_commit_of_others_to_other_files_is_no_conflict(hub: HubServer) -> None:
    store = open_store(URL)
    swap(store, "m.json", b"1", expected=None)
    # Between the look at the newest commit and the commit on top of it.
    hub.troubles = [Trouble(method="POST", path="/commit/", status=412, times=1)]
    swap(store, "m.json", b"2", expected=b"1")
    assert hub.repos["me/leaks"].files["m.json"].data == b"2"


def test_a_commit_whose_answer_was_lost_is_no_conflict(hub: HubServer) -> None:
    store = open_store(URL)
    swap(store, "m.json", b"1", expected=None)
    store.put("shards/1.zst", bytes(300_000))
    lost = Trouble(method="POST", path="/commit/", keep_bytes=3, times=1)
    hub.troubles = [lost]
    swap(store, "m.json", b"2", expected=b"1")
    assert lost.times == 0
    assert (store.get("m.json"), store.find("shards/1.zst")) == (b"2", 300_000)


def test_what_is_deleted_is_gone_with_the_next_commit(hub: HubServer) -> None:
    store, other = open_store(URL), open_store(URL)
    for key in ("a", "b", "c"):
        _put(store, key, b"x")
    made = hub.commits_made()
    store.delete("a")
    store.delete("b")
    store.delete("never")
    other.delete("b")
    publish(other)
    swap(store, "m.json", b"1", expected=None)
    assert hub.commits_made() - made == 2
    assert {entry.key for entry in store.list()} == {"c", "m.json"}


def test_many_who_write_at_once_all_get_through(hub: HubServer) -> None:
    begin = threading.Barrier(6)

    def work(number: int) -> None:
        store = open_store(URL)
        begin.wait()
        _put(store, f"t/{number}", b"%d" % number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(hub.repos["me/leaks"].files)[1:] == [f"t/{n}" for n in range(6)]


def test_a_push_that_broke_off_sends_nothing_twice(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    hub.troubles = [Trouble(method="POST", path="/commit/", status=403, says="not today", times=1)]
    with pytest.raises(AccessDeniedError, match="denies access and says: not today"):
        sojourn.push(folder, URL)
    assert open_store(URL).find("sojourn.json") is None
    sent_bytes = hub.received_bytes("storage")
    assert sent_bytes > 12 << 20
    sojourn.push(folder, URL)
    assert hub.received_bytes("storage") == sent_bytes
    sojourn.pull(URL, tmp_path / "back")
    assert _diff(folder, tmp_path / "back") == ""


def test_what_a_reader_may_not_write_is_denied(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make_repo("me/leaks", private=False)
    monkeypatch.setenv("HF_TOKEN", hub.reader_token)
    with pytest.raises(AccessDeniedError, match="rights") as caught:
        _put(open_store(URL), "k", b"x")
    assert hub.reader_token not in str(caught.value)
    assert "settings/tokens" in caught.value.remedy


def test_a_wrong_token_is_denied_and_not_shown(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.make_repo("me/leaks")
    monkeypatch.setenv("HF_TOKEN", "hf_wrongWrongWrong")
    store = open_store(URL)
    for call in (
        lambda: store.get("k"),
        lambda: store.get_range("k", offset=0, size_bytes=1),
        lambda: store.find("k"),
        lambda: list(store.list()),
        lambda: _put(store, "k", b"x"),
    ):
        with pytest.raises(AccessDeniedError) as caught:
            call()
        assert "hf_wrong" not in str(caught.value)
        assert "hf auth login" in caught.value.remedy


def test_a_data_set_that_is_not_there_is_empty_to_its_owner(hub: HubServer) -> None:
    assert hub
    store = open_store("hf://datasets/me/nothing")
    assert store.find("k") is None
    assert list(store.list()) == []
    with pytest.raises(ObjectNotFoundError, match="hf://datasets/me/nothing"):
        sojourn.open("hf://datasets/me/nothing")


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_trouble_of_a_moment_is_not_noticed(hub: HubServer, status: int) -> None:
    waits: list[float] = []
    store = Retrying(open_huggingface("me", "leaks", environment=os.environ), sleep=waits.append)
    _put(store, "large.bin", b"0123456789")
    hub.troubles = [
        Trouble(method="GET", path="/resolve/", status=status, times=1),
        Trouble(method="GET", path="/tree/", status=status, times=1),
    ]
    assert store.get("large.bin") == b"0123456789"
    assert len(waits) == 1


def test_a_hub_that_asks_to_be_left_alone_is(hub: HubServer) -> None:
    waits: list[float] = []
    store = Retrying(open_huggingface("me", "leaks", environment=os.environ), sleep=waits.append)
    _put(store, "k", b"1")
    asked = [
        {"Retry-After": "37"},
        {"RateLimit": '"resolvers";r=0;t=55', "RateLimit-Policy": '"fixed window";q=5000;w=300'},
        {
            "Date": "Wed, 21 Oct 2015 07:28:00 GMT",  # its clock, not this machine's
            "Retry-After": "Wed, 21 Oct 2015 07:28:41 GMT",
        },
    ]
    hub.troubles = [Trouble(status=429, headers=headers, times=1) for headers in asked]
    assert store.get("k") == b"1"
    assert waits == [37.0, 55.0, 41.0]


def test_who_asks_for_an_hour_is_not_waited_for(hub: HubServer) -> None:
    waits: list[float] = []
    store = Retrying(open_huggingface("me", "leaks", environment=os.environ), sleep=waits.append)
    hub.troubles = [Trouble(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(StoreUnavailableError, match="left alone for 3600 s") as caught:
        store.get("k")
    assert caught.value.wait_s == 3600
    assert waits == []


def test_a_body_that_breaks_off_is_asked_for_again(hub: HubServer) -> None:
    store = open_store(URL)
    data = os.urandom(400_000)
    _put(store, "large.bin", data)
    hub.troubles = [Trouble(method="GET", path="/objects/", keep_bytes=1000, times=2)]
    assert store.get_range("large.bin", offset=10, size_bytes=300_000) == data[10:300_010]
    hub.troubles = [Trouble(method="GET", path="/objects/", keep_bytes=1000)]
    impatient = open_huggingface("me", "leaks", environment=os.environ)
    with pytest.raises(StoreUnavailableError):
        impatient.get("large.bin")


def test_a_connection_that_breaks_is_made_again(hub: HubServer) -> None:
    store = open_store(URL)
    _put(store, "k", b"1")
    hub.troubles = [Trouble(method="GET", hang_up=True, times=2)]
    assert store.get("k") == b"1"


def test_bytes_that_are_wrong_are_never_handed_out(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    sojourn.push(folder, URL)
    hub.troubles = [Trouble(method="GET", path="/objects/", flip_bit_at=100)]
    with pytest.raises(IntegrityError):
        sojourn.pull(URL, tmp_path / "back")
    assert not (tmp_path / "back" / "noise.bin").exists()


def test_a_silent_hub_is_given_up(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        store = open_huggingface("me", "leaks", environment=os.environ, silence_s=0.3)
        with pytest.raises(StoreUnavailableError):
            store.get("k")


def test_no_hub_is_unavailable_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError):
        open_huggingface("me", "leaks", environment=os.environ).get("k")


def test_listings_have_pages(hub: HubServer) -> None:
    repo = hub.make_repo("me/leaks")
    hub.page_entries = 7
    file = HubFile(data=b"x", is_large=False)
    repo.commit({**repo.files, **{f"many/{n:03}": file for n in range(100)}})
    assert len(list(open_store(URL).list("many/"))) == 100
    assert len(_paths(hub, "GET", "hub")) == 15


def test_a_folder_takes_ten_thousand_files_and_no_more(hub: HubServer) -> None:
    repo = hub.make_repo("me/leaks")
    file = HubFile(data=b"x", is_large=False)
    repo.commit({**repo.files, **{f"shards/{n}": file for n in range(9_999)}})
    store = open_store(URL)
    _put(store, "shards/new", b"1")
    hub.requests.clear()
    with pytest.raises(StoreError, match="holds 10000 files"):
        _put(store, "shards/newer", b"1")
    assert [r.method for r in hub.requests if r.method != "GET"] == []
    _put(store, "shards/17", b"replaced")
    _put(store, "elsewhere/1", b"1")


def test_a_hub_without_room_says_so(hub: HubServer) -> None:
    says = "Private repository storage limit reached, please upgrade your plan"
    hub.make_repo("me/leaks")
    hub.troubles = [Trouble(method="POST", path="/preupload/", status=403, says=says)]
    with pytest.raises(StoreError, match="no room and says: Private repository") as caught:
        _put(open_store(URL), "k", b"x")
    assert not isinstance(caught.value, AccessDeniedError)


@pytest.mark.parametrize(
    "address",
    [
        "hf://me/leaks",
        "hf://datasets/me",
        "hf://models/me/leaks",
        "hf://datasets/me/leaks/x",
        "hf://datasets/m e/leaks",
        "hf://datasets/../leaks",
        "hf://datasets/me/-",
        "hf:datasets/me/x",
    ],
)
def test_what_is_no_address_of_a_data_set_is_refused(address: str) -> None:
    with pytest.raises(StoreError, match=r"hf://datasets/OWNER/NAME"):
        open_store(address)


@pytest.mark.parametrize("token", ["hf_canary\x01x", "hf_canarył"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    assert hub
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(AccessDeniedError, match="no token has") as caught:
        open_store(URL)
    assert "canary" not in str(caught.value)


def test_without_the_package_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError) as caught:
        open_store(URL)
    assert "pip install 'sojourn[hf]'" in caught.value.remedy


def test_a_dry_run_makes_no_data_set(hub: HubServer, folder: Path) -> None:
    would = sojourn.push(folder, URL, dry_run=True)
    assert hub.repos == {}
    assert {request.method for request in hub.requests} == {"GET"}
    assert sojourn.push(folder, URL).sent_bytes == would.sent_bytes


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_reads_what_its_parent_has_open(hub: HubServer) -> None:
    assert hub
    store = open_store(URL)
    _put(store, "large.bin", b"0123456789")
    assert store.get_range("large.bin", offset=0, size_bytes=2) == b"01"
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=lambda: there.send(store.get_range("large.bin", offset=4, size_bytes=3))
    )
    process.start()
    assert here.poll(60)
    assert here.recv() == b"456"
    process.join()


def _put(store: Store, key: str, body: Body) -> None:
    store.put(key, body)
    publish(store)


def _sojourn(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sojourn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_pushes_and_pulls_and_says_nothing_of_the_client(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    pushed = _sojourn("push", str(folder), URL, "--json", "-q")
    assert (pushed.returncode, pushed.stderr) == (0, "")
    assert json.loads(pushed.stdout)["revision"]
    pulled = _sojourn("pull", URL, str(tmp_path / "back"), "-q")
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert _diff(folder, tmp_path / "back") == ""
    assert hub.token not in pushed.stdout + pulled.stdout


def test_the_command_line_ends_with_5_where_the_token_is_wrong(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub
    monkeypatch.setenv("HF_TOKEN", "hf_wrongWrongWrong")
    ended = _sojourn("push", str(folder), URL, "--json")
    assert ended.returncode == 5
    assert json.loads(ended.stdout)["error"]["code"] == "access_denied"
    assert "Traceback" not in ended.stderr
    assert "hf_wrong" not in ended.stdout + ended.stderr


def test_an_earlier_revision_can_be_had(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    assert hub
    first = sojourn.push(folder, URL)
    shutil.copytree(folder, tmp_path / "before")
    (folder / "train" / "T_3.csv").write_text("a,b\n1,2\n")
    second = sojourn.push(folder, URL)
    assert second.parent == first.revision
    sojourn.pull(URL, tmp_path / "back", revision=first.revision)
    assert _diff(tmp_path / "before", tmp_path / "back") == ""
