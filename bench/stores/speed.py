"""To Kaggle and back: sojourn, kagglehub and the kaggle CLI, over one slow link, in one run.

    python bench/stores/speed.py [--quick] [--only SET] [--out FOLDER]

Writes speed.json and speed.md to bench/stores/results/; with --quick, which takes a small set,
quick.*. README.md beside this says what is compared with what. The full set of the sample job
needs 30 GB of disk below bench/.cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "data"))

from link import LATENCY_S, RATE_BYTES_PER_S  # noqa: E402 - found by the line above
from measuring import Step, measure  # noqa: E402 - found by the line above
from sets import CACHE, NAMES, DataSet, make  # noqa: E402 - found by the line above
from verifying import check_same_tree  # noqa: E402 - found by the line above

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "me/measured-set"
TOKEN = "KGAT_me"
# Nothing listens there: a client that would leave this machine is refused.
NO_WAY_OUT = "http://127.0.0.1:9"
_LEGEND = (
    "Made by `python bench/stores/speed.py{options}` on {machine}. The server stands in the place "
    "of Kaggle: {latency:.0f} ms a request and {rate:.0f} MiB/s a connection, each way. What it "
    "unpacks and packs on its own is not in the times. Every step begins with an empty folder and "
    "home; what arrived was compared with what was sent."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step: what it took, and what passed the server."""

    client: str
    what: str
    step: Step
    requests: int
    received_bytes: int
    served_bytes: int


class Server:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read()

    def ask(self, word: str) -> dict[str, int]:
        """Say a word to it, and return what passed since the last one."""
        assert self._process.stdin
        print(word, file=self._process.stdin, flush=True)
        return json.loads(self._read())

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            sys.exit("The server did not start.")
        return line


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    command = [sys.executable, str(HERE / "serve.py"), str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(process)
        finally:
            process.terminate()


class Comparison:
    """The steps of one data set."""

    def __init__(self, data: DataSet, server: Server) -> None:
        self._data = data
        self._server = server
        self._work = CACHE / "stores-work"
        self.rows: list[Row] = []

    def run(self) -> None:
        self._sojourn()
        self._kagglehub()
        self._cli()

    def _sojourn(self) -> None:
        url = f"kaggle://{NAME}"
        self._take("sojourn", "push", "sojourn", "push", self._data.folder, url)
        with self._from_nothing() as work:
            self._measure("sojourn", "pull", work, "sojourn", "pull", url, "files")
            check_same_tree(self._data.folder, work / "files", contents=True)
        changing = self._data.folder / self._data.changing
        kept = changing.read_bytes()
        try:
            changing.write_bytes(kept + kept[-100:])
            push = ("sojourn", "push", self._data.folder, url)
            self._take("sojourn", "push, one file changed", *push)
        finally:
            changing.write_bytes(kept)
        self._server.ask("forget")

    def _kagglehub(self) -> None:
        self._take("kagglehub", "upload", "kagglehub-upload", NAME, self._data.folder)
        self._server.ask("settle")
        with self._from_nothing() as work:
            step = self._measure("kagglehub", "download", work, "kagglehub-download", NAME)
            found = Path(step.said["folder"])
            inner = found / "archive"
            check_same_tree(self._data.folder, inner if inner.exists() else found, contents=False)
        self._server.ask("forget")

    def _cli(self) -> None:
        with self._from_nothing() as work:
            theirs = work / "theirs"
            theirs.mkdir()
            for entry in self._data.folder.iterdir():
                (theirs / entry.name).symlink_to(entry)
            metadata = {"id": NAME, "title": "Measured set", "licenses": [{"name": "CC0-1.0"}]}
            (theirs / "dataset-metadata.json").write_text(json.dumps(metadata))
            create = ("datasets", "create", "-p", theirs, "--dir-mode", "zip", "-q")
            self._measure("kaggle CLI", "create", work, "kaggle", *create)
        self._server.ask("settle")
        with self._from_nothing() as work:
            download = ("datasets", "download", NAME, "--unzip", "-p", "files", "-q")
            self._measure("kaggle CLI", "download", work, "kaggle", *download)
            check_same_tree(self._data.folder, work / "files", contents=False)
        self._server.ask("forget")

    def _take(self, client: str, what: str, *words: str | Path) -> None:
        with self._from_nothing() as work:
            self._measure(client, what, work, *words)

    def _measure(self, client: str, what: str, work: Path, *words: str | Path) -> Step:
        self._server.ask("count")
        step = measure(
            [sys.executable, HERE / "client.py", self._server.url, *words],
            link=None,
            folder=work,
            more={
                "KAGGLE_API_TOKEN": TOKEN,
                "http_proxy": NO_WAY_OUT,
                "https_proxy": NO_WAY_OUT,
                "no_proxy": "127.0.0.1",
                "DISABLE_KAGGLE_CACHE": "1",
                "KAGGLEHUB_CACHE": str(work / "kagglehub"),
            },
        )
        row = Row(client=client, what=what, step=step, **self._server.ask("count"))
        self.rows.append(row)
        print(
            f"  {self._data.name:8} {client:11} {what:24} {step.seconds:8.2f} s "
            f"{step.peak_bytes / 1e6:7.0f} MB  {row.requests:6} requests  "
            f"in {row.received_bytes / 1e6:9.2f} MB  out {row.served_bytes / 1e6:9.2f} MB",
            flush=True,
        )
        return step

    @contextmanager
    def _from_nothing(self) -> Iterator[Path]:
        """Give an empty folder to work in."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        try:
            yield self._work
        finally:
            shutil.rmtree(self._work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small set, a minute or two")
    parser.add_argument("--only", choices=NAMES, default="windows", help="another set")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where results go")
    options = parser.parse_args()
    data = make(options.only, quick=options.quick)
    with running_server(CACHE / "kaggle-server") as server:
        comparison = Comparison(data, server)
        comparison.run()
    shutil.rmtree(CACHE / "kaggle-server", ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    place = options.out / ("quick" if options.quick else "speed")
    found = _document(data, comparison.rows, quick=options.quick)
    place.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = _page(data, comparison.rows, quick=options.quick)
    place.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _document(data: DataSet, rows: list[Row], *, quick: bool) -> dict[str, Any]:
    sizes = [path.stat().st_size for path in data.files]
    return {
        "benchmark": "stores",
        "quick": quick,
        "machine": _machine(),
        "link": {"latency_s": LATENCY_S, "rate_bytes_per_s": RATE_BYTES_PER_S},
        "set": {"name": data.name, "files": len(sizes), "raw_bytes": sum(sizes)},
        "rows": [asdict(row) for row in rows],
    }


def _page(data: DataSet, rows: list[Row], *, quick: bool) -> str:
    sizes = [path.stat().st_size for path in data.files]
    options = " --quick" if quick else ""
    legend = _LEGEND.format(
        options=options,
        machine=_machine(),
        latency=LATENCY_S * 1e3,
        rate=RATE_BYTES_PER_S / (1 << 20),
    )
    lines = ["# To Kaggle and back", "", legend, ""]
    lines += [f"`{data.name}`: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB.", ""]
    lines += ["| client | step | seconds | peak memory, MB | requests | sent, MB | fetched, MB |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.client} | {row.what} | {row.step.seconds:.1f} | {row.step.peak_bytes / 1e6:.0f} "
        f"| {row.requests} | {row.received_bytes / 1e6:.2f} | {row.served_bytes / 1e6:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({platform.machine()}), Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
