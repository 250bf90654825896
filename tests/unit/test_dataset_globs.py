import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("**/", PATHS),
        ("test/**/", ["test/C", "test/C/a.csv", "test/C/b.csv", "test/x.csv"]),
        ("***", PATHS),
        ("**/**/a.csv", ["test/C/a.csv"]),
        ("te**/*.csv", ["test/C/a.csv", "test/C/b.csv", "test/x.csv"]),
        ("*e*t/*/*a*.*s*", ["test/C/a.csv"]),
        ("**e*t**a*v", ["test/C/a.csv"]),
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


def _names(path: str, glob: str) -> bool:
    """Tell the same as `matches`, slowly: of stars, `?` and letters only."""
    if not glob:
        return not path
    if glob.startswith("**/"):
        ends = [at + 1 for at, letter in enumerate(path) if letter == "/"]
        return any(_names(path[end:], glob[3:]) for end in (0, *ends))
    if glob.startswith("**"):
        return any(_names(path[at:], glob[2:]) for at in range(len(path) + 1))
    if glob.startswith("*"):
        component = path.partition("/")[0]
        return any(_names(path[at:], glob[1:]) for at in range(len(component) + 1))
    same = path[:1] == glob[0] or (glob[0] == "?" and path[:1] not in ("", "/"))
    return same and _names(path[1:], glob[1:])


@given(
    path=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join),
    glob=st.lists(
        st.lists(st.sampled_from(["a", "b", "?", "*", "**"]), min_size=1, max_size=4)
        .map("".join)
        .filter(lambda part: "***" not in part and (part == "**" or not part.endswith("**"))),
        min_size=1,
        max_size=4,
    ).map("/".join),
)
def test_a_glob_names_what_its_letters_say(path: str, glob: str) -> None:
    # A name without stars takes the folder of that name, too.
    expected = _names(path, glob) or (not set("*?") & set(glob) and path.startswith(f"{glob}/"))
    assert matches(path, glob) == expected


@pytest.mark.parametrize(
    "glob", ["*a" * 40 + "*b", "*" * 41 + "b", "**a" * 40 + "b", "**/" * 40 + "b"]
)
def test_many_stars_take_no_longer_than_one(glob: str) -> None:
    # Tried in every way, these would take longer than the world is old.
    assert not matches("/".join(["a" * 60] * 4) + "c", glob)
