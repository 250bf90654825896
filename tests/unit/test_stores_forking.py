import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sojourn.errors import ObjectNotFoundError, StoreError
from sojourn.stores.base import Store
from sojourn.stores.url import open_store

# What Python from 3.12 on says of every fork of a process with threads; that is what is tried here.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

_LIMIT_S = 60


def _in_forked(work: Callable[[], Any]) -> Any:
    """Return what a function returns, or the error that it raises, in a forked process."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def run() -> None:
        try:
            there.send(work())
        except StoreError as error:
            there.send(error)

    process = context.Process(target=run)
    process.start()
    assert here.poll(_LIMIT_S)
    answer = here.recv()
    process.join()
    return answer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "store")
    store.put("a/b", b"0123456789")
    store.get("a/b")
    return store


def test_a_store_is_read_in_a_forked_process(store: Store) -> None:
    def read() -> Any:
        first = store.get("a/b"), store.get_range("a/b", offset=2, size_bytes=3)
        return first, [entry.key for entry in store.list()], store.find("a/b"), store.find("c")

    assert _in_forked(read) == ((b"0123456789", b"234"), ["a/b"], 10, None)


def test_a_store_that_is_opened_in_a_forked_process_is_read_as_well(store: Store) -> None:
    assert _in_forked(lambda: open_store(store.url).get("a/b")) == b"0123456789"


def test_an_error_comes_as_what_it_is(store: Store) -> None:
    error = _in_forked(lambda: store.get("none"))
    assert isinstance(error, ObjectNotFoundError)
    assert "there is no such object" in str(error)


def test_a_forked_process_does_not_write(store: Store) -> None:
    for write in (lambda: store.put("k", b""), lambda: store.delete("a/b")):
        assert "spawn" in _in_forked(write).remedy
    assert store.find("a/b") == 10


def test_a_fork_of_a_fork_has_a_helper_of_its_own(store: Store) -> None:
    def read() -> Any:
        return store.get("a/b"), _in_forked(lambda: store.get("a/b")), store.get("a/b")

    assert _in_forked(read) == (b"0123456789",) * 3
