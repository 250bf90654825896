from pathlib import Path

import pytest

from sojourn.cli import root
from sojourn.cli._errors import run_guarded


def test_an_empty_text_is_not_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "a").write_text("x")
    monkeypatch.chdir(here)
    store = str(tmp_path / "store")
    assert run_guarded(root, ["push", ".", store]) == 0
    for arguments in (["push", "", store], ["pull", store, ""], ["verify", store, ""]):
        assert run_guarded(root, arguments) == 2
        assert "An empty text is no path." in capsys.readouterr().err
    for arguments in (["push", ".", ""], ["pull", "", "x"], ["verify", ""], ["ls", ""]):
        assert run_guarded(root, arguments) == 5
    assert [path.name for path in here.iterdir()] == ["a"]
