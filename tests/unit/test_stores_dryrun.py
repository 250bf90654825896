import pytest

from sojourn.errors import ConflictError, StoreError
from sojourn.stores.dryrun import DryRun
from sojourn.stores.objects import open_memory
from sojourn.testing.store_contract import swap


def test_nothing_is_written_or_deleted_and_all_is_read() -> None:
    memory = open_memory()
    memory.put("k", b"old")
    dry = DryRun(memory)
    dry.put("k", b"new")
    dry.put("other", b"new")
    dry.delete("k")
    assert dry.get("k") == b"old"
    assert dry.get_range("k", offset=1, size_bytes=1) == b"l"
    assert dry.find("other") is None
    assert [entry.key for entry in dry.list()] == ["k"]


def test_what_a_store_would_refuse_is_refused() -> None:
    with pytest.raises(StoreError):
        DryRun(open_memory()).put("../k", b"")


def test_what_would_be_replaced_is_looked_at_and_stays() -> None:
    memory = open_memory()
    memory.put("k", b"old")
    dry = DryRun(memory)
    dry.put("other", b"new")
    swap(dry, "k", b"new", expected=b"old")
    with pytest.raises(ConflictError):
        swap(dry, "k", b"new", expected=None)
    assert memory.get("k") == b"old"
    assert memory.find("other") is None
