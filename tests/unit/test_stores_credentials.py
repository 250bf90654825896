"""Where credentials of Kaggle and Hugging Face are found, and in which order."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sojourn.errors import AccessDeniedError
from sojourn.stores import colab_secrets
from sojourn.stores.huggingface_credentials import find_huggingface_credentials
from sojourn.stores.kaggle_credentials import find_kaggle_credentials
from sojourn.stores.known_secrets import known_secrets
from sojourn.testing.colab import (
    FakeColab,
    NotebookAccessError,
    TimeoutException,
    pretending_colab,
)


@pytest.fixture
def colab() -> Iterator[FakeColab]:
    with pretending_colab() as fake:
        yield fake


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def _write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def _json(username: str, key: str) -> str:
    return json.dumps({"username": username, "key": key})


def test_kaggle_is_looked_for_in_the_order_of_its_own_tools(home: Path, colab: FakeColab) -> None:
    """Each place goes before all that follow it: from the last on, one more is filled each time."""
    environment = {"HOME": str(home), "COLAB_RELEASE_TAG": "release-colab_20260101"}
    token_file = _write(home / "elsewhere" / "token", "from-named-file\n")
    mounted = _write(home / "mounted", "mounted-token", 0o644)

    def secret_pair() -> None:
        colab.secrets.update(KAGGLE_USERNAME="me", KAGGLE_KEY="secret-key")

    fill: list[tuple[Callable[[], object], str | None, str | None, str]] = [
        (lambda: None, None, None, ""),
        (secret_pair, None, "secret-key", "secrets of this Colab notebook"),
        (
            lambda: colab.secrets.update(KAGGLE_API_TOKEN="secret-token"),
            "secret-token",
            None,
            "secrets of this Colab notebook",
        ),
        (
            lambda: _write(home / ".config" / "kaggle" / "kaggle.json", _json("me", "xdg-key")),
            None,
            "xdg-key",
            str(home / ".config" / "kaggle" / "kaggle.json"),
        ),
        (
            lambda: _write(home / ".kaggle" / "kaggle.json", _json("me", "json-key")),
            None,
            "json-key",
            str(home / ".kaggle" / "kaggle.json"),
        ),
        (
            lambda: environment.update(KAGGLE_USERNAME="me", KAGGLE_KEY="variable-key"),
            None,
            "variable-key",
            "KAGGLE_USERNAME and KAGGLE_KEY",
        ),
        (
            lambda: _write(home / ".kaggle" / "access_token.txt", "windows-token"),
            "windows-token",
            None,
            str(home / ".kaggle" / "access_token.txt"),
        ),
        (
            lambda: _write(home / ".kaggle" / "access_token", " file-token \n"),
            "file-token",
            None,
            str(home / ".kaggle" / "access_token"),
        ),
        (
            lambda: environment.update(KAGGLE_API_TOKEN=str(token_file)),
            "from-named-file",
            None,
            f"{token_file} (named by KAGGLE_API_TOKEN)",
        ),
        (
            lambda: environment.update(KAGGLE_API_TOKEN="variable-token"),
            "variable-token",
            None,
            "KAGGLE_API_TOKEN",
        ),
        (
            lambda: environment.update(
                KAGGLE_KERNEL_RUN_TYPE="Interactive", KAGGLE_API_V1_TOKEN=str(mounted)
            ),
            "mounted-token",
            None,
            "KAGGLE_API_V1_TOKEN",
        ),
    ]
    for put, token, key, where in fill:
        colab_secrets.forget()
        put()
        found = find_kaggle_credentials(environment)
        assert (found.token, found.key, found.found_in) == (token, key, where)
        assert found.username == (None if key is None else "me")


def test_kagglehub_itself_finds_the_same(
    home: Path, colab: FakeColab, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pytest.importorskip("kagglehub.config")
    for name in os.environ:
        if name.startswith(("KAGGLE", "COLAB")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    monkeypatch.setattr(config, "DEFAULT_KAGGLE_CREDENTIALS_FOLDER", str(home / ".kaggle"))
    monkeypatch.setattr(config, "is_in_colab_notebook", lambda: True)
    fill: list[Callable[[], object]] = [
        lambda: None,
        lambda: colab.secrets.update(KAGGLE_API_TOKEN="secret-token"),
        lambda: _write(home / ".kaggle" / "kaggle.json", _json("me", "json-key")),
        lambda: monkeypatch.setenv("KAGGLE_USERNAME", "me"),
        lambda: monkeypatch.setenv("KAGGLE_KEY", "variable-key"),
        lambda: _write(home / ".kaggle" / "access_token.txt", "windows-token"),
        lambda: _write(home / ".kaggle" / "access_token", " file-token \n"),
        lambda: monkeypatch.setenv("KAGGLE_API_TOKEN", str(_write(home / "token", "named"))),
        lambda: monkeypatch.setenv("KAGGLE_API_TOKEN", "variable-token"),
    ]
    for put in fill:
        colab_secrets.forget()
        put()
        found, theirs = find_kaggle_credentials(os.environ), config.get_kaggle_credentials()
        if theirs is None:
            assert not found.are_there
        else:
            assert (found.token, found.username, found.key) == (
                theirs.api_key,
                theirs.username,
                theirs.key,
            )


def test_the_folder_of_kaggle_json_is_the_one_that_is_named(home: Path) -> None:
    _write(home / ".kaggle" / "kaggle.json", _json("me", "of-home"))
    named = _write(home / "config" / "kaggle.json", _json("me", "of-config"))
    environment = {"HOME": str(home), "KAGGLE_CONFIG_DIR": str(home / "config")}
    assert find_kaggle_credentials(environment).key == "of-config"
    named.unlink()
    assert find_kaggle_credentials(environment).found_in == ""


def test_half_a_pair_of_variables_is_none(home: Path) -> None:
    assert find_kaggle_credentials({"HOME": str(home), "KAGGLE_KEY": "k"}).found_in == ""
    assert find_kaggle_credentials({"HOME": str(home), "KAGGLE_USERNAME": "u"}).found_in == ""


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
@pytest.mark.parametrize("name", ["access_token", "kaggle.json"])
def test_a_file_that_others_may_open_is_refused_with_the_line_that_mends_it(
    home: Path, name: str, mode: int
) -> None:
    path = _write(home / ".kaggle" / name, _json("me", "key-of-mine"), mode)
    with pytest.raises(AccessDeniedError) as refused:
        find_kaggle_credentials({"HOME": str(home)})
    assert refused.value.remedy == f"Run `chmod 600 {path}`."
    assert "key-of-mine" not in str(refused.value)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    if name == "kaggle.json":
        assert find_kaggle_credentials({"HOME": str(home)}).key == "key-of-mine"


@pytest.mark.parametrize("text", ["{}", "not json", '{"username": "me"}', "[]", "[" * 60_000])
def test_a_damaged_kaggle_json_is_refused_and_not_repeated(home: Path, text: str) -> None:
    _write(home / ".kaggle" / "kaggle.json", text)
    with pytest.raises(AccessDeniedError, match=r"is no kaggle\.json") as refused:
        find_kaggle_credentials({"HOME": str(home)})
    assert text not in refused.value.message or text == "{}"


def test_what_cannot_stand_in_a_header_is_refused(home: Path) -> None:
    for value in ("two words", "line\nbreak", "토큰"):
        with pytest.raises(AccessDeniedError, match="is no credential") as refused:
            find_kaggle_credentials({"HOME": str(home), "KAGGLE_API_TOKEN": value})
        assert value not in str(refused.value)
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "access_token").write_bytes(b"\xff\xfe")
    with pytest.raises(AccessDeniedError, match="not text"):
        find_kaggle_credentials({"HOME": str(home)})


def test_colab_is_asked_once_for_what_it_gave_or_refused(home: Path, colab: FakeColab) -> None:
    environment = {"HOME": str(home), "COLAB_RELEASE_TAG": "1"}
    colab.secrets["KAGGLE_API_TOKEN"] = NotebookAccessError("no access")
    for _ in range(3):
        assert find_kaggle_credentials(environment).found_in == ""
    assert colab.asked.count("KAGGLE_API_TOKEN") == 1
    colab_secrets.forget()
    colab.secrets["KAGGLE_API_TOKEN"] = "given-token"
    for _ in range(3):
        assert find_kaggle_credentials(environment).token == "given-token"
    assert colab.asked.count("KAGGLE_API_TOKEN") == 2


def test_a_secret_that_was_added_meanwhile_is_found(home: Path, colab: FakeColab) -> None:
    environment = {"HOME": str(home), "COLAB_RELEASE_TAG": "1"}
    colab.secrets["KAGGLE_API_TOKEN"] = TimeoutException("no answer")
    assert find_kaggle_credentials(environment).found_in == ""
    colab.secrets["KAGGLE_API_TOKEN"] = "added-token"
    assert find_kaggle_credentials(environment).token == "added-token"


def test_colab_is_not_imported_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `!command` on Colab has the variable, and no page that could answer."""
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setitem(sys.modules, "google.colab.userdata", None)  # importing it raises
    assert find_kaggle_credentials({"HOME": str(home), "COLAB_RELEASE_TAG": "1"}).found_in == ""
    assert find_huggingface_credentials({"HOME": str(home)}).found_in == ""


