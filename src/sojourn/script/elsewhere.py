"""Arguments that name a file where the command was typed, which a script does not find by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def found_elsewhere(arguments: Sequence[str], *, here: Path, script: Path) -> list[str]:
    """Return a note for each argument that is a path from `here` and none from the script's folder.

    Args:
        arguments: What the script gets, `--data=./pets` among it.
        here: The folder in which the command was typed.
        script: Its folder is where the script's relative paths begin, in a plan and in a run.
    """
    paths = [argument.partition("=")[2] or argument for argument in arguments]
    return [
        f"the script gets {path!r}, which is in {here}, but not beside {script.name}, where its "
        f"paths are looked for: if it is to open that, give {str((here / path).resolve())!r}"
        for path in dict.fromkeys(paths)
        if _exists(here / path) and not _exists(script.parent / path)
    ]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file can have
        return False
