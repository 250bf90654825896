"""The link of `bench/data` in front of a server that is already there, both ways.

nginx passes each request on after 50 ms; before that, as a plain stream, each connection's bytes at
40 MiB/s each way, for nginx's `limit_rate` slows down answers only.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from link import (
    LATENCY_S,
    RATE_BYTES_PER_S,
    check_installed,
    free_port,
    load_modules,
    running_nginx,
)
from steps import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so", "ngx_stream_module.so")
_CONFIG = """\
{modules}
user root;
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 2048; }}
stream {{
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        proxy_pass 127.0.0.1:{inner_port};
        proxy_upload_rate {rate};
        proxy_download_rate {rate};
        proxy_buffer_size 64k;
    }}
}}
http {{
    log_format wire '$request_length\\t$body_bytes_sent';
    access_log access.log wire;
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t;
    uwsgi_temp_path t; scgi_temp_path t;
    keepalive_requests 1000000;
    upstream store {{ server {store}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{inner_port} backlog=1024;
        client_max_body_size 0;
        location / {{
            access_by_lua_block {{ ngx.sleep({latency}) }}
            proxy_pass http://store;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


@dataclass(slots=True, kw_only=True)
class S3Link:
    """The link that is running, at `url`; what passed it stands in its log."""

    url: str
    log: Path
    _read_bytes: int = 0

    def traffic(self) -> Traffic:
        """Return what passed since the last time; what was received counts its heads too."""
        time.sleep(0.1)  # the log is written after the answer
        with self.log.open(encoding="ascii") as file:
            file.seek(self._read_bytes)
            lines = [tuple(map(int, line.split("\t"))) for line in file.readlines()]
            self._read_bytes = file.tell()
        return Traffic(
            requests=len(lines),
            received_bytes=sum(received for received, _ in lines),
            served_bytes=sum(served for _, served in lines),
        )


@contextmanager
def running_s3_link(endpoint: str, folder: Path) -> Iterator[S3Link]:
    """Put the link before a server until the end of the `with`; a folder holds its own files."""
    check_installed(_MODULES)
    port, inner_port = free_port(), free_port()
    config = _CONFIG.format(
        modules=load_modules(_MODULES),
        port=port,
        inner_port=inner_port,
        store=urlsplit(endpoint).netloc,
        rate=RATE_BYTES_PER_S,
        latency=LATENCY_S,
    )
    with running_nginx(config, port, folder):
        yield S3Link(url=f"http://127.0.0.1:{port}", log=folder / "access.log")
