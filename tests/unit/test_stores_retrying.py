import io

import pytest

from sojourn.errors import (
    AccessDeniedError,
    ConflictError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from sojourn.progress import NoProgress
from sojourn.stores.objects import open_memory
from sojourn.stores.retrying import Retrying
from sojourn.testing.faults import Fault, FaultyStore, unavailable
from sojourn.testing.store_contract import swap


class Clock:
    """Stands still but for the waits."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self.now_s += wait_s


def _retrying(store: FaultyStore, clock: Clock, patience_s: float = 100) -> Retrying:
    return Retrying(
        store, patience_s=patience_s, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5
    )


def test_a_verb_that_fails_twice_succeeds() -> None:
    clock, memory = Clock(), open_memory()
    memory.put("k", b"x")
    store = FaultyStore(memory, Fault(verb="get", times=2, error=unavailable()))
    assert _retrying(store, clock).get("k") == b"x"
    assert clock.waits_s == [0.5, 1.0]


def test_a_file_is_sent_whole_on_the_second_attempt() -> None:
    clock, memory = Clock(), open_memory()
    store = FaultyStore(memory, Fault(verb="put", times=1, error=unavailable()))
    file = io.BytesIO(b"whole")
    file.read()
    _retrying(store, clock).put("k", file)
    assert memory.get("k") == b"whole"


def test_what_will_not_change_is_not_tried_again() -> None:
    denied = AccessDeniedError("No.", remedy="Ask.")
    store = FaultyStore(open_memory(), Fault(verb="get", keys="denied", error=denied))
    retrying = _retrying(store, Clock())
    with pytest.raises(AccessDeniedError):
        retrying.get("denied")
    with pytest.raises(ObjectNotFoundError):
        retrying.get("not-there")
    assert len(store.calls) == 2


def test_it_gives_up_after_five_attempts() -> None:
    store = FaultyStore(open_memory(), Fault(verb="find", error=unavailable()))
    with pytest.raises(StoreUnavailableError):
        _retrying(store, Clock()).find("k")
    assert len(store.calls) == 5


def test_it_gives_up_when_its_patience_ends() -> None:
    clock = Clock()
    store = FaultyStore(open_memory(), Fault(verb="list", error=unavailable()))
    with pytest.raises(StoreUnavailableError):
        list(_retrying(store, clock, patience_s=2).list())
    assert clock.now_s <= 2
    assert len(store.calls) == 3


def _asks(wait_s: float) -> StoreUnavailableError:
    return StoreUnavailableError("Too many requests.", remedy="Wait.", wait_s=wait_s)


def test_a_store_that_asks_to_be_left_alone_is_and_patience_does_not_end_meanwhile() -> None:
    clock, memory = Clock(), open_memory()
    memory.put("k", b"x")
    store = FaultyStore(memory, Fault(verb="get", times=2, error=_asks(60)))
    assert _retrying(store, clock, patience_s=10).get("k") == b"x"
    assert clock.waits_s == [60, 60]


def test_a_wait_that_is_shorter_than_ours_is_ours() -> None:
    clock, memory = Clock(), open_memory()
    memory.put("k", b"x")
    store = FaultyStore(memory, Fault(verb="get", times=1, error=_asks(0)))
    _retrying(store, clock).get("k")
    assert clock.waits_s == [0.5]


def test_who_asks_for_too_long_is_not_waited_for() -> None:
    clock = Clock()
    store = FaultyStore(open_memory(), Fault(verb="get", error=_asks(3600)))
    with pytest.raises(StoreUnavailableError):
        _retrying(store, clock).get("k")
    assert clock.waits_s == []


def test_publishing_is_tried_again_and_a_conflict_is_not() -> None:
    clock, memory = Clock(), open_memory()
    faults = [Fault(verb=verb, times=1, error=unavailable()) for verb in ("put", "publish")]
    retrying = _retrying(FaultyStore(memory, *faults), clock)
    retrying.put("a", b"1")
    swap(retrying, "k", b"1", expected=None)
    assert (memory.get("a"), memory.get("k")) == (b"1", b"1")
    assert clock.waits_s == [0.5, 0.5]
    with pytest.raises(ConflictError):
        swap(retrying, "k", b"2", expected=None)
    assert clock.waits_s == [0.5, 0.5]


class Notes(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_what_takes_longer_than_a_second_is_said_once_and_why() -> None:
    clock, notes = Clock(), Notes()
    store = FaultyStore(open_memory(), Fault(verb="find", times=4, error=unavailable()))
    retrying = Retrying(
        store, progress=notes, patience_s=100, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5
    )
    assert retrying.find("k") is None
    assert clock.waits_s == [0.5, 1.0, 2.0, 4.0]
    assert notes.notes == ["The store did not answer. Trying again for a few seconds."]


def test_a_wait_that_the_store_asks_for_is_said() -> None:
    clock, notes = Clock(), Notes()
    store = FaultyStore(open_memory(), Fault(verb="find", times=1, error=_asks(60)))
    retrying = Retrying(store, progress=notes, clock=clock, sleep=clock.sleep)
    assert retrying.find("k") is None
    assert notes.notes == ["Too many requests. Trying again in 1 m 0 s."]


def test_what_is_over_within_a_second_is_not_said() -> None:
    clock, notes = Clock(), Notes()
    store = FaultyStore(open_memory(), Fault(verb="find", times=1, error=unavailable()))
    retrying = Retrying(store, progress=notes, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)
    assert retrying.find("k") is None
    assert notes.notes == []


def test_where_nobody_is_two_seconds_are_enough() -> None:
    clock = Clock()
    nobody = StoreUnavailableError("Not reached.", remedy="Start it.", is_absent=True)
    store = FaultyStore(open_memory(), Fault(verb="find", error=nobody))
    with pytest.raises(StoreUnavailableError):
        _retrying(store, clock).find("k")
    assert 0 < clock.now_s <= 2
    assert len(store.calls) == 3
