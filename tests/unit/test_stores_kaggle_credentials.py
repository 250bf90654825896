from pathlib import Path

import pytest

from sojourn.errors import AccessDeniedError
from sojourn.stores.kaggle_credentials import KaggleCredentials, find_kaggle_credentials


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def _found(home: Path, **environment: str) -> KaggleCredentials:
    return find_kaggle_credentials({"HOME": str(home), **environment})


def test_the_first_place_that_has_some_counts(home: Path) -> None:
    key = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "k"}
    assert not _found(home).are_there
    _write(home / ".kaggle" / "kaggle.json", '{"username": "me", "key": "in-file"}')
    assert _found(home).key == "in-file"
    assert _found(home, **key).key == "k"
    _write(home / ".kaggle" / "access_token", "T1\n")
    assert (_found(home, **key).token, _found(home, **key).key) == ("T1", None)
    assert _found(home, **key, KAGGLE_API_TOKEN="T2").token == "T2"
    assert _found(home, KAGGLE_API_TOKEN="T2").found_in == "KAGGLE_API_TOKEN"


def test_the_variable_may_name_a_file_and_the_folder_another(home: Path, tmp_path: Path) -> None:
    _write(tmp_path / "token", "T3")
    assert _found(home, KAGGLE_API_TOKEN=str(tmp_path / "token")).token == "T3"
    (tmp_path / "other").mkdir()
    _write(tmp_path / "other" / "kaggle.json", '{"username": "me", "key": "other"}')
    assert _found(home, KAGGLE_CONFIG_DIR=str(tmp_path / "other")).key == "other"


@pytest.mark.parametrize("name", ["access_token", "kaggle.json"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_read_is_refused_with_the_command(
    home: Path, name: str, mode: int
) -> None:
    path = home / ".kaggle" / name
    _write(path, '{"username": "me", "key": "canary"}', mode)
    with pytest.raises(AccessDeniedError) as caught:
        _found(home)
    assert f"chmod 600 {path}" in caught.value.remedy
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"username": "me"}', '{"username": 1, "key": "k"}'])
def test_a_file_that_holds_none_is_refused(home: Path, text: str) -> None:
    _write(home / ".kaggle" / "kaggle.json", text)
    with pytest.raises(AccessDeniedError, match=r"is no kaggle\.json: it lacks"):
        _found(home)


def test_secrets_are_not_shown() -> None:
    found = KaggleCredentials(token="canary", username="me", key="canary", found_in="KAGGLE_KEY")
    assert "canary" not in repr(found)