def test_secrets_of_a_notebook_on_kaggle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "attached-key"}

    class BackendError(Exception):
        pass

    class CredentialError(Exception):
        pass

    class UserSecretsClient:
        def get_secret(self, label: str) -> str:
            if label not in secrets:
                raise BackendError(label)
            return secrets[label]

    module = ModuleType("kaggle_secrets")
    module.__dict__.update(
        BackendError=BackendError,
        CredentialError=CredentialError,
        UserSecretsClient=UserSecretsClient,
    )
    monkeypatch.setitem(sys.modules, "kaggle_secrets", module)
    environment = {"HOME": str(home), "KAGGLE_KERNEL_RUN_TYPE": "Batch"}
    assert find_kaggle_credentials(environment).found_in == ""
    environment["KAGGLE_USER_SECRETS_TOKEN"] = "jwt"
    found = find_kaggle_credentials(environment)
    assert (found.key, found.found_in) == ("attached-key", "secrets of this Kaggle notebook")


def test_hugging_face_is_looked_for_in_the_order_of_its_own_package(
    home: Path, colab: FakeColab
) -> None:
    environment = {"HOME": str(home), "COLAB_RELEASE_TAG": "1"}
    assert find_huggingface_credentials(environment).found_in == ""
    colab.secrets["HF_TOKEN"] = "hf_of_secrets"
    assert find_huggingface_credentials(environment).token == "hf_of_secrets"
    _write(home / ".cache" / "huggingface" / "token", "hf_of_cache")
    assert find_huggingface_credentials(environment).token == "hf_of_cache"
    _write(home / "xdg" / "huggingface" / "token", "hf_of_xdg")
    environment["XDG_CACHE_HOME"] = str(home / "xdg")
    assert find_huggingface_credentials(environment).token == "hf_of_xdg"
    _write(home / "hf" / "token", "hf_of_home")
    environment["HF_HOME"] = "~/hf"
    assert find_huggingface_credentials(environment).token == "hf_of_home"
    named = _write(home / "named", "hf_of_path")
    environment["HF_TOKEN_PATH"] = str(named)
    assert find_huggingface_credentials(environment).token == "hf_of_path"
    named.chmod(0o644)
    with pytest.raises(AccessDeniedError, match="other users may open it"):
        find_huggingface_credentials(environment)
    environment["HUGGING_FACE_HUB_TOKEN"] = "hf_of_old_variable"
    assert find_huggingface_credentials(environment).token == "hf_of_old_variable"
    environment["HF_TOKEN"] = "hf_of_variable"
    assert find_huggingface_credentials(environment).token == "hf_of_variable"


