"""Which arguments name something where the command was typed, and nothing for the script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.script.elsewhere import found_elsewhere

if TYPE_CHECKING:
    from pathlib import Path


def test_a_path_that_only_the_typist_can_see_is_told_with_the_one_to_give(tmp_path: Path) -> None:
    for folder in ("pets", "src", "src/both", "both"):
        (tmp_path / folder).mkdir()
    script = tmp_path / "src" / "train.py"
    given = [
        "pets",
        "--data=pets",
        "both",
        "--epochs",
        "3",
        "nothing",
        str(tmp_path),
        "",
        "x" * 999,
    ]
    (note,) = found_elsewhere(given, here=tmp_path, script=script)
    assert f"give {str(tmp_path / 'pets')!r}" in note
    assert "not beside train.py" in note
    assert found_elsewhere(given, here=tmp_path / "src", script=script) == []
    assert found_elsewhere(["a\0b"], here=tmp_path, script=script) == []
