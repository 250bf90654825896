"""What the docs name is there: verbs and options, paths, and figures that the code holds."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

from sojourn.cli import VERBS
from sojourn.dataset.contents import KEPT
from sojourn.dataset.readme import README
from sojourn.dataset.shards import Sizes
from sojourn.stores.kaggle import _TITLE_CHARACTERS
from sojourn.units import MIB

ROOT = Path(__file__).parent.parent.parent
DOCS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "bench").glob("*/README.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
# Where a command stands: after a prompt, in a line of a block or in backticks.
COMMAND = re.compile(r"(?m)(?:^\$ |^(?:\.venv/bin/)?|`)sojourn ([a-z]+)([^`\n]*)")
OPTION = re.compile(r"(?<=\s)-{1,2}[a-z][a-z-]*")
# Parts of the tree, without what stands for a name that the reader chooses.
PATH = re.compile(r"`((?:src|tests|bench|docs|examples)/[\w./-]+?)`")
ROOM_FILE = re.compile(r"`([a-z_]+/[a-z_]+\.(?:py|toml))`")
CHOSEN_NAMES = "NAME"
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
SCRATCH = {"bench/.cache", "bench/memory/.cache"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def options_of(verb: str) -> frozenset[str]:
    command = import_module(f"sojourn.cli.{verb}").command
    options = [p for p in command.params if isinstance(p, click.Option)]
    return frozenset({"-h", "--help"}.union(*(option.opts for option in options)))


@pytest.mark.parametrize("doc", DOCS, ids=named)
def test_commands_in_the_docs_are_verbs_with_options_that_they_take(doc: Path) -> None:
    for verb, rest in COMMAND.findall(doc.read_text("utf-8")):
        assert verb in VERBS, f"sojourn {verb}{rest}"
        own = rest.partition(" -- ")[0].partition("#")[0]
        assert set(OPTION.findall(own)) <= options_of(verb), f"sojourn {verb}{rest}"


@pytest.mark.parametrize("doc", DOCS, ids=named)
def test_paths_and_links_in_the_docs_lead_somewhere(doc: Path) -> None:
    text = doc.read_text("utf-8")
    paths = {path for path in PATH.findall(text) if CHOSEN_NAMES not in path} - SCRATCH
    assert not {path for path in paths if not (ROOT / path).exists()}
    links = {link for link in LINK.findall(text) if "://" not in link}
    assert not {link for link in links if not (doc.parent / link).exists()}


def test_files_of_rooms_that_the_architecture_names_are_there() -> None:
    rooms = ROOT / "src" / "sojourn"
    files = ROOM_FILE.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    assert files
    assert not {file for file in files if not any((r / file).exists() for r in (rooms, ROOT))}


def test_every_verb_is_in_the_readme_and_the_changelog() -> None:
    for name in ("README.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text("utf-8")
        assert not {verb for verb in VERBS if not re.search(rf"`(?:sojourn )?{verb}\b", text)}


def test_figures_of_frames_are_those_of_the_code() -> None:
    frame = Sizes().frame_bytes
    data = (ROOT / "docs" / "datasets.md").read_text("utf-8")
    assert f"{KEPT} are kept" in data
    assert f"is more: {frame // MIB} MiB each, in all some {KEPT * frame // MIB} MiB" in data
    assert f"up to {frame // MIB} MiB decoded" in data
    from sojourn.dataset.torch_data import FrameShuffle

    assert f"; {frame // MIB} MiB each" in (FrameShuffle.__doc__ or "")
    help_text = import_module("sojourn.cli.pull").command.help
    assert f"parts of {frame // MIB} to {2 * frame // MIB} MiB" in help_text


def test_figures_of_stores_are_those_of_the_code() -> None:
    stores = (ROOT / "docs" / "stores.md").read_text("utf-8")
    assert f"the README ({len(README):,})" in stores
    assert f"{_TITLE_CHARACTERS[0]} to {_TITLE_CHARACTERS[-1]} characters" in stores
