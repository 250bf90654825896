"""Reading whole what should be small: neither too much of it, nor for ever."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sojourn
from sojourn.errors import StoreError, StoreUnavailableError
from sojourn.stores.folders import open_folder
from sojourn.stores.hub_bodies import read_body
from sojourn.stores.whole import MOST_BYTES, check_size, gather
from sojourn.testing.web import Trouble, running_web_server


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def pieces(self, size_bytes: int, *, every_s: float, count: int) -> Iterator[bytes]:
        for _ in range(count):
            self.now_s += every_s
            yield bytes(size_bytes)


def test_a_byte_every_two_seconds_is_given_up_after_a_minute() -> None:
    clock = _Clock()
    with pytest.raises(
        StoreUnavailableError, match=r"x came at less than 1\.0 KiB/s for 1 m"
    ) as told:
        gather(clock.pieces(1, every_s=2.0, count=10_000), address="x", clock=clock)
    assert clock.now_s == 60.0
    assert told.value.retryable


def test_what_is_slow_after_a_good_beginning_is_given_up_too() -> None:
    clock = _Clock()

    def stalling() -> Iterator[bytes]:
        yield from clock.pieces(1 << 20, every_s=1.0, count=100)
        yield from clock.pieces(1, every_s=2.0, count=10_000)

    with pytest.raises(StoreUnavailableError, match="was given up"):
        gather(stalling(), address="x", clock=clock)
    assert clock.now_s <= 100 + 2 * 60 + 2


def test_the_slowest_link_that_may_be_one_is_waited_for() -> None:
    clock = _Clock()
    data = gather(clock.pieces(2048, every_s=2.0, count=1000), address="x", clock=clock)
    assert len(data) == 2_048_000
    assert clock.now_s == 2000.0


def test_more_than_a_record_has_is_refused_before_it_is_read() -> None:
    check_size(MOST_BYTES, address="x")
    with pytest.raises(StoreError, match=r"x has 3\.0 GiB, and 1\.0 GiB is the most"):
        check_size(3 << 30, address="x")

    response = httpx.Response(
        200, headers={"Content-Length": str(3 << 30)}, stream=httpx.ByteStream(b"{")
    )
    with pytest.raises(StoreError, match="is the most that is read of a manifest"):
        read_body(response, None, address="hf://datasets/me/leaks/sojourn.json")


def test_a_manifest_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with (tmp_path / "set" / "sojourn.json").open("wb") as file:
        file.truncate(3 << 30)  # it takes no room
    with pytest.raises(StoreError, match=r"sojourn\.json has 3\.0 GiB"):
        sojourn.open(tmp_path / "set")
    assert open_folder(tmp_path / "set").find("sojourn.json") == 3 << 30


def test_a_server_that_announces_a_huge_manifest_is_not_listened_to(tmp_path: Path) -> None:
    huge = Trouble(status=200, headers={"Content-Length": str(3 << 30)})
    with running_web_server(tmp_path) as server:
        server.troubles = [huge]
        with pytest.raises(StoreError, match=r"sojourn\.json has 3\.0 GiB"):
            sojourn.open(server.url)
