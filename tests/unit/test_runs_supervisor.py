"""A run from start to end, with real child processes on this machine."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - a dataclass here has it in an annotation

import pytest

from sojourn.errors import RunError, StoreError, UsageError
from sojourn.progress import NoProgress
from sojourn.runs.events import (
    DataPulled,
    JobEnded,
    JobStarted,
    RunEnded,
    RunStarted,
)
from sojourn.runs.history import (
    RunFolder,
    RunSummary,
    find_run,
    follow_log,
    last_lines,
    list_runs,
    summarize,
    this_process,
)
from sojourn.runs.journal import Journal, read_journal
from sojourn.runs.request import DataWanted, RunRequest
from sojourn.runs.supervisor import Supervisor
from sojourn.runtimes.local import LocalRuntime

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@dataclass
class Bench:
    """A supervisor whose store is a function, and what it was given to show."""

    folder: Path
    pulled: list[tuple[str, Path]] = field(default_factory=list)
    output: list[bytes] = field(default_factory=list)

    @property
    def run(self) -> RunFolder:
        return RunFolder(path=self.folder / "runs" / "r1")

    def pull(self, store: str, folder: Path) -> None:
        if store == "unreachable":
            raise StoreError("The store does not answer.", remedy="Look at the link.")
        self.pulled.append((store, folder))
        folder.mkdir(parents=True)
        (folder / "x.csv").write_text(f"from {store}")

    def supervise(
        self,
        code: str,
        *args: str,
        data: tuple[DataWanted, ...] = (),
        deadline_s: float | None = None,
        out: Path | None = None,
    ) -> RunSummary:
        script = self.folder / "project" / "train.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(code)
        supervisor = Supervisor(
            runtime=LocalRuntime(),
            pull=self.pull,
            on_output=self.output.append,
            progress=NoProgress(),
            now=lambda: NOON,
        )
        request = RunRequest(target=script, args=args, data=data, deadline_s=deadline_s, out=out)
        return supervisor.supervise(request, self.run)

    @property
    def kinds(self) -> list[str]:
        return [entry.event.kind for entry in read_journal(self.run.journal)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_job_that_ends_well_is_done(bench: Bench) -> None:
    summary = bench.supervise("import sys; print(sys.argv[1:])", "--lr", "0.1")
    assert (summary.state, summary.exit_code, summary.run) == ("done", 0, "r1")
    assert (summary.started_at, summary.ended_at) == (NOON, NOON)
    assert summary.seconds is not None
    assert 0 < summary.seconds < 60
    assert b"".join(bench.output) == b"['--lr', '0.1']\n" == summary.log.read_bytes()
    assert bench.kinds == ["run_started", "job_started", "job_ended", "run_ended"]


def test_a_job_that_fails_is_told_with_its_status_and_last_lines(bench: Bench) -> None:
    with pytest.raises(RunError) as caught:
        bench.supervise("print('epoch 1')\nimport no_such_package")
    assert "Run r1 failed" in caught.value.message
    assert "status 1" in caught.value.message
    assert "`sojourn logs r1`" in caught.value.remedy
    assert "ModuleNotFoundError: No module named 'no_such_package'" in caught.value.remedy
    summary = summarize(bench.run)
    assert (summary.state, summary.exit_code) == ("failed", 1)
    assert b"epoch 1" in b"".join(bench.output)


def test_a_job_that_is_killed_is_told_with_the_signal(bench: Bench) -> None:
    with pytest.raises(RunError, match=r"signal SIGKILL .*out of memory"):
        bench.supervise("import os; os.kill(os.getpid(), 9)")
    assert summarize(bench.run).exit_code == 128 + 9


def test_the_data_are_there_before_the_job_starts(bench: Bench) -> None:
    summary = bench.supervise(
        "print(open('/content/data/x.csv').read())",
        data=(DataWanted(store="s3://k:secret@b/leaks", folder="/content/data"),),
    )
    assert bench.pulled == [("s3://k:secret@b/leaks", bench.run.work / "data")]
    assert b"".join(bench.output) == b"from s3://k:secret@b/leaks\n"
    assert bench.kinds[:3] == ["run_started", "data_pulled", "job_started"]
    assert [(d.store, d.folder) for d in summary.data] == [("s3://***@b/leaks", "/content/data")]


def test_pulled_data_take_the_place_of_what_lay_beside_the_script(bench: Bench) -> None:
    beside = bench.folder / "project" / "data"
    beside.mkdir(parents=True)
    (beside / "x.csv").write_text("the user's own")
    (beside / "y.csv").write_text("the user's own")
    bench.supervise(
        "import os; print(os.listdir('data'), open('data/x.csv').read())",
        data=(DataWanted(store="s", folder="data"),),
    )
    assert b"".join(bench.output) == b"['x.csv'] from s\n"
    assert (beside / "x.csv").read_text() == "the user's own"


def test_a_job_whose_data_cannot_be_had_is_not_started(bench: Bench) -> None:
    with pytest.raises(StoreError, match="does not answer"):
        bench.supervise("print('never')", data=(DataWanted(store="unreachable", folder="d"),))
    assert bench.output == []
    assert bench.kinds == ["run_started", "run_ended"]
    summary = summarize(bench.run)
    assert (summary.state, summary.message) == ("failed", "The store does not answer.")


def test_a_job_over_its_deadline_is_stopped(bench: Bench) -> None:
    with pytest.raises(RunError, match=r"stopped after .* deadline was 1\.5 s"):
        bench.supervise("import time; print('on'); time.sleep(1000)", deadline_s=1.5)
    summary = summarize(bench.run)
    assert summary.state == "deadline"
    assert summary.exit_code == 128 + signal.SIGTERM
    assert bench.kinds == ["run_started", "job_started", "job_ended", "run_ended"]


def test_what_the_job_wrote_is_brought_out_but_not_the_data(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bench.supervise(
        "import os; os.mkdir('/content/m'); open('/content/m/model.pt', 'w').write('w')",
        data=(DataWanted(store="s", folder="data"),),
        out=out,
    )
    assert [p.relative_to(out).as_posix() for p in out.rglob("*")] == ["m", "m/model.pt"]


def test_what_a_stopped_job_wrote_is_brought_out_too(bench: Bench, tmp_path: Path) -> None:
    code = """
