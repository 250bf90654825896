from collections.abc import Callable
from pathlib import Path

import pytest

import sojourn.api
from sojourn.errors import SojournError, StoreError, UsageError
from sojourn.localpath import check_reachable, local_path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    return folder


def _loop(place: Path) -> str:
    (place / "loop").symlink_to(place / "loop")
    return str(place / "loop")


def _long(place: Path) -> str:
    return str(place / ("n" * 300))


def _below_loop(place: Path) -> str:
    return _loop(place) + "/below"


def _nobodys_home(_place: Path) -> str:
    return "~nobody-of-that-name/x"


def _empty(_place: Path) -> str:
    return ""


PLACES = pytest.mark.parametrize("place", [_loop, _long, _below_loop, _nobodys_home, _empty])


@PLACES
def test_a_store_that_cannot_be_looked_at_is_refused(
    place: Callable[[Path], str], data: Path, tmp_path: Path
) -> None:
    where = place(tmp_path)
    for use in (
        lambda: sojourn.api.push(data, where),
        lambda: sojourn.api.pull(where, tmp_path / "new"),
        lambda: sojourn.api.open_dataset(where),
        lambda: sojourn.api.verify(where),
    ):
        with pytest.raises(StoreError) as caught:
            use()
        assert caught.value.remedy


@PLACES
def test_a_folder_that_cannot_be_looked_at_is_refused(
    place: Callable[[Path], str], data: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    sojourn.api.push(data, store)
    where = place(tmp_path)
    for use in (
        lambda: sojourn.api.push(where, store),
        lambda: sojourn.api.pull(store, where),
        lambda: sojourn.api.verify(store, where),
    ):
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.remedy


def test_a_path_is_a_store_too(data: Path, tmp_path: Path) -> None:
    sojourn.api.push(data, tmp_path / "store")
    assert "a.csv" in sojourn.api.open_dataset(tmp_path / "store").files()
    report = sojourn.api.pull(tmp_path / "store", tmp_path / "back")
    assert (report.folder / "a.csv").read_text() == "x\n1\n"


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", "~nobody-of-that-name"])
@pytest.mark.parametrize("error", [UsageError, StoreError])
def test_a_text_that_is_no_path_is_refused(text: str, error: type[SojournError]) -> None:
    with pytest.raises(error):
        local_path(text, error=error)


def test_a_name_that_is_not_in_utf_8_is_a_path() -> None:
    assert local_path("a\udcff") == Path("a\udcff")


def test_what_is_not_there_yet_can_be_reached(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "new", tmp_path / "file" / "below"):
        assert check_reachable(path) == path
