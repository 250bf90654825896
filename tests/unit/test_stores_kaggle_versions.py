import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import IntegrityError, StoreError
from sojourn.stores.kaggle_limits import load_limits
from sojourn.stores.kaggle_versions import (
    Index,
    Place,
    View,
    dump_index,
    first_to_change,
    guide,
    is_unpacked,
    merge,
    parse_index,
)

_PLACES = st.builds(
    Place, version=st.none() | st.integers(1, 10**6), size_bytes=st.integers(0, 10**15)
)
_KEYS = st.text("abc한 .%", min_size=1).filter(lambda key: key not in (".", ".."))


@given(places=st.dictionaries(_KEYS, _PLACES, max_size=8))
def test_an_index_comes_back_as_it_was_written(places: dict[str, Place]) -> None:
    index = Index(commit="0123456789abcdef", places=places)
    assert parse_index(dump_index(index), where="x") == index


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"schema": "sojourn.kaggle/1", "commit": "x"},
        {"schema": "sojourn.kaggle/1", "commit": "x", "objects": {"k": {"version": 0}}},
        {
            "schema": "sojourn.kaggle/1",
            "commit": "x",
            "objects": {"k": {"version": -1, "size_bytes": 1}},
        },
    ],
)
def test_what_is_no_index_is_refused(document: object) -> None:
    with pytest.raises(IntegrityError, match="x is damaged"):
        parse_index(json.dumps(document).encode(), where="x")


@pytest.mark.parametrize("field", ["version", "size_bytes"])
@pytest.mark.parametrize("value", ["1e400", "NaN", "1.5", "true", '"1"', "[]", "-1"])
def test_a_place_that_is_no_number_is_refused(field: str, value: str) -> None:
    place = {"version": "1", "size_bytes": "1"} | {field: value}
    text = ", ".join(f'"{name}": {number}' for name, number in place.items())
    data = f'{{"schema": "sojourn.kaggle/1", "commit": "x", "objects": {{"k": {{{text}}}}}}}'
    with pytest.raises(IntegrityError, match="x is damaged"):
        parse_index(data.encode(), where="x")


def test_an_index_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(IntegrityError, match="x is damaged"):
        parse_index(b"[" * 100_000, where="x")


def test_a_key_that_leads_out_of_the_set_is_refused() -> None:
    document = {
        "schema": "sojourn.kaggle/1",
        "commit": "x",
        "objects": {"../k": {"version": 1, "size_bytes": 1}},
    }
    with pytest.raises(StoreError, match="cannot name an object"):
        parse_index(json.dumps(document).encode(), where="x")


def test_an_index_of_a_newer_program_says_so() -> None:
    with pytest.raises(StoreError, match="newer sojourn"):
        parse_index(b'{"schema": "sojourn.kaggle/2", "objects": {}}', where="x")


def test_what_was_unpacked_is_in_the_version_of_its_archive() -> None:
    places = {
        "shards/a.tar.zst": Place(version=3, size_bytes=1),
        "b": Place(version=4, size_bytes=1),
    }
    view = View(version=5, commit=None, places=places)
    for folder in ("shards/a.tar.zst", "shards/a.tar", "shards/a"):
        assert view.version_of(f"{folder}/in/side.txt") == 3
        assert is_unpacked("shards/a.tar.zst", [f"{folder}/in/side.txt"])
    assert view.version_of("b") == 4
    assert view.version_of("shards/ab/x") is None
    assert view.version_of("shards") is None
    assert not is_unpacked("shards/a.tar.zst", ["shards/ab/x"])


def test_the_guide_names_each_version_once_and_the_newest_last() -> None:
    places = {f"k{n}": Place(version=v, size_bytes=1) for n, v in enumerate([2, 1, 2, None])}
    text = guide("me/leaks", Index(commit="x", places=places)).decode()
    lines = [line for line in text.splitlines() if line.startswith("kaggle datasets")]
    assert lines == [
        "kaggle datasets download me/leaks/1 --unzip -p set",
        "kaggle datasets download me/leaks/2 --unzip -p set",
        "kaggle datasets download me/leaks --unzip -p set",
    ]


def test_limits_are_known_or_none() -> None:
    limits = load_limits()
    assert limits.file_bytes is None
    assert limits.dataset_bytes == limits.account_bytes == 200 * 10**9


def at(version: int) -> Place:
    return Place(version=version, size_bytes=1)


def view(version: int, **places: int) -> View:
    settled = {key: at(found) for key, found in places.items()}
    return View(version=version, commit=f"{version}", places=settled)


_BASE = {"same": at(1), "theirs": at(1), "ours": at(1), "both": at(1), "gone": at(1)}


def test_merging_takes_what_only_the_other_changed_and_keeps_the_rest() -> None:
    ours = _BASE | {"ours": at(3), "both": at(3), "new": at(3)}
    other = {"same": at(1), "theirs": at(2), "ours": at(1), "both": at(2), "added": at(2)}
    merged = merge(ours, base=_BASE, other=other)
    assert merged == {
        "same": at(1),
        "theirs": at(2),
        "ours": at(3),
        "both": at(3),
        "new": at(3),
        "added": at(2),
    }


@given(
    base=st.dictionaries(_KEYS, _PLACES, max_size=6),
    other=st.dictionaries(_KEYS, _PLACES, max_size=6),
)
def test_merging_into_what_did_not_change_gives_the_other(
    base: dict[str, Place], other: dict[str, Place]
) -> None:
    assert merge(base, base=base, other=other) == other
    assert merge(other, base=base, other=other) == other
    assert merge(other, base=base, other=base) == other


def test_who_began_from_what_was_first_counts_and_who_did_not_does_not() -> None:
    base = {"head": at(1)}
    first = view(2, head=2, one=2)
    beside = view(3, head=3, two=3)
    after = view(4, head=4, one=2, three=4)
    other = view(5, head=1, four=5)
    assert first_to_change("head", [first, beside], base=base) == at(2)
    assert first_to_change("head", [first, beside, after], base=base) == at(4)
    assert first_to_change("head", [other], base=base) is None
    assert first_to_change("head", [], base=base) is None
