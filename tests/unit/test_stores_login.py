"""Storing a credential: where, with which mode, and what happens to one that is there."""

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sojourn
from sojourn.errors import AccessDeniedError, UsageError
from sojourn.stores.huggingface_credentials import find_huggingface_credentials
from sojourn.stores.kaggle_credentials import find_kaggle_credentials, parse_key_file
from sojourn.stores.login import store_credential
from sojourn.stores.secret_files import find_secret_text, write_secret
from sojourn.testing.colab import FakeColab, pretending_colab

TOKEN = "KGAT_0123456789abcdef"
KEY_FILE = '{"username":"me","key":"0123456789abcdef"}'


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    names = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "HF_TOKEN")
    for name in (*names, "HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return {"HOME": str(tmp_path)}


@pytest.fixture
def colab() -> Iterator[FakeColab]:
    with pretending_colab() as fake:
        yield fake


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("service", "text", "path"),
    [
        ("kaggle", TOKEN, ".kaggle/access_token"),
        ("kaggle", f"  {TOKEN}\r\n", ".kaggle/access_token"),
        ("kaggle", KEY_FILE, ".kaggle/kaggle.json"),
        ("hf", "hf_0123456789abcdef\n", ".cache/huggingface/token"),
    ],
)
def test_it_is_stored_for_this_user_alone_where_the_vendors_tools_look(
    environment: dict[str, str], tmp_path: Path, service: str, text: str, path: str
) -> None:
    old = os.umask(0)
    try:
        report = store_credential(service, text, environment=environment, replace=False)
    finally:
        os.umask(old)
    assert report.path == tmp_path / path
    assert _mode(report.path) == 0o600
    assert _mode(report.path.parent) == 0o700
    assert [p.name for p in report.path.parent.iterdir()] == [report.path.name]
    assert not report.unchanged
    assert report.overridden_by == ""
    assert report.doubt == ""
    assert store_credential(service, text, environment=environment, replace=False).unchanged


def test_it_is_found_again(environment: dict[str, str]) -> None:
    store_credential("kaggle", KEY_FILE, environment=environment, replace=False)
    found = find_kaggle_credentials(environment)
    assert (found.username, found.key) == ("me", "0123456789abcdef")
    store_credential("kaggle", TOKEN, environment=environment, replace=False)
    assert find_kaggle_credentials(environment).token == TOKEN
    store_credential("hf", "hf_abcdefgh", environment=environment, replace=False)
    assert find_huggingface_credentials(environment).token == "hf_abcdefgh"


def test_vendors_own_packages_find_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = pytest.importorskip("huggingface_hub.utils._auth")
    report = store_credential("hf", "hf_abcdefgh", environment=environment, replace=False)
    monkeypatch.setattr(utils.constants, "HF_TOKEN_PATH", str(report.path))
    assert utils._get_token_from_file() == "hf_abcdefgh"


def test_kagglesdk_finds_it(environment: dict[str, str]) -> None:
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env")
    store_credential("kaggle", TOKEN, environment=environment, replace=False)
    assert kaggle_env.get_access_token_from_env() == (TOKEN, "access_token")


def test_another_one_that_is_there_is_kept_unless_it_is_to_be_replaced(
    environment: dict[str, str],
) -> None:
    first = store_credential("kaggle", TOKEN, environment=environment, replace=False)
    with pytest.raises(UsageError, match="it was kept") as refused:
        store_credential("kaggle", "another-token", environment=environment, replace=False)
    assert "--replace" in refused.value.remedy
    assert first.path.read_text() == f"{TOKEN}\n"
    store_credential("kaggle", "another-token", environment=environment, replace=True)
    assert first.path.read_text() == "another-token\n"
    assert _mode(first.path) == 0o600


def test_the_same_one_that_others_may_read_becomes_private(environment: dict[str, str]) -> None:
    path = store_credential("kaggle", TOKEN, environment=environment, replace=False).path
    path.chmod(0o644)
    with pytest.raises(AccessDeniedError):
        find_kaggle_credentials(environment)
    assert not store_credential("kaggle", TOKEN, environment=environment, replace=False).unchanged
    assert _mode(path) == 0o600


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("theirs")
    with pytest.raises(UsageError, match="it was kept"):
        write_secret(path, "mine", replace=False)
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "token"
    path.mkdir(parents=True)  # a folder in its place
    with pytest.raises(UsageError, match="could not be written"):
        write_secret(path, "mine", replace=True)
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="could not be written"):
        write_secret(tmp_path / "file" / "token", "mine", replace=True)


