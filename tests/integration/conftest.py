from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn.testing.az import AzServer, find_az_program, running_az_server
from sojourn.testing.gs import GsServer, find_gs_program, running_gs_server
from sojourn.testing.hub_records import HubServer
from sojourn.testing.hub_server import running_hub_server
from sojourn.testing.s3 import S3Server, running_s3_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of somebody who may write to the server's bucket."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="session")
def gs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GsServer]:
    if find_gs_program() is None:
        pytest.skip("fake-gcs-server is not installed, or not for this kind of machine")
    with running_gs_server(tmp_path_factory.mktemp("gs")) as server:
        yield server


@pytest.fixture
def gs_environment(gs_server: GsServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in gs_server.environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="session")
def az_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzServer]:
    if find_az_program() is None:
        pytest.skip("Azurite is not installed: `make servers`, which needs Node.js and npm")
    with running_az_server(tmp_path_factory.mktemp("az")) as server:
        yield server


@pytest.fixture
def az_environment(az_server: AzServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in az_server.environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub, and the environment of somebody who may write to it."""
    with running_hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield hub
