"""Run a command with a real S3 server beside it: SeaweedFS, on this machine only.

    python with_s3.py BUCKET COMMAND [ARGS...]

The server listens on free ports of 127.0.0.1 and keeps its files in a temporary folder. The command
finds it through the AWS_* variables. When it ends, however it ends, the server is stopped and its
files are gone.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from sojourn.testing.s3 import running_s3_server


def main(bucket: str, command: list[str]) -> int:
    """Start the server, make the bucket, run the command and return its exit status."""
    # A polite end of this process must end the server, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with (
        tempfile.TemporaryDirectory(prefix="s3-") as scratch,
        running_s3_server(Path(scratch) / "server", bucket=bucket) as server,
    ):
        return subprocess.run(command, env={**os.environ, **server.environment}).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python with_s3.py BUCKET COMMAND [ARGS...]")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