@pytest.mark.parametrize("text", ["", " \n", "two words", "토큰", "a\x00b", "x" * 5000, "a\nb"])
def test_what_is_no_token_is_refused_and_not_repeated(
    environment: dict[str, str], tmp_path: Path, text: str
) -> None:
    for service in ("kaggle", "hf"):
        with pytest.raises(UsageError, match="token") as refused:
            store_credential(service, text, environment=environment, replace=False)
        assert not text.strip() or text not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_what_goes_before_the_stored_one_is_told(environment: dict[str, str]) -> None:
    environment["KAGGLE_API_TOKEN"] = "of-the-environment"
    report = store_credential("kaggle", TOKEN, environment=environment, replace=False)
    assert report.overridden_by == "KAGGLE_API_TOKEN"


def test_an_unknown_service_is_refused(environment: dict[str, str]) -> None:
    assert environment
    with pytest.raises(UsageError, match="no login for 's3'"):
        sojourn.login("s3")


def test_in_colab_it_comes_from_the_secrets(
    environment: dict[str, str],
    colab: FakeColab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    colab.secrets["KAGGLE_API_TOKEN"] = TOKEN
    sojourn.login("kaggle")
    assert find_kaggle_credentials(environment).token == TOKEN
    colab.secrets["HF_TOKEN"] = "hf_of_secrets"
    sojourn.login("hf")
    assert find_huggingface_credentials(environment).token == "hf_of_secrets"


def test_in_colab_it_comes_from_the_upload_dialog_which_leaves_no_copy(
    environment: dict[str, str],
    colab: FakeColab,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    colab.uploaded["kaggle.json"] = KEY_FILE.encode()
    report = sojourn.login("kaggle")
    assert report.path == tmp_path / ".kaggle" / "kaggle.json"
    assert find_kaggle_credentials(environment).key == "0123456789abcdef"
    assert colab.saved_in is not None
    assert not colab.saved_in.exists()
    assert Path.cwd() == tmp_path / "content"
    assert list(Path.cwd().iterdir()) == []


def test_a_dialog_that_brings_nothing_or_no_text_is_told(
    environment: dict[str, str],
    colab: FakeColab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert environment
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    with pytest.raises(UsageError, match="No token was given"):
        sojourn.login("kaggle")
    colab.uploaded["photo.jpg"] = b"\xff\xd8"
    with pytest.raises(UsageError, match="no text"):
        sojourn.login("kaggle")


def test_it_is_not_asked_for_where_one_is_stored(
    environment: dict[str, str],
    colab: FakeColab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store_credential("kaggle", TOKEN, environment=environment, replace=False)
    monkeypatch.setenv("COLAB_RELEASE_TAG", "1")
    with pytest.raises(UsageError, match="it was kept"):
        sojourn.login("kaggle")
    assert colab.asked == []


def test_elsewhere_the_terminal_is_asked_without_showing_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return TOKEN

    monkeypatch.setattr("getpass.getpass", getpass)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    sojourn.login("kaggle")
    assert find_kaggle_credentials(environment).token == TOKEN
    assert "https://www.kaggle.com/settings" in asked[0]


@given(st.text())
def test_any_text_is_a_kaggle_json_or_none(text: str) -> None:
    assert parse_key_file(text) is None


@given(st.dictionaries(st.sampled_from(["username", "key", "x"]), st.text() | st.integers()))
def test_a_kaggle_json_has_a_username_and_a_key(document: dict[str, str | int]) -> None:
    found = parse_key_file(json.dumps(document))
    values = (document.get("username"), document.get("key"))
    assert (found is not None) == all(isinstance(v, str) and v != "" for v in values)


def test_what_is_too_large_for_a_credential_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "access_token"
    write_secret(path, "a" * 100_000, replace=False)
    with pytest.raises(AccessDeniedError, match="larger than 64 KiB"):
        find_secret_text(path)


def test_a_byte_order_mark_is_no_part_of_a_credential(tmp_path: Path) -> None:
    path = tmp_path / "kaggle.json"
    write_secret(path, f"\ufeff{KEY_FILE}", replace=False)
    assert find_secret_text(path) == KEY_FILE


@pytest.mark.parametrize(
    ("service", "text", "beginning"),
    [
        ("hf", TOKEN, "hf_"),
        ("hf", "password1", "hf_"),
        ("kaggle", "hf_0123456789abcdef", "KGAT_"),
        ("kaggle", "0123456789abcdef0123456789abcdef", "KGAT_"),  # a kaggle.json's key, alone
    ],
)
def test_what_is_like_no_token_of_the_service_is_stored_and_doubted(
    environment: dict[str, str], service: str, text: str, beginning: str
) -> None:
    report = store_credential(service, text, environment=environment, replace=False)
    assert report.path.read_text() == f"{text}\n"
    assert beginning in report.doubt
    assert text not in report.doubt