def test_credentials_do_not_show_themselves(home: Path) -> None:
    environment = {"HOME": str(home), "KAGGLE_API_TOKEN": "shown-never", "HF_TOKEN": "shown-never"}
    assert "shown-never" not in repr(find_kaggle_credentials(environment))
    assert "shown-never" not in repr(find_huggingface_credentials(environment))


def test_secrets_of_all_places_are_known_so_that_they_are_hidden(
    home: Path, colab: FakeColab
) -> None:
    token_file = _write(home / "token", "in-named-file")
    _write(home / ".kaggle" / "access_token", "in-token-file", 0o644)
    _write(home / ".kaggle" / "kaggle.json", _json("my-user-name", "in-kaggle-json"), 0o644)
    _write(home / ".cache" / "huggingface" / "token", "in-hf-file")
    colab.secrets["KAGGLE_API_TOKEN"] = "in-colab-secrets"
    colab_secrets.find_colab_secret("KAGGLE_API_TOKEN")
    environment = {
        "HOME": str(home),
        "KAGGLE_API_TOKEN": str(token_file),
        "AWS_SECRET_ACCESS_KEY": "/in-a-variable",
        "HF_TOKEN": "short",
    }
    assert set(known_secrets(environment)) == {
        "in-named-file",
        "in-token-file",
        "in-kaggle-json",
        "in-hf-file",
        "in-colab-secrets",
        "/in-a-variable",
    }
