import os
import socket
import time
import uuid
from typing import Any

import pytest

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.base import Store
from sojourn.stores.buckets import open_bucket
from sojourn.stores.url import open_store
from sojourn.testing.s3 import S3Server
from sojourn.testing.store_contract import RawAccess, StoreContract

pytestmark = pytest.mark.s3


class BotoAccess:
    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def read(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}")
        except self._client.exceptions.NoSuchKey:
            return None
        return bytes(answer["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}", Body=data)


class TestS3Store(StoreContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"contract/{uuid.uuid4().hex}"

    @pytest.fixture
    def store(self, s3_server: S3Server, s3_environment: pytest.MonkeyPatch, prefix: str) -> Store:
        assert s3_environment
        return open_store(f"s3://{s3_server.bucket}/{prefix}")

    @pytest.fixture
    def raw(self, s3_server: S3Server, prefix: str) -> RawAccess:
        return BotoAccess(s3_server.client(), s3_server.bucket, prefix)


def _every_verb(store: Store) -> list[StoreError]:
    refusals = []
    for call in (
        lambda: store.get("k"),
        lambda: store.get_range("k", offset=0, size_bytes=1),
        lambda: store.put("k", b"x"),
        lambda: list(store.list()),
        lambda: store.find("k"),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        refusals.append(caught.value)
    return refusals


def test_a_wrong_secret_is_denied_and_not_shown(
    s3_server: S3Server, s3_environment: pytest.MonkeyPatch
) -> None:
    s3_environment.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    for error in _every_verb(open_store(f"s3://{s3_server.bucket}/x")):
        assert isinstance(error, AccessDeniedError), error
        assert "AWS_SECRET_ACCESS_KEY" in str(error) or "right to read" in str(error)
        assert "a-wrong-secret" not in str(error)


def test_an_unknown_key_is_denied(s3_server: S3Server, s3_environment: pytest.MonkeyPatch) -> None:
    s3_environment.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    with pytest.raises(AccessDeniedError, match="does not accept the credentials"):
        open_store(f"s3://{s3_server.bucket}/x").get("k")


def test_one_who_may_only_read_cannot_write(
    s3_server: S3Server, s3_environment: pytest.MonkeyPatch
) -> None:
    s3_environment.setenv("AWS_ACCESS_KEY_ID", s3_server.reader.key_id)
    s3_environment.setenv("AWS_SECRET_ACCESS_KEY", s3_server.reader.secret)
    store = open_store(f"s3://{s3_server.bucket}/x")
    with pytest.raises(ObjectNotFoundError):
        store.get("not/there")
    with pytest.raises(AccessDeniedError, match="denies access"):
        store.put("k", b"x")


def test_a_missing_bucket_is_named(s3_environment: pytest.MonkeyPatch) -> None:
    assert s3_environment
    store = open_store("s3://no-such-bucket/x")
    for call in (lambda: store.get("k"), lambda: list(store.list())):
        with pytest.raises(StoreError, match=r"s3://no-such-bucket/x.*no such bucket") as caught:
            call()
        assert not isinstance(caught.value, ObjectNotFoundError)


def test_no_server_is_unavailable_within_seconds(s3_environment: pytest.MonkeyPatch) -> None:
    s3_environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        # Without the patience of `open_store`.
        open_bucket("s3", "bucket", "x", environment=os.environ).get("k")


def test_no_credentials_at_all_say_which_to_set(s3_environment: pytest.MonkeyPatch) -> None:
    s3_environment.delenv("AWS_ACCESS_KEY_ID")
    s3_environment.delenv("AWS_SECRET_ACCESS_KEY")
    # Where a machine in a data centre would be asked for its role.
    s3_environment.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x").get("k")


def test_a_server_that_accepts_and_never_answers_is_given_up(
    s3_environment: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        s3_environment.setenv("AWS_ENDPOINT_URL", address)
        store = open_bucket("s3", "bucket", "x", environment=os.environ, silence_s=0.5)
        for call in (
            lambda: store.get("k"),
            lambda: store.get_range("k", offset=0, size_bytes=1),
            lambda: store.find("k"),
            lambda: list(store.list()),
        ):
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                call()
            assert time.monotonic() - began < 5
