import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import sojourn
from sojourn.api import verify
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError, UsageError
from sojourn.health import examine_store
from sojourn.progress import NoProgress
from sojourn.stores.url import open_store
from sojourn.testing.web import Trouble, WebServer, running_web_server


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (data / "sub" / "b.bin").write_bytes(bytes(range(256)) * 1000)
    return data


@pytest.fixture
def server(served: Path, data: Path) -> Iterator[WebServer]:
    sojourn.push(data, served, message="first")
    with running_web_server(served) as server:
        yield server


def test_what_was_pushed_to_a_folder_is_pulled_read_and_verified_over_the_web(
    server: WebServer, data: Path, tmp_path: Path
) -> None:
    report = sojourn.pull(server.url, tmp_path / "back")
    assert report.files == 2
    assert (tmp_path / "back/a.csv").read_bytes() == (data / "a.csv").read_bytes()
    assert (tmp_path / "back/sub/b.bin").read_bytes() == (data / "sub/b.bin").read_bytes()
    ds = sojourn.open(server.url)
    assert ds.files() == ["a.csv", "sub/b.bin"]
    assert [(name, len(table)) for name, table in ds.read_many("*.csv")] == [("a.csv", 2)]
    assert not verify(server.url).problems


def test_a_pull_of_what_is_there_is_one_request(server: WebServer, tmp_path: Path) -> None:
    sojourn.pull(server.url, tmp_path / "back")
    server.requests.clear()
    sojourn.pull(server.url, tmp_path / "back")
    assert [path for _, path, _ in server.requests] == ["/sojourn.json"]


def test_one_changed_shard_of_forty_is_all_that_is_fetched(tmp_path: Path) -> None:
    data, served, dice = tmp_path / "forty", tmp_path / "shop", random.Random(5)
    data.mkdir()
    for number in range(40):
        (data / f"{number:02}.bin").write_bytes(dice.randbytes(100_000))
    sizes = Sizes(min_shard_bytes=1, mean_shard_bytes=2, max_shard_bytes=100_000)

    def push() -> int:
        now = datetime(2026, 1, 2, tzinfo=UTC)
        store = open_store(served)
        return push_folder(
            data, store, message="", now=now, progress=NoProgress(), sizes=sizes
        ).shards_sent

    assert push() == 40
    with running_web_server(served) as server:
        sojourn.pull(server.url, tmp_path / "back")
        (data / "07.bin").write_bytes(dice.randbytes(100_000))
        assert push() == 1
        server.sent_bytes = 0
        sojourn.pull(server.url, tmp_path / "back")
        manifest_bytes = (served / "sojourn.json").stat().st_size
        newest = max((served / "shards").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        assert server.sent_bytes == manifest_bytes + newest.stat().st_size
    assert (tmp_path / "back" / "07.bin").read_bytes() == (data / "07.bin").read_bytes()


def test_a_push_there_is_refused_and_nothing_is_sent(server: WebServer, data: Path) -> None:
    with pytest.raises(StoreError, match="can only be read"):
        sojourn.push(data, server.url)
    assert {method for method, _, _ in server.requests} <= {"GET"}


def test_earlier_revisions_are_found_by_following_the_newest_back(
    server: WebServer, data: Path, served: Path
) -> None:
    first = sojourn.open(server.url).revision
    (data / "a.csv").write_text("x,y\n5,6\n")
    second = sojourn.push(data, served, message="second").revision
    assert second != first
    assert load_manifest(open_store(server.url), revision=first[:5]).revision == first
    with pytest.raises(UsageError, match="no revision") as caught:
        load_manifest(open_store(server.url), revision="0123456789abcdef")
    assert first in caught.value.remedy
    assert second in caught.value.remedy


def test_where_there_is_no_data_set_that_is_said(server: WebServer) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"no data set in .* name a file or a zip"):
        sojourn.open(f"{server.url}/elsewhere")
    server.troubles = [Trouble(status=403)]
    with pytest.raises(AccessDeniedError):
        sojourn.open(server.url)


def test_the_doctor_asks_for_the_manifest_where_nothing_can_be_listed(server: WebServer) -> None:
    assert examine_store(server.url).ok
    assert "no data set" not in examine_store(server.url).detail
    assert "no data set is there" in examine_store(f"{server.url}/elsewhere").detail
    server.troubles = [Trouble(status=403)]
    assert not examine_store(server.url).ok


@contextmanager
def _whole_files_only(
    folder: Path, kind: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler
) -> Iterator[str]:
    """Python's own server, which knows no ranges; it writes what it is asked to stderr."""
    handler = partial(kind, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_doctor_tells_of_a_server_that_gives_whole_files_only(
    server: WebServer, served: Path
) -> None:
    assert examine_store(server.url).detail == f"{server.url} answers"
    with _whole_files_only(served) as url:
        check = examine_store(url)
    assert not check.ok
    assert "whole files only" in check.detail
    assert "nginx" in check.remedy


class _CallsAllPages(SimpleHTTPRequestHandler):
    def guess_type(self, path: object) -> str:
        del path
        return "text/html"


class _AnswersAllWithOnePage(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        del path
        return f"{self.directory}/index.html"


def test_the_page_of_a_folder_is_no_file(served: Path, data: Path) -> None:
    sojourn.push(data, served)
    (served / "sub").mkdir()  # a folder of the data set, with a page of its own
    (served.parent / "index.html").write_text("<html><title>x</title></html>")
    with _whole_files_only(served.parent) as url:
        with pytest.raises(ObjectNotFoundError, match=r"/data is a web page \(HTML\)") as caught:
            sojourn.open(f"{url}/data")
        assert "name a file or a zip in it" in caught.value.remedy
        with pytest.raises(ObjectNotFoundError, match="is a web page"):
            sojourn.push(f"{url}/data", served.parent / "other")
        with pytest.raises(ObjectNotFoundError, match="it is a part of the one in"):
            sojourn.open(f"{url}/store/sub")
        assert sojourn.open(f"{url}/index.html").files() == ["index.html"]
        assert sojourn.open(f"{url}/data/a.csv").files() == ["a.csv"]
        assert sojourn.open(f"{url}/store").files() == ["a.csv", "sub/b.bin"]


def test_a_file_that_a_server_calls_a_page_is_a_file_all_the_same(data: Path) -> None:
    (data / "page.csv").write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    with _whole_files_only(data, _CallsAllPages) as url:
        assert sojourn.open(f"{url}/a.csv").files() == ["a.csv"]
        with pytest.raises(ObjectNotFoundError, match=r"page\.csv is a web page"):
            sojourn.open(f"{url}/page.csv")


def test_a_server_that_answers_everything_with_one_page_holds_no_damaged_manifest(
    tmp_path: Path,
) -> None:
    (tmp_path / "index.html").write_text("<!-- app --><html><title>x</title></html>")
    with _whole_files_only(tmp_path, _AnswersAllWithOnePage) as url:
        with pytest.raises(ObjectNotFoundError, match="/set is a web page"):
            sojourn.open(f"{url}/set")
        check = examine_store(f"{url}/set")
    assert not check.ok
    assert "is a web page" in check.detail
