"""What runs in a process of its own, one verb a process; prints what it found as JSON.

    python bench/data/child.py csvs FOLDER            pandas.read_csv of every CSV below a folder
    python bench/data/child.py tables ADDRESS GLOB    the same tables, by sojourn
    python bench/data/child.py one ADDRESS NAME NEXT  one table; again; its neighbour
    python bench/data/child.py kagglehub ZIP_URL      Kaggle's own client, of a stand-in for Kaggle
    python bench/data/child.py memcpy | disk FILE     the machine's limits, in bytes a second

Tables are made and let go, as all of them at once might not fit into a notebook's memory. Each is
summed up on the way, so that two readers can be compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_CHECKED_EVERY = 50  # tables whose contents are compared; of the rest, their shape
_COPY_BYTES = 256 << 20
_BLOCK_BYTES = 8 << 20
_REPEATS = 5


def csvs(folder: str) -> dict[str, Any]:
    import pandas as pd

    total = _Summary()
    for path in sorted(Path(folder).rglob("*.csv")):
        total.add(path.relative_to(folder).as_posix(), pd.read_csv(path))
    return total.found()


def tables(address: str, glob: str) -> dict[str, Any]:
    import sojourn

    total = _Summary()
    for name, table in sojourn.open(address).read_many(glob):
        total.add(name, table)
    return total.found()


def one(address: str, name: str, following: str) -> dict[str, Any]:
    import pandas as pd

    import sojourn

    pd.DataFrame({"x": [1.0]}).sum()  # pandas imports some of itself late
    ds = sojourn.open(address)
    first_s = _timed(lambda: ds.read(name))
    again_s = statistics.median(_timed(lambda: ds.read(name)) for _ in range(_REPEATS))
    return {"first_s": first_s, "again_s": again_s, "next_s": _timed(lambda: ds.read(following))}


def kagglehub(zip_url: str) -> dict[str, Any]:
    os.environ |= {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "0" * 32, "DISABLE_KAGGLE_CACHE": "1"}
    os.environ["KAGGLEHUB_CACHE"] = str(Path.cwd() / "kagglehub")
    from kagglesdk import kaggle_env

    _KaggleStandIn.zip_url = zip_url
    server = HTTPServer(("127.0.0.1", 0), _KaggleStandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for environment in kaggle_env._env_to_endpoint:  # noqa: SLF001 - where the address lives
        kaggle_env._env_to_endpoint[environment] = f"http://127.0.0.1:{server.server_port}"  # noqa: SLF001
    import kagglehub

    return {"folder": kagglehub.dataset_download("me/data/versions/1")}


def memcpy() -> dict[str, Any]:
    import numpy as np

    source, target = np.ones(_COPY_BYTES, np.uint8), np.zeros(_COPY_BYTES, np.uint8)
    took_s = min(_timed(lambda: np.copyto(target, source)) for _ in range(_REPEATS))
    return {"bytes_per_s": _COPY_BYTES / took_s}


def disk(file: str, size: str) -> dict[str, Any]:
    block = os.urandom(_BLOCK_BYTES)

    def write() -> None:
        with Path(file).open("wb") as output:
            output.writelines(block for _ in range(int(size) // _BLOCK_BYTES))
            output.flush()
            os.fsync(output.fileno())

    took_s = _timed(write)
    Path(file).unlink()
    return {"bytes_per_s": int(size) / took_s}


class _Summary:
    def __init__(self) -> None:
        self._shapes: list[tuple[str, int, int]] = []
        self._sums: dict[str, float] = {}
        self._table_bytes = 0

    def add(self, name: str, table: pd.DataFrame) -> None:
        if len(self._shapes) % _CHECKED_EVERY == 0:
            self._sums[name] = float(table.select_dtypes("number").sum().sum())
        self._shapes.append((name, *table.shape))
        self._table_bytes += table.shape[0] * table.shape[1] * 8

    def found(self) -> dict[str, Any]:
        return {
            "tables": len(self._shapes),
            "cells": sum(rows * columns for _, rows, columns in self._shapes),
            "table_bytes": self._table_bytes,
            "sums": self._sums,
        }


class _KaggleStandIn(BaseHTTPRequestHandler):
    """Answers what kagglehub asks before it downloads: one dataset, in one version, as one zip."""

    protocol_version = "HTTP/1.1"
    zip_url = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/DownloadDataset"):
            self._answer(302, b"", Location=self.zip_url)
        else:
            self._answer(200, b"{}")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _timed(call: Any) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


_VERBS = {verb.__name__: verb for verb in (csvs, tables, one, kagglehub, memcpy, disk)}

if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # for what libraries have to say
        answer = _VERBS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
