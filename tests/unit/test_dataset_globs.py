import unicodedata

import pytest

from sojourn.dataset.globs import matches, near, select
from sojourn.errors import UsageError

PATHS = [
    "readme.md",
    "test",
    "test/C",
    "test/C/a.csv",
    "test/C/b.csv",
    "test/x.csv",
    "tést/[1].csv",
]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.csv", []),
        ("test/*.csv", ["test/x.csv"]),
        ("test/*/*.csv", ["test/C/a.csv", "test/C/b.csv"]),
        ("**/*.csv", ["test/C/a.csv", "test/C/b.csv", "test/x.csv", "tést/[1].csv"]),
        ("**/readme.md", ["readme.md"]),
        ("**", PATHS),
        ("test/**", ["test/C", "test/C/a.csv", "test/C/b.csv", "test/x.csv"]),
        ("test/*", ["test/C", "test/x.csv"]),
        ("test/C", ["test/C", "test/C/a.csv", "test/C/b.csv"]),
        ("t?st/C/", ["test/C", "test/C/a.csv", "test/C/b.csv"]),
        ("./readme.md", ["readme.md"]),
        ("test/C/[ac].csv", ["test/C/a.csv"]),
        ("test/C/[!a].csv", ["test/C/b.csv"]),
        ("test/C/[a-z].csv", ["test/C/a.csv", "test/C/b.csv"]),
        ("tést/[[]1].csv", ["tést/[1].csv"]),
        ("test[!x]C", []),
        ("TEST/x.csv", []),
        (unicodedata.normalize("NFD", "tést/*"), ["tést/[1].csv"]),
    ],
)
def test_what_a_glob_names(glob: str, expected: list[str]) -> None:
    assert [path for path in PATHS if matches(path, glob)] == expected


def test_several_globs_name_together_in_the_order_of_the_set() -> None:
    assert select(PATHS, ("test/x.csv", "*.md")) == ["readme.md", "test/x.csv"]
    assert select(PATHS, ()) == PATHS


def test_a_glob_that_names_nothing_tells_near_names() -> None:
    with pytest.raises(UsageError, match=r"test/C/a\.csv"):
        select(PATHS, ("readme.md", "test/C/aa.csv"))


def test_a_set_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no glob"):
        matches("x", "[z-a]")


def test_names_in_other_case_are_near() -> None:
    assert near("README.MD", PATHS) == "Near names: readme.md."


def test_a_letter_in_two_pieces_is_the_letter() -> None:
    path = unicodedata.normalize("NFD", "자료/가.csv")
    assert matches(path, "자료/?.csv")
    assert matches(path, "자료")
    assert matches(path, path)
    assert near("자료/나.csv", [path]) == f"Near names: {path}."


def test_where_nothing_is_near_the_list_is_pointed_to() -> None:
    assert "sojourn ls" in near("zzzzzzzz", PATHS)