import signal, sys, time
def save(*_):
    open("checkpoint", "w").write("c")
    print("saved")
    sys.exit()
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(1000)
"""
    shown: list[bytes] = []

    def interrupt_at_first_output(text: bytes) -> None:
        shown.append(text)
        if len(shown) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    bench.output = _Calling(interrupt_at_first_output)
    with pytest.raises(KeyboardInterrupt):
        bench.supervise(code, out=tmp_path / "out")
    assert (tmp_path / "out" / "checkpoint").read_text() == "c"
    assert shown == [b"ready\n", b"saved\n"]


def test_results_that_cannot_be_copied_are_told_with_where_they_are(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(RunError, match="could not be copied") as caught:
        bench.supervise("open('x', 'w').close()", out=tmp_path / "out")
    assert str(bench.run.work) in caught.value.remedy


def test_an_interrupt_stops_the_job_and_is_in_the_journal(bench: Bench) -> None:
    def interrupt_at_first_output(_text: bytes) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    bench.output = _Calling(interrupt_at_first_output)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        bench.supervise("import time; print('on'); time.sleep(1000)")
    assert signal.getsignal(signal.SIGTERM) is before
    assert summarize(bench.run).state == "interrupted"
    assert bench.kinds[-2:] == ["job_ended", "run_ended"]


class _Calling(list[bytes]):
    def __init__(self, call: object) -> None:
        super().__init__()
        self.call = call

    def append(self, text: bytes, /) -> None:
        self.call(text)  # type: ignore[operator]


def test_a_signal_that_is_ignored_stays_ignored(bench: Bench) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        bench.output = _Calling(lambda _text: os.kill(os.getpid(), signal.SIGHUP))
        assert bench.supervise("print('on')").state == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_that_is_out_of_time_before_its_job_starts_does_not_start_it(bench: Bench) -> None:
    with pytest.raises(RunError, match="deadline"):
        bench.supervise("print('never')", deadline_s=1e-6)
    assert bench.output == []
    assert bench.kinds == ["run_started", "run_ended"]


def test_a_fault_of_whoever_watches_stops_the_job_too(bench: Bench) -> None:
    def fail(_text: bytes) -> None:
        raise BrokenPipeError

    bench.output = _Calling(fail)
    with pytest.raises(BrokenPipeError):
        bench.supervise("import time; print('on'); time.sleep(1000)")
    assert summarize(bench.run).state == "failed"
    assert bench.kinds[-2:] == ["job_ended", "run_ended"]


def test_a_run_can_be_looked_after_from_another_thread(bench: Bench) -> None:
    summaries: list[RunSummary] = []
    thread = threading.Thread(target=lambda: summaries.append(bench.supervise("print(1)")))
    thread.start()
    thread.join()
    assert [summary.state for summary in summaries] == ["done"]


def test_secret_arguments_do_not_reach_the_journal_but_the_job(bench: Bench) -> None:
    bench.supervise("import sys; assert sys.argv[2] == 'tell-nobody'", "--api-key", "tell-nobody")
    assert b"tell-nobody" not in bench.run.journal.read_bytes()


def started(folder: RunFolder, *, pid: int, process_started_s: float) -> Journal:
    folder.path.mkdir(parents=True)
    journal = Journal(folder.journal, now=lambda: NOON)
    journal.append(
        RunStarted(
            run=folder.id,
            target="t.py",
            runtime="local",
            pid=pid,
            process_started_s=process_started_s,
        )
    )
    return journal


def test_a_run_whose_supervisor_lives_is_running(tmp_path: Path) -> None:
    pid, began_s = this_process()
    started(RunFolder(path=tmp_path / "a"), pid=pid, process_started_s=began_s)
    assert [run.state for run in list_runs(tmp_path)] == ["running"]


def test_a_run_whose_supervisor_is_gone_is_lost(tmp_path: Path) -> None:
    pid, began_s = this_process()
    # The number lives on, but it is another process now.
    started(RunFolder(path=tmp_path / "a"), pid=pid, process_started_s=began_s - 100)
    started(RunFolder(path=tmp_path / "b"), pid=2**22 + 1, process_started_s=began_s)
    assert [run.state for run in list_runs(tmp_path)] == ["lost", "lost"]


def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    journal = started(RunFolder(path=tmp_path / "a"), pid=1, process_started_s=0.0)
    journal.append(RunEnded(state="done", seconds=1.0))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "journal.jsonl").write_text("garbage\nmore\n")
    assert {run.run: run.state for run in list_runs(tmp_path)} == {"a": "done", "b": "unreadable"}


def test_every_event_ends_in_the_summary(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path / "a")
    journal = started(folder, pid=1, process_started_s=0.0)
    pulled = DataPulled(store="s", folder="d", seconds=1.0)
    for event in (pulled, JobStarted(pid=2), JobEnded(exit_code=3, seconds=4.0)):
        journal.append(event)
    journal.append(RunEnded(state="failed", seconds=5.0, message="why"))
    summary = summarize(folder)
    assert summary.data == (pulled,)
    assert (summary.exit_code, summary.seconds, summary.message) == (3, 5.0, "why")


def test_a_run_is_found_by_id_beginning_or_as_the_last(tmp_path: Path) -> None:
    for name in ("20261124-a-x", "20261124-a-x2", "20261125-b-y"):
        started(RunFolder(path=tmp_path / name), pid=1, process_started_s=0.0)
    assert find_run(tmp_path, "20261125").id == "20261125-b-y"
    assert find_run(tmp_path, "20261124-a-x").id == "20261124-a-x"
    assert find_run(tmp_path, "last").id == "20261125-b-y"
    with pytest.raises(UsageError, match="2 runs"):
        find_run(tmp_path, "20261124")
    with pytest.raises(UsageError, match="no run 'zzz'"):
        find_run(tmp_path, "zzz")
    with pytest.raises(UsageError, match=r"no runs yet.*--on local"):
        find_run(tmp_path / "none", "last")


def test_a_log_is_followed_until_the_run_is_over(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path / "a")
    pid, began_s = this_process()
    journal = started(folder, pid=pid, process_started_s=began_s)
    waits = 0

    def wait(_seconds: float) -> None:
        nonlocal waits
        waits += 1
        with folder.log.open("a") as log:
            log.write(f"line {waits}\n")
        if waits == 2:
            journal.append(RunEnded(state="done", seconds=1.0))

    assert list(follow_log(folder, wait=wait)) == [b"line 1\n", b"line 2\n"]


def test_the_last_lines_are_those_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_lines(log, 2) == []
    log.write_bytes(b"x" * 20_000 + b"\none\n\n two \n  ^^^\n\xffx\n\n")
    assert last_lines(log, 3) == ["one", "two", "�x"]
