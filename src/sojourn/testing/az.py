"""An emulator of Azure Blob Storage on this machine: Azurite, which checks signatures.

Needs Node.js and the npm package azurite: `make servers` installs it beside the virtual
environment. Where it is not, the tests that want it say so and are skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from sojourn.testing.processes import HOST, free_port, running_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_LIMIT_S = 180
# The account that Azurite has by itself, known to everybody:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_API_VERSION = "2021-12-02"


@dataclass(frozen=True, slots=True, kw_only=True)
class AzServer:
    """An emulator that is running.

    Attributes:
        endpoint: Its address.
        container: A container that is there, empty at first.
    """

    endpoint: str
    container: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of somebody who may write."""
        return {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
        }


def find_az_program() -> Path | None:
    """Return Azurite's program, or None: beside the virtual environment, or on the path."""
    near = Path(sys.executable).parent.parent / "node" / "node_modules" / ".bin"
    found = shutil.which("azurite-blob", path=str(near)) or shutil.which("azurite-blob")
    return Path(found) if found and shutil.which("node") else None


@contextmanager
def running_az_server(folder: Path, *, container: str = "container") -> Iterator[AzServer]:
    """Start an emulator that keeps its objects in a folder, make a container, end it at last."""
    program = find_az_program()
    if program is None:
        raise RuntimeError("Run `make servers`; it needs Node.js and npm.")
    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    command = [
        *(str(program), "--blobHost", HOST, "--blobPort", str(port)),
        *("--location", str(folder / "data"), "--silent", "--skipApiVersionCheck"),
        "--disableTelemetry",
    ]
    with running_process(command, folder) as process:
        wait_until(
            lambda: _has_made_container(endpoint, container),
            process,
            limit_s=_START_LIMIT_S,
            name="The emulator",
        )
        yield AzServer(endpoint=endpoint, container=container)


def _has_made_container(endpoint: str, container: str) -> bool:
    try:
        made = _put_container(endpoint, container)
    except httpx.TransportError:
        return False
    made.raise_for_status()
    return True


def _put_container(endpoint: str, container: str) -> httpx.Response:
    url = f"{endpoint}/{_ACCOUNT}/{container}"
    headers = _signed("PUT", f"{container}\nrestype:container", {}, size_bytes=0)
    return httpx.put(f"{url}?restype=container", headers=headers, timeout=5)


def request_blob(server: AzServer, method: str, name: str, data: bytes = b"") -> httpx.Response:
    """Ask for a blob, or put one: another way to the objects than the store's."""
    path = f"{server.container}/{quote(name)}"
    extra = {"x-ms-blob-type": "BlockBlob"} if method == "PUT" else {}
    headers = _signed(method, path, extra, size_bytes=len(data))
    url = f"{server.endpoint}/{_ACCOUNT}/{path}"
    return httpx.request(method, url, headers=headers, content=data, timeout=5)


def _signed(
    method: str, resource: str, extra: dict[str, str], *, size_bytes: int
) -> dict[str, str]:
    """Return the headers of a request that is signed with the account's key.

    Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API_VERSION, **extra}
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    length = str(size_bytes) if size_bytes else ""
    text = f"{method}\n\n\n{length}" + "\n" * 9 + f"{lines}/{_ACCOUNT}/{_ACCOUNT}/{resource}"
    digest = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return headers | {"Authorization": f"SharedKey {_ACCOUNT}:{signature}"}
