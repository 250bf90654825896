"""To Kaggle and back: sojourn, kagglehub and the kaggle CLI."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from changing import one_file_changed
from emptying import from_nothing
from sets import CACHE
from steps import Recorder, Row, Traffic
from verifying import check_same_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measuring import Step
    from sets import DataSet

HERE = Path(__file__).parent
_NAME = "me/measured-set"
_URL = f"kaggle://{_NAME}"
# Nothing listens there: a client that would leave this machine is refused.
_NO_WAY_OUT = "http://127.0.0.1:9"
_ENVIRONMENT = {
    "KAGGLE_API_TOKEN": "KGAT_me",
    "http_proxy": _NO_WAY_OUT,
    "https_proxy": _NO_WAY_OUT,
    "no_proxy": "127.0.0.1",
    "DISABLE_KAGGLE_CACHE": "1",
    "KAGGLEHUB_CACHE": "{work}/kagglehub",
}


def compare_on_kaggle(data: DataSet) -> list[Row]:
    """Return the rows of one data set."""
    with _running_server(CACHE / "kaggle-server") as server:
        comparison = _Comparison(data, server)
        comparison.sojourn()
        comparison.kagglehub()
        comparison.cli()
    shutil.rmtree(CACHE / "kaggle-server", ignore_errors=True)
    return comparison.recorder.rows


class _Server:
    """The server's process, see serve.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read()

    def ask(self, word: str) -> Traffic:
        """Say a word to it, and return what passed since the last one."""
        assert self._process.stdin
        print(word, file=self._process.stdin, flush=True)
        return Traffic(**json.loads(self._read()))

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            sys.exit("The server did not start.")
        return line


@contextmanager
def _running_server(folder: Path) -> Iterator[_Server]:
    command = [sys.executable, str(HERE / "serve.py"), str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Server(process)
        finally:
            process.terminate()


class _Comparison:
    """The steps of one data set."""

    def __init__(self, data: DataSet, server: _Server) -> None:
        self._data = data
        self._server = server
        self._first, self._work = CACHE / "stores-first", CACHE / "stores-work"
        self.recorder = Recorder(
            store="kaggle",
            traffic=lambda: server.ask("count"),
            environment=_ENVIRONMENT,
            rows=[],
        )

    def sojourn(self) -> None:
        push = ("sojourn", "push", self._data.folder, _URL)
        with from_nothing(self._first) as work:
            self._take("sojourn", "push", work, *push)
            with from_nothing(self._work) as other:
                self._take("sojourn", "pull", other, "sojourn", "pull", _URL, "files")
                check_same_tree(self._data.folder, other / "files", contents=True)
            with one_file_changed(self._data):
                self._take("sojourn", "push, one file changed", work, *push)
        self._server.ask("forget")

    def kagglehub(self) -> None:
        with from_nothing(self._work) as work:
            upload = ("kagglehub-upload", _NAME, self._data.folder)
            self._take("kagglehub", "upload", work, *upload)
        self._server.ask("settle")
        with from_nothing(self._work) as work:
            step = self._take("kagglehub", "download", work, "kagglehub-download", _NAME)
            found = Path(step.said["folder"])
            inner = found / "archive"
            check_same_tree(self._data.folder, inner if inner.exists() else found, contents=False)
        self._server.ask("forget")

    def cli(self) -> None:
        with from_nothing(self._work) as work:
            theirs = work / "theirs"
            theirs.mkdir()
            for entry in self._data.folder.iterdir():
                (theirs / entry.name).symlink_to(entry)
            metadata = {"id": _NAME, "title": "Measured set", "licenses": [{"name": "CC0-1.0"}]}
            (theirs / "dataset-metadata.json").write_text(json.dumps(metadata))
            create = ("kaggle", "datasets", "create", "-p", theirs, "--dir-mode", "zip", "-q")
            self._take("kaggle CLI", "create", work, *create)
        self._server.ask("settle")
        with from_nothing(self._work) as work:
            download = ("kaggle", "datasets", "download", _NAME, "--unzip", "-p", "files", "-q")
            self._take("kaggle CLI", "download", work, *download)
            check_same_tree(self._data.folder, work / "files", contents=False)
        self._server.ask("forget")

    def _take(self, client: str, what: str, work: Path, *words: str | Path) -> Step:
        command = [sys.executable, HERE / "client.py", self._server.url, *words]
        return self.recorder.take(client, what, work, command)
