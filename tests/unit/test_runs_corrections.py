"""Where corrections are kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sojourn.errors import UsageError
from sojourn.forecast.correction import Correction
from sojourn.runs.corrections import keep_correction, load_corrections

if TYPE_CHECKING:
    from pathlib import Path

ONE = Correction(
    job="j",
    accelerator="t4",
    measured_on="2026-11-25",
    steps=20,
    memory_ratio=1.1,
    step_ratio=None,
)


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "corrections.json"
    assert load_corrections(file) == ()
    keep_correction(file, ONE)
    two = replace(ONE, accelerator="l4", fits=False, memory_ratio=None)
    keep_correction(file, two)
    newer = replace(ONE, memory_ratio=1.2)
    keep_correction(file, newer)
    assert load_corrections(file) == (two, newer)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "corrections.json",
        "corrections.lock",
    ]


def test_probes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "corrections.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: keep_correction(file, replace(ONE, job=str(n))), range(40)))
    assert {correction.job for correction in load_corrections(file)} == set(map(str, range(40)))


def document(**changed: object) -> str:
    row: dict[str, object] = {
        "job": "j",
        "accelerator": "t4",
        "measured_on": "2026-11-25",
        "steps": 20,
    }
    row |= {"memory_ratio": 1.0, "step_ratio": None, **changed}
    return json.dumps({"schema": "sojourn.corrections/1", "corrections": [row]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "sojourn.corrections/9", "corrections": []}',
        '{"schema": "sojourn.corrections/1", "corrections": [{"job": "j"}]}',
        '{"schema": "sojourn.corrections/1", "corrections": 3}',
        '{"schema": "sojourn.corrections/1", "corrections": ["j"]}',
        '{"schema": "sojourn.corrections/1", "corrections": [["job"]]}',
        document(memory_ratio=-1),
        document(step_ratio=0),
        document(memory_ratio=1e308),
        document(step_ratio=5e-324),
        document(memory_ratio="1"),
        document(job=1),
        document(unknown=1),
    ],
)
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "corrections.json"
    file.write_text(text)
    for use in (load_corrections, lambda path: keep_correction(path, ONE)):
        with pytest.raises(UsageError) as caught:
            use(file)
        assert str(file) in caught.value.message
        assert "mv " in caught.value.remedy
    assert file.read_text() == text


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(UsageError, match="state"):
        keep_correction(tmp_path / "state" / "corrections.json", ONE)
