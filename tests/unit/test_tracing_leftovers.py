"""Folders to trace in: gone in the end, and those of killed plans gone at the next."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sojourn.tracing.leftovers import trace_folder

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import os, sys
from sojourn.tracing.leftovers import trace_folder
with trace_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_a_folder_is_gone_in_the_end_with_what_is_closed_in_it(temporary: Path) -> None:
    with trace_folder() as folder:
        (folder / "closed" / "deep").mkdir(parents=True)
        (folder / "closed").chmod(0)
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_one_that_a_killed_plan_left_is_gone_at_the_next(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        with trace_folder() as folder:
            # The other one is alive.
            assert {str(path) for path in temporary.iterdir()} == {theirs, str(folder)}
        other.communicate()
    assert [str(path) for path in temporary.iterdir()] == [theirs]
    with trace_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_what_is_not_ours_is_left_alone(temporary: Path) -> None:
    (temporary / "sojourn-trace-unlocked").mkdir()
    (temporary / "sojourn-trace-link").symlink_to(temporary)
    with trace_folder():
        pass
    assert len(list(temporary.iterdir())) == 2
