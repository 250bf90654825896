"""Fixtures that tests of several kinds share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sojourn.testing.kaggle_server import KaggleServer, running_kaggle_server

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Nothing listens there: a client that would leave this machine is refused.
NO_WAY_OUT = "http://127.0.0.1:9"


@pytest.fixture
def kaggle_server(tmp_path: Path) -> Iterator[KaggleServer]:
    with running_kaggle_server(tmp_path / "kaggle server") as server:
        yield server


@pytest.fixture
def kaggle(
    kaggle_server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> KaggleServer:
    """A server in the place of Kaggle, for this process, and credentials that it takes."""
    from kagglesdk import kaggle_env

    for environment in kaggle_env.KaggleEnv:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, environment, kaggle_server.url)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name.lower(), NO_WAY_OUT)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_me")
    return kaggle_server
