import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.dataset.links import destination, leads_outside, led_to


@pytest.mark.parametrize(
    ("path", "target"),
    [("a", "b"), ("a", "."), ("d/a", "../b"), ("d/e/a", "../../b/c"), ("a", "b/../c"), ("a", "a")],
)
def test_a_link_that_stays_inside(path: str, target: str) -> None:
    assert not leads_outside(path, {path: target})


@pytest.mark.parametrize(
    ("path", "target"),
    [("a", ".."), ("a", "../x"), ("d/a", "../../x"), ("a", "/x"), ("a", "b/../../c"), ("a", "/")],
)
def test_a_link_that_leads_outside(path: str, target: str) -> None:
    assert leads_outside(path, {path: target})


def test_links_on_the_way_are_followed() -> None:
    assert leads_outside("b", {"a": ".", "b": "a/.."})
    assert leads_outside("b", {"d/a": "../e", "b": "d/a/../.."})
    assert not leads_outside("b", {"a": "d/e", "b": "a/.."})


def test_loops_lead_nowhere() -> None:
    assert not leads_outside("a", {"a": "b", "b": "a"})
    assert not leads_outside("a", {"a": "a/a/a/a"})


def test_a_destination_is_where_all_links_are_followed() -> None:
    links = {"d/a": "../b", "b": "e", "loop": "loop", "out": "../x", "top": "d/.."}
    assert destination("d/a", links) == "e"
    assert destination("d/a/c", links) == "e/c"
    assert destination("d", links) == "d"
    assert destination("top", links) == ""
    assert destination("loop", links) is None
    assert destination("out", links) is None


_target = st.lists(st.sampled_from(["..", ".", "a", "b", "d", "d/e"]), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    links=st.dictionaries(
        st.sampled_from(["a", "b", "d/a", "d/e/b"]), _target.map("/".join), min_size=1
    )
)
def test_what_is_said_to_stay_inside_does_so_on_a_disk(links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # Deep enough that what leads outside can be told from what loops.
        root = Path(os.path.realpath(scratch)) / "1" / "2" / "3" / "4" / "5" / "root"
        (root / "d" / "e").mkdir(parents=True)
        for path, target in links.items():
            (root / path).symlink_to(target)
        for path in links:
            if leads_outside(path, links):
                continue
            try:
                real = (root / path).resolve(strict=True)
            except (OSError, RuntimeError):
                continue
            assert real.is_relative_to(root)


def test_a_link_leads_to_what_it_names_and_to_the_links_on_the_way() -> None:
    links = {"best": "runs/last/model", "runs/last": "02", "runs/02/model": "../../weights"}
    paths = [*links, "runs/01/model", "runs/02", "runs/02/log", "weights", "weights-old"]
    assert led_to(["best"], links, paths) == {"runs/last", "runs/02/model", "weights"} | {
        "runs/02",
        "runs/02/log",
    }
    assert led_to(["weights"], links, paths) == set()


def test_a_link_to_a_folder_leads_to_all_that_is_in_it() -> None:
    paths = ["a", "a/b", "a/b/c", "a-1", "a0", "here"]
    assert led_to(["here"], {"here": "a"}, paths) == {"a", "a/b", "a/b/c"}
    assert led_to(["here"], {"here": "here"}, paths) == set()
