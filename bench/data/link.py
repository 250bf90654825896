"""A link as a notebook runtime has it, on loopback: nginx with a delay and a rate.

Each request waits 50 ms, and each connection gets 40 MiB/s; many connections get as many times
that. The server has a folder and a port of its own, logs what it was asked, and is ended by its
process id. It needs Debian's nginx with its Lua module, and says so where they are missing.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LATENCY_S = 0.05
RATE_BYTES_PER_S = 40 << 20

_MODULES = Path("/usr/lib/nginx/modules")
_LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")
# Debian's package of each module that is not nginx-light's own.
_PACKAGES = {
    "ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "ngx_stream_module.so": "libnginx-mod-stream",
}
_START_LIMIT_S = 10.0
# `limit_rate` alone lets the first second's worth through at once; nginx pauses after each chunk.
_CHUNK = "256k"
_CONFIG = """\
{modules}
user root;
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 512; }}
http {{
    log_format wire '$request_method\\t$uri\\t$status\\t$bytes_sent\\t$connection';
    access_log access.log wire;
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
    uwsgi_temp_path t; scgi_temp_path t;
    types {{ text/html html; }}
    default_type application/octet-stream;
    sendfile on;
    sendfile_max_chunk {chunk};
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {root};
        autoindex on;
        limit_rate {rate};
        access_by_lua_block {{ ngx.sleep({latency}) }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    status: int
    sent_bytes: int
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The server that is running: what it gives out lies in `root`, below `url`."""

    url: str
    root: Path
    log: Path

    def mark(self) -> int:
        """Return where the log ends now."""
        return self.log.stat().st_size

    def since(self, mark: int) -> list[Request]:
        """Return the requests that were answered since."""
        time.sleep(0.1)  # the log is written after the answer
        with self.log.open(encoding="utf-8") as file:
            file.seek(mark)
            return [_parsed(line) for line in file]


def check_installed(modules: Sequence[str] = _LUA) -> None:
    """End with the command to type if nginx or one of its modules is not there."""
    if _nginx() is None or any(not (_MODULES / name).exists() for name in modules):
        packages = ["nginx-light", *(_PACKAGES[name] for name in modules if name in _PACKAGES)]
        command = f"apt-get update && apt-get install -y {' '.join(packages)}"
        sys.exit(f"This needs {' and '.join(packages)}: {command}")


@contextmanager
def running_link(root: Path, folder: Path) -> Iterator[Link]:
    """Serve a folder until the end of the `with`; another holds the server's own files."""
    port = free_port()
    config = _CONFIG.format(
        modules=load_modules(_LUA),
        port=port,
        root=root,
        rate=RATE_BYTES_PER_S,
        latency=LATENCY_S,
        chunk=_CHUNK,
    )
    with running_nginx(config, port, folder):
        yield Link(url=f"http://127.0.0.1:{port}", root=root, log=folder / "access.log")


@contextmanager
def running_nginx(config: str, port: int, folder: Path) -> Iterator[None]:
    """Run nginx until the end of the `with`, once it listens; the folder is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "t").mkdir(parents=True)
    (folder / "nginx.conf").write_text(config)
    place = str(folder / "nginx.conf")
    command = [_nginx() or "nginx", "-p", str(folder), "-e", "error.log", "-c", place]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port, process)
            yield
        finally:
            process.terminate()


def load_modules(names: Sequence[str]) -> str:
    """Return the lines of a configuration that load modules."""
    return "\n".join(f"load_module {_MODULES / name};" for name in names)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    sys.exit("nginx did not start; its error.log says why.")


def _parsed(line: str) -> Request:
    method, path, status, sent, connection = line.rstrip("\n").rsplit("\t", 4)
    return Request(
        method=method,
        path=path,
        status=int(status),
        sent_bytes=int(sent),
        connection=int(connection),
    )
