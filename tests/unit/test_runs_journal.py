from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import IntegrityError
from sojourn.redact import redact_address, redact_arguments
from sojourn.runs.events import DataPulled, Event, JobEnded, JobStarted, RunEnded, RunStarted
from sojourn.runs.journal import Journal, read_journal

NOON = datetime(2026, 11, 24, 12, 0, 0, 123000, tzinfo=UTC)

_SECONDS = st.floats(min_value=0, max_value=1e9)
_EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        RunStarted,
        run=st.text(),
        target=st.text(),
        runtime=st.text(),
        args=st.lists(st.text()).map(tuple),
        deadline_s=st.none() | _SECONDS,
        out=st.none() | st.text(),
        pid=st.integers(min_value=1),
        process_started_s=_SECONDS,
    ),
    st.builds(DataPulled, store=st.text(), folder=st.text(), seconds=_SECONDS),
    st.builds(JobStarted, pid=st.integers(min_value=1)),
    st.builds(JobEnded, exit_code=st.integers(), seconds=_SECONDS),
    st.builds(RunEnded, state=st.text(), seconds=_SECONDS, message=st.text()),
)


def journal(folder: Path, now: datetime = NOON) -> Journal:
    return Journal(folder / "journal.jsonl", now=lambda: now)


@given(st.lists(_EVENTS, max_size=5))
def test_events_are_read_back_as_they_were_written(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = journal(Path(folder))
        for event in [JobStarted(pid=1), *events]:
            book.append(event)
        entries = read_journal(Path(folder) / "journal.jsonl")
    assert [entry.event for entry in entries] == [JobStarted(pid=1), *events]
    assert {entry.at for entry in entries} == {NOON}


def test_instants_are_rfc_3339_in_utc(tmp_path: Path) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    journal(tmp_path, there).append(JobStarted(pid=7))
    line = json.loads((tmp_path / "journal.jsonl").read_text())
    assert line == {"at": "2026-11-24T12:00:00.123Z", "kind": "job_started", "pid": 7}


@given(st.integers(min_value=0))
def test_a_torn_last_line_is_left_out(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        book = journal(Path(folder))
        book.append(JobStarted(pid=1))
        whole = path.stat().st_size
        book.append(JobEnded(exit_code=0, seconds=1.0))
        last = path.stat().st_size - whole
        os.truncate(path, whole + cut % (last - 1))
        assert [entry.event for entry in read_journal(path)] == [JobStarted(pid=1)]


def test_a_damaged_line_before_the_last_is_an_integrity_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    book = journal(tmp_path)
    book.append(JobStarted(pid=1))
    path.write_bytes(b"\0\0" + path.read_bytes())
    book.append(JobStarted(pid=2))
    with pytest.raises(IntegrityError, match="Line 1"):
        read_journal(path)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"at": "2026-11-24T12:00:00", "kind": "job_started", "pid": 1}',
        '{"at": "0001-01-01T00:00:00+14:00", "kind": "job_started", "pid": 1}',
        '{"at": "9999-12-31T23:59:59-14:00", "kind": "job_started", "pid": 1}',
        '{"at": "2026-11-24T12:00:00Z", "kind": "job_started", "pid": "1"}',
        '{"at": "2026-11-24T12:00:00Z", "kind": "job_started", "pid": true}',
        '{"at": "2026-11-24T12:00:00Z", "kind": "run_ended", "state": ["done"], "seconds": 1}',
        '{"at": "2026-11-24T12:00:00Z", "kind": "run_ended", "state": "done", "seconds": 1e400}',
        '{"at": "2026-11-24T12:00:00Z", "kind": "run_ended", "state": "done", "seconds": NaN}',
    ],
)
def test_a_line_whose_values_no_event_has_is_damaged(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(IntegrityError, match="Line 1"):
        read_journal(path)


def test_a_journal_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(OSError, match="not a file"):
        read_journal(tmp_path / "journal.jsonl")


def test_events_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(
        '{"at": "2026-11-24T12:00:00Z", "kind": "heard_from", "x": 1}\n'
        '{"at": "2026-11-24T12:00:00Z", "kind": "job_started", "pid": 1, "host": "h"}\n'
    )
    assert [entry.event for entry in read_journal(path)] == [JobStarted(pid=1)]


def test_every_entry_is_on_the_disk_when_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    journal(tmp_path).append(JobStarted(pid=1))
    assert synced == [(tmp_path / "journal.jsonl").stat().st_size]


@pytest.mark.parametrize(
    ("given_args", "shown"),
    [
        (["--epochs", "3", "--lr=0.1"], ["--epochs", "3", "--lr=0.1"]),
        (["--api-key", "abc", "x"], ["--api-key", "***", "x"]),
        (["--token=abc"], ["--token=***"]),
        (["-p", "--hf_token", "abc"], ["-p", "--hf_token", "***"]),
        (["--api-key", "--canary", "x"], ["--api-key", "***", "x"]),
        (["--use-auth", "--api-key", "CANARY"], ["--use-auth", "***", "***"]),
        (["hf_abcdefghijklmnop"], ["***"]),
        (["--x=sk-abcdefgh12345678"], ["--x=***"]),
        (["WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567"], ["WANDB_API_KEY=***"]),
        (["s3://key:secret@host/b"], ["s3://***@host/b"]),
        (["--monkey", "x", "--tokenizer", "bert"], ["--monkey", "x", "--tokenizer", "bert"]),
    ],
)
def test_what_looks_like_a_key_is_hidden(given_args: list[str], shown: list[str]) -> None:
    assert redact_arguments(given_args) == tuple(shown)


@pytest.mark.parametrize(
    "line",
    [
        *(f"--{name} CANARY" for name in ("apiToken", "HFTOKEN", "HFToken", "secrets", "tokens")),
        *(f"--{name} CANARY" for name in ("pass", "passphrase", "cookie", "headers", "OPENAIKEY")),
        "--accessToken=CANARY",
        "--header=Authorization: Bearer CANARY",
        "--headers|Authorization: Bearer CANARY",
        "--x|Bearer CANARY",
        '--config|{"lr": 1, "api_key":"CANARY"}',
        '--config|{\\"apiKey\\": \\"CANARY\\"}',
        "api_key:CANARY",
        "--command|train --api-key CANARY",
        "--db=postgres://u:CANARY@h/x",
        "--db=postgres://u:CAN/CANARY@h/x",
        "--db=u:CANARY@h/x",
        "--url=https://u:CANARY@h",
        "--stores=s3://a/b,s3://u:CANARY@h/c",
        "--url=https://h/x?sig=CANARY",
        "--notify|https://hooks.slack.com/services/T0/B0/CANARY",
        "--keys=a,hf_abcdefghCANARY",
        "--files=a,hf_abcdefghCANARY",
    ],
)
def test_no_key_stays_in_what_is_shown(line: str) -> None:
    arguments = line.split("|") if "|" in line else line.split(" ", 1)
    assert "CANARY" not in " ".join(redact_arguments(arguments))


@pytest.mark.parametrize(
    "line",
    [
        "--tokenizer bert --max-tokens 512 --maxTokens=512 --num_tokens:5 --keyframes 3",
        "--authors x --monkey y --path data/a --model=org/name:tag --pad-token-id 0",
        "s3://bucket/a@b --url=https://example.org/a/b",
    ],
)
def test_what_is_no_key_stays_readable(line: str) -> None:
    assert redact_arguments(line.split()) == tuple(line.split())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/leaks", "s3://bucket/leaks"),
        ("data/leaks", "data/leaks"),
        ("https://u:p@h/x?sig=abc", "https://***@h/x?***"),
    ],
)
def test_an_address_is_shown_without_what_opens_it(address: str, shown: str) -> None:
    assert redact_address(address) == shown
