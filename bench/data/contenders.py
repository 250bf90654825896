"""What is timed for each data set: Kaggle's way, other tools', and Sojourn's.

Every step begins with nothing: an empty folder, an empty home, no caches of its own. Only the
kernel's page cache is warm for all alike, as it cannot be dropped in a container.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emptying import from_nothing
from measuring import HERE, Step, measure
from sets import CACHE
from verifying import check_same_file, check_same_tables, check_same_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from link import Link
    from sets import DataSet

LOOSE_LIMIT_S = 60.0  # for what fetches file by file
TOOLS = CACHE.parent / "data-tools"
INSTALL_TOOLS = (
    f"{sys.executable} -m pip install --target bench/.cache/data-tools "
    "-r bench/data/requirements.txt"
)
_CHILD = (sys.executable, HERE / "child.py")
_SOJOURN = (sys.executable, "-m", "sojourn")


@dataclass(slots=True, kw_only=True)
class Run:
    """The steps of one data set, by name, and the contenders that were not there."""

    data: DataSet
    archive: Path
    link: Link
    work: Path
    steps: dict[str, Step] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, *command: str | Path, **options: Any) -> Step:
        """Time one step under a name."""
        step = measure(command, link=self.link, folder=self.work, **options)
        self.steps[name] = step
        print(
            f"  {self.data.name:8} {name:28} {step.seconds:8.2f} s {step.cpu_s:8.2f} s of cores "
            f"{step.peak_bytes / 1e6:7.0f} MB {step.requests:6} requests "
            f"{step.wire_bytes / 1e6:9.2f} MB" + ("" if step.finished else "  NOT FINISHED"),
            flush=True,
        )
        return step

    def url(self, path: Path) -> str:
        """Return where the link gives out what lies at a path below its root."""
        return f"{self.link.url}/{path.relative_to(self.link.root).as_posix()}"


def compare(data: DataSet, archive: Path, link: Link) -> Run:
    """Time everything on one data set."""
    run = Run(data=data, archive=archive, link=link, work=CACHE / "work")
    _kaggles_way(run)
    _aria2(run)
    _kagglehub(run)
    _rclone(run)
    store = CACHE / "stores" / data.folder.name
    shutil.rmtree(store, ignore_errors=True)
    _sojourn(run, store)
    shutil.rmtree(store)
    return run


def _kaggles_way(run: Run) -> None:
    with from_nothing(run.work) as work:
        run.take("kaggle: curl", "curl", "-sSf", "-o", "all.zip", run.url(run.archive))
        run.take("kaggle: unzip", "unzip", "-q", "all.zip", "-d", "files")
        check_same_tree(run.data.folder, work / "files", contents=False)
        if run.data.tables:
            run.take("kaggle: pandas", *_CHILD, "csvs", work / "files")


def _aria2(run: Run) -> None:
    aria2 = shutil.which("aria2c")
    if aria2 is None:
        run.left_out["aria2c"] = "not installed: apt-get install -y aria2"
        return
    with from_nothing(run.work) as work:
        options = ("-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "-o", "all.zip")
        run.take("aria2c: fetch", aria2, *options, run.url(run.archive))
        check_same_file(run.archive, work / "all.zip")


def _kagglehub(run: Run) -> None:
    if not (TOOLS / "kagglehub").exists():
        run.left_out["kagglehub"] = f"not installed: {INSTALL_TOOLS}"
        return
    with from_nothing(run.work) as work:
        more = {"PYTHONPATH": str(TOOLS)}
        url = run.url(run.archive)
        step = run.take("kagglehub", *_CHILD, "kagglehub", url, more=more)
        assert Path(step.said["folder"]).is_relative_to(work)
        check_same_tree(run.data.folder, Path(step.said["folder"]), contents=False)


def _rclone(run: Run) -> None:
    rclone = shutil.which("rclone", path=str(TOOLS / "bin")) or shutil.which("rclone")
    if rclone is None:
        run.left_out["rclone"] = f"not installed: {INSTALL_TOOLS}"
        return
    with from_nothing(run.work) as work:
        options = ("--transfers=16", "--checkers=16", "--http-no-head", "--config=", "-q")
        source = ("--http-url", f"{run.url(run.data.folder)}/", ":http:", "files")
        step = run.take("rclone", rclone, "copy", *options, *source, limit_s=LOOSE_LIMIT_S)
        files = work / "files"
        run.facts["rclone_bytes"] = sum(f.stat().st_size for f in files.rglob("*") if f.is_file())
        if step.finished:
            check_same_tree(run.data.folder, files, contents=False)


def _sojourn(run: Run, store: Path) -> None:
    with from_nothing(run.work):
        run.take("sojourn: push", *_SOJOURN, "push", run.data.folder, store, "--json", "--quiet")
    before = _shards(store)
    run.facts["store_bytes"] = _stored_bytes(store)
    run.facts["shards"] = len(before)
    if run.data.tables:
        _sojourn_tables(run, store)
    with from_nothing(run.work) as work:
        pull = (*_SOJOURN, "pull", run.url(store), "files", "--json", "--quiet")
        run.take("sojourn: pull", *pull)
        check_same_tree(run.data.folder, work / "files", contents=True)
        run.take("sojourn: pull again", *pull)
        with _one_file_changed(run.data):
            run.take("sojourn: push a change", *_SOJOURN, "push", run.data.folder, store, "--quiet")
            mark = run.link.mark()
            run.take("sojourn: pull a change", *pull)
            asked = {request.path for request in run.link.since(mark)}
            check_same_tree(run.data.folder, work / "files", contents=True)
    run.facts["change_sent_bytes"] = _stored_bytes(store) - run.facts["store_bytes"]
    run.facts["shards_sent"] = len(_shards(store) - before)
    run.facts["shards_fetched"] = sum(not _is_small(Path(path)) for path in asked)


def _sojourn_tables(run: Run, store: Path) -> None:
    with from_nothing(run.work):
        step = run.take("sojourn: tables", *_CHILD, "tables", run.url(store), run.data.tables)
        check_same_tables(run.steps["kaggle: pandas"].said, step.said)
    names = sorted(path.relative_to(run.data.folder).as_posix() for path in run.data.files)
    middle = names.index(run.data.changing)
    with from_nothing(run.work):
        run.take("sojourn: one table", *_CHILD, "one", store, names[middle], names[middle + 1])


def _shards(store: Path) -> set[str]:
    return {path.name for path in store.rglob("*") if path.is_file() and not _is_small(path)}


def _stored_bytes(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def _is_small(path: Path) -> bool:
    """Tell manifests and the README from what holds files."""
    return path.suffix == ".md" or ".json" in path.suffixes or "revisions" in path.parts


@contextmanager
def _one_file_changed(data: DataSet) -> Iterator[None]:
    """Change a digit or byte in the middle of one file, and put it back."""
    path = data.folder / data.changing
    old = path.read_bytes()
    at = next(i for i in range(len(old) // 2, len(old)) if data.tables == "" or 48 <= old[i] < 57)
    try:
        path.write_bytes(old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :])
        yield
    finally:
        path.write_bytes(old)
