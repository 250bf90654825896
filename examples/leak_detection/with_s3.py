"""Run a command with a real S3 server beside it: seaweedfs, on this machine only.

    python with_s3.py BUCKET COMMAND [ARGS...]

The server listens on free ports of 127.0.0.1, keeps its files in a temporary folder and accepts one
pair of keys, drawn anew each time. The command finds them in the AWS_* variables. When it ends,
however it ends, the server is stopped and its files are gone.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

HOST = "127.0.0.1"
REGION = "us-east-1"
START_TIMEOUT_S = 60
PARTS = ("s3", "master", "volume", "filer")  # each with a port and one for gRPC
S3_PORT = 0
VOLUME_MIB = 64
VOLUMES = 400


def main(bucket: str, command: list[str]) -> int:
    """Start the server, make the bucket, run the command and return its exit status."""
    # A polite end of this process must end the server, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    access_key, secret_key = secrets.token_hex(8), secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="s3-") as scratch:
        server, ports = _start(Path(scratch), access_key, secret_key)
        try:
            settings = {
                "AWS_ENDPOINT_URL": f"http://{HOST}:{ports[S3_PORT]}",
                "AWS_ACCESS_KEY_ID": access_key,
                "AWS_SECRET_ACCESS_KEY": secret_key,
                "AWS_REGION": REGION,
            }
            _make_bucket(server, bucket, settings, Path(scratch) / "log")
            return subprocess.run(command, env={**os.environ, **settings}).returncode
        finally:
            _stop(server, ports)


def _start(folder: Path, access_key: str, secret_key: str) -> tuple[subprocess.Popen, list[int]]:
    keys = {
        "identities": [
            {
                "name": "demo",
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    (folder / "data").mkdir()
    config = folder / "s3.json"
    config.write_text(json.dumps(keys))
    ports = _free_ports(2 * len(PARTS))
    options = [
        option
        for part, port, grpc_port in zip(PARTS, ports[::2], ports[1::2], strict=True)
        for option in (f"-{part}.port={port}", f"-{part}.port.grpc={grpc_port}")
    ]
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={folder / 'data'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-s3",
        f"-s3.config={config}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={folder / 's3.sock'}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        "-master.telemetry=false",
        "-volume.preStopSeconds=0",
        f"-volume.max={VOLUMES}",
        f"-master.volumeSizeLimitMB={VOLUME_MIB}",
        *options,
    ]
    # In a group of its own, so that Ctrl-C reaches the command first and the server last.
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    return server, ports


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _make_bucket(
    server: subprocess.Popen, bucket: str, settings: dict[str, str], log: Path
) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client.create_bucket(Bucket=bucket)
        except (BotoCoreError, ClientError) as error:
            if server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            sys.exit(f"The S3 server did not come up: {error}\n{tail}")
        return


def _stop(server: subprocess.Popen, ports: list[int]) -> None:
    # Asked politely it takes ten seconds to take leave of itself; its files are thrown away anyway.
    server.kill()
    server.wait()
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
            left.unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python with_s3.py BUCKET COMMAND [ARGS...]")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
