"""The picture in ARCHITECTURE.md is what import-linter enforces."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_floors_in_the_picture_are_the_layers_that_are_enforced() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    drawn = re.search(r"<!-- floors: begin -->\n```\n(.*?)\n```", text, re.DOTALL)
    assert drawn is not None
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(c for c in settings["contracts"] if c["type"] == "layers")["layers"]
    assert drawn[1].splitlines() == [layer.replace("sojourn.", "") for layer in layers]


def test_every_room_has_its_place_in_the_picture() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(c for c in settings["contracts"] if c["type"] == "layers")["layers"]
    placed = set(re.findall(r"sojourn\.(\w+)", " ".join(layers)))
    rooms = {
        path.stem
        for path in (ROOT / "src" / "sojourn").iterdir()
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }
    # The shipped contract suite is a room for tests, outside the house.
    assert rooms - {"testing"} == placed


def test_environment_variables_are_read_where_the_picture_says() -> None:
    rooms = ROOT / "src" / "sojourn"
    reading = {
        path.relative_to(rooms).as_posix()
        for path in rooms.rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    }
    # Others, and the child processes, which set their own, are given the variables.
    edges = {"api.py", "planner.py", "prober.py", "stores/url.py", "dataset/ray_engine.py"}
    children = {
        *("script/quiet.py", "tracing/child.py", "tracing/probe_child.py", "tracing/device.py"),
    }
    assert {
        path for path in reading if not path.startswith(("cli/", "runtimes/", "testing/"))
    } == edges | children
