import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from sojourn.errors import (
    AccessDeniedError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.base import Store
from sojourn.stores.objects import open_http
from sojourn.stores.retrying import Retrying
from sojourn.stores.url import open_store
from sojourn.testing.store_contract import FolderAccess, RawAccess, ReadingContract
from sojourn.testing.web import Trouble, WebServer, running_web_server

_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_NGINX_CONFIG = """\
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
    uwsgi_temp_path t; scgi_temp_path t;
    server {{ listen 127.0.0.1:{port}; root objects; }}
}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "objects" / "in a folder"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[WebServer]:
    with running_web_server(folder) as server:
        yield server


@pytest.fixture
def store(server: WebServer) -> Store:
    return open_http(server.url)


class TestWebServerOfPython(ReadingContract):
    @pytest.fixture
    def store(self, folder: Path, server: WebServer) -> Store:
        assert folder
        return open_store(f"{server.url}/")

    @pytest.fixture
    def raw(self, folder: Path) -> RawAccess:
        return FolderAccess(folder)


@pytest.mark.skipif(_NGINX is None, reason="nginx is not installed: apt-get install nginx-light")
class TestNginx(ReadingContract):
    @pytest.fixture
    def store(self, folder: Path) -> Iterator[Store]:
        with _running_nginx(folder.parent.parent) as url:
            yield open_store(f"{url}/in%20a%20folder/")

    @pytest.fixture
    def raw(self, folder: Path) -> RawAccess:
        return FolderAccess(folder)


@contextmanager
def _running_nginx(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "t").mkdir()
    config = folder / "nginx.conf"
    config.write_text(_NGINX_CONFIG.format(port=port))
    command = [str(_NGINX), "-p", str(folder), "-e", "stderr", "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            continue
        else:
            return
    raise RuntimeError("nginx did not start")


def test_it_is_read_and_neither_written_to_nor_listed(store: Store, folder: Path) -> None:
    (folder / "k").write_bytes(b"old")
    assert store.capabilities.read_only
    assert not store.capabilities.can_list
    with pytest.raises(StoreError, match="can only be read"):
        store.put("k", b"new")
    with pytest.raises(StoreError, match="can only be read"):
        store.delete("k")
    with pytest.raises(StoreError, match="cannot be listed"):
        list(store.list())
    assert (folder / "k").read_bytes() == b"old"


def test_what_it_forbids_is_denied_and_its_answer_not_shown(
    store: Store, server: WebServer
) -> None:
    server.troubles = [Trouble(status=403)]
    for call in (
        lambda: store.get("k"),
        lambda: store.get_range("k", offset=0, size_bytes=1),
        lambda: store.find("k"),
    ):
        with pytest.raises(AccessDeniedError) as caught:
            call()
        assert "hush" not in str(caught.value)


def test_a_refusal_that_will_not_change_is_not_asked_for_again(
    folder: Path, server: WebServer
) -> None:
    (folder / "k").write_bytes(b"0123")
    server.troubles = [Trouble(status=416, times=1)]
    with pytest.raises(StoreError) as caught:
        open_store(server.url).get_range("k", offset=0, size_bytes=1)
    assert not caught.value.retryable
    assert [method for method, _, _ in server.requests] == ["GET", "HEAD"]


def test_trouble_of_a_moment_is_not_noticed(store: Store, folder: Path, server: WebServer) -> None:
    (folder / "k").write_bytes(b"0123456789")
    server.troubles = [Trouble(status=500, times=1), Trouble(status=503, times=1)]
    assert store.get("k") == b"0123456789"


def test_a_server_that_asks_to_be_left_alone_is(folder: Path, server: WebServer) -> None:
    (folder / "k").write_bytes(b"0123456789")
    waits: list[float] = []
    store = Retrying(open_http(server.url), sleep=waits.append)
    # Three times it is asked by obstore, and once more for how long to wait.
    server.troubles = [Trouble(status=429, headers={"Retry-After": "37"}, times=4)]
    assert store.get("k") == b"0123456789"
    assert waits == [37.0]


def test_a_server_that_hangs_up_is_asked_again(folder: Path, server: WebServer) -> None:
    (folder / "k").write_bytes(b"0123456789")
    server.troubles = [Trouble(hang_up=True, times=1)]
    assert open_store(server.url).get("k") == b"0123456789"


def test_an_address_that_was_signed_and_expired_is_denied(store: Store, server: WebServer) -> None:
    server.troubles = [
        Trouble(status=302, location="/signed?expires=1", times=1),
        Trouble(status=403, path="/signed"),
    ]
    with pytest.raises(AccessDeniedError) as caught:
        store.get("k")
    assert "expires" not in str(caught.value)


def test_a_body_that_breaks_off_is_asked_for_again(folder: Path, server: WebServer) -> None:
    data = bytes(range(256)) * 4096
    (folder / "k").write_bytes(data)
    store = open_store(server.url)
    server.troubles = [Trouble(keep_bytes=1000, times=1)]
    assert store.get("k") == data
    server.troubles = [Trouble(keep_bytes=1000, times=1)]
    assert store.get_range("k", offset=10, size_bytes=100_000) == data[10:100_010]


def test_a_body_that_always_breaks_off_is_never_handed_out(
    store: Store, folder: Path, server: WebServer
) -> None:
    (folder / "k").write_bytes(bytes(10_000))
    server.troubles = [Trouble(keep_bytes=1000)]
    with pytest.raises(StoreUnavailableError):
        store.get("k")


def test_a_server_without_ranges_is_said_to_be_one(
    store: Store, folder: Path, server: WebServer
) -> None:
    (folder / "k").write_bytes(bytes(10_000))
    server.knows_ranges = False
    with pytest.raises(StoreError, match="whole files only") as caught:
        store.get_range("k", offset=10, size_bytes=10)
    assert "nginx" in caught.value.remedy


def test_no_server_is_unavailable_within_seconds() -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        open_http("http://127.0.0.1:9").get("k")


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            open_http(url, silence_s=0.3).get("k")
        assert time.monotonic() - began < 5


def test_each_request_under_way_has_a_connection_and_later_ones_use_it_again(
    store: Store, folder: Path, server: WebServer
) -> None:
    (folder / "k").write_bytes(b"0123456789")
    server.wait_s = 0.05
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.get_range("k", offset=0, size_bytes=5), range(64)))
    assert 8 <= len({port for _, _, port in server.requests}) <= 12


def test_a_redirect_is_followed(store: Store, folder: Path, server: WebServer) -> None:
    (folder / "elsewhere").write_bytes(b"found")
    server.troubles = [Trouble(status=302, location="/elsewhere", times=1)]
    assert store.get("k") == b"found"
