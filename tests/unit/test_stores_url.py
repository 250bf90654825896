from pathlib import Path

import pytest

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from sojourn.stores.url import last_component, open_store


def test_a_plain_path_and_a_file_address_are_the_same_folder(tmp_path: Path) -> None:
    open_store(str(tmp_path / "a b")).put("k", b"here")
    assert open_store(f"file://{tmp_path}/a%20b").get("k") == b"here"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("~/store").put("k", b"x")
    assert (tmp_path / "store" / "k").read_bytes() == b"x"


@pytest.mark.parametrize("url", ["ftp://bucket/x", "S4://b"])
def test_an_unknown_scheme_names_the_known_ones(url: str) -> None:
    with pytest.raises(StoreError, match="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://"):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3:bucket/x",
        "s3:/bucket/x",
        "file:/x",
        "file://host/x",
        "s3://",
        "s3:///x",
        "s3://a b/x",
        "s3://한/x",
        "gs:bucket/x",
        "gs://",
        "gs://a b/x",
        "az:/container/x",
        "az://",
        "hf:datasets/me/x",
        "hf://",
        "hf://me/x",
        "hf://models/me/x",
        "https:/host/x",
        "https://",
        "http:///x",
        "https://h:0/x",
        "https://h h/x",
        "https://[h/x",
        "https://h/a\\b",
    ],
)
def test_a_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hush@bucket/x",
        "s3://hush@bucket",
        "s3://b:hush/x",
        "gs://key:hush@bucket/x",
        "az://hush@container/x",
        "hf://hush@datasets/me/x",
        "hf://datasets/hush@me/x",
        "https://user:hush@host/x",
        "https://hush@host",
        "https://host:hush/x",
        "https://host/x?sig=hush",
        "https://host/x#hush",
        "http://[hush@host/x",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://bucket/../other", "s3://bucket/a//b", "gs://bucket/../x"])
def test_a_prefix_cannot_lead_elsewhere(url: str) -> None:
    with pytest.raises(StoreError, match="cannot name an object"):
        open_store(url)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        open_store(str(tmp_path / "file"))


def test_a_folder_that_is_not_there_is_not_found_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="There is no folder"):
        open_store(str(tmp_path / "no")).get("k")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://bucket", "bucket"),
        ("s3://bucket/a/leaks/", "leaks"),
        ("/mnt/usb/leaks", "leaks"),
        ("https://host/a/leaks/", "leaks"),
        ("HTTPS://host", "host"),
    ],
)
def test_the_last_component_names_the_data_set(url: str, name: str) -> None:
    assert last_component(open_store(url)) == name


@pytest.mark.parametrize(
    "endpoint", ["http://user:hush@host", "http://[hush", "hush", "ftp://hush", "http://a:hush"]
)
def test_an_endpoint_that_is_none_is_refused_and_not_shown(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL") as caught:
        open_store("s3://bucket/x")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_a_credential_with_a_line_break_is_named_and_not_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hush\n")
    with pytest.raises(AccessDeniedError, match=name) as caught:
        open_store("s3://bucket/x")
    assert "hush" not in str(caught.value)
