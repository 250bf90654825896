from datetime import UTC, datetime
from pathlib import Path

import pytest

from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.errors import UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import ObjectStore, open_memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    # Revisions follow from permission bits too, and those of a new file from the umask.
    (folder / "note").write_text("first")
    (folder / "note").chmod(0o644)
    return folder


@pytest.fixture
def memory(folder: Path) -> ObjectStore:
    store = open_memory()
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress())
    return store


def _push_again(folder: Path, store: ObjectStore, *, day: int, message: str) -> str:
    (folder / "note").write_text(f"{day} {message}")
    now = datetime(2026, 3, day, tzinfo=UTC)
    report = push_folder(folder, store, message=message, now=now, progress=NoProgress())
    return report.revision


def test_the_first_digits_of_a_revision_are_enough(memory: ObjectStore, folder: Path) -> None:
    first = load_manifest(memory).revision
    _push_again(folder, memory, day=1, message="second")
    for digits in (4, 10, 15, 16):
        assert load_manifest(memory, revision=first[:digits]).revision == first
    with pytest.raises(UsageError, match="takes 4 digits"):
        load_manifest(memory, revision=first[:3])


def test_digits_that_several_revisions_begin_with_are_refused(
    memory: ObjectStore, folder: Path
) -> None:
    first = load_manifest(memory).revision
    second = _push_again(folder, memory, day=1, message="second")
    other = first[:15] + ("0" if first[15] != "0" else "1")
    memory.put(f"revisions/{other}.json", b"damaged")
    with pytest.raises(UsageError, match=f"2 revisions .* begin with '{first[:4]}'") as caught:
        load_manifest(memory, revision=first[:4])
    assert first in caught.value.remedy
    assert other in caught.value.remedy
    assert second not in caught.value.remedy


def test_an_unknown_revision_tells_the_ten_newest_with_date_and_message(
    memory: ObjectStore, folder: Path
) -> None:
    first = load_manifest(memory).revision
    later = [
        _push_again(folder, memory, day=day, message=f"number {day}\nof many")
        for day in range(1, 12)
    ]
    with pytest.raises(UsageError) as caught:
        load_manifest(memory, revision="0123456789abcdef")
    named = [
        f"{later[day - 1]} (2026-03-{day:02}T00:00:00Z, 'number {day} of many')"
        for day in range(11, 1, -1)
    ]
    said = ", ".join([*named, "and 2 more"])
    assert caught.value.remedy == f"There are, newest first: {said}."
    assert first not in caught.value.remedy


@pytest.mark.parametrize("damaged", [True, False])
def test_revisions_are_told_where_the_newest_manifest_is_damaged_or_gone(
    memory: ObjectStore, folder: Path, *, damaged: bool
) -> None:
    first = load_manifest(memory).revision
    second = _push_again(folder, memory, day=1, message="m" * 100)
    memory.delete("sojourn.json")
    if damaged:
        memory.put("sojourn.json", b"{")
    with pytest.raises(UsageError) as caught:
        load_manifest(memory, revision="0123456789abcdef")
    newest = f"{second} (2026-03-01T00:00:00Z, '{'m' * 59}…')"
    oldest = f"{first} (2026-01-02T00:00:00Z)"
    assert caught.value.remedy == f"There are, newest first: {newest}, {oldest}."
