"""The server in the place of Kaggle, in a process of its own, behind a slow link.

    python bench/stores/serve.py FOLDER

Prints its address. Then, for each word on its standard input: `count` prints what passed since the
last one, as JSON; `settle` unpacks zip archives and makes the archive of each version, as Kaggle
does in its own time; `forget` empties it. Ends with its input.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from link import LATENCY_S, RATE_BYTES_PER_S

from sojourn.testing.kaggle_server import KaggleServer, running_kaggle_server


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with running_kaggle_server(folder) as server:
        server.wait_s = LATENCY_S
        server.rate_bytes_per_s = RATE_BYTES_PER_S
        server.datasets.pending_polls = 0
        print(server.url, flush=True)
        for line in sys.stdin:
            print(json.dumps(_do(line.strip(), server)), flush=True)


def _do(word: str, server: KaggleServer) -> dict[str, int]:
    if word == "settle":
        server.datasets.settle(unpacks=frozenset({".zip"}))
        server.datasets.unpacks = frozenset()
    if word == "forget":
        server.datasets.forget_all()
    found = {
        "requests": len(server.requests),
        "received_bytes": server.received_bytes,
        "served_bytes": server.served_bytes,
    }
    server.forget_traffic()
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
