"""A folder of Google Drive as Colab mounts it: a folder of this machine, with three differences.

Where Drive is not mounted, a folder of that name would be made on the runtime's own disk, and be
gone with it (and Drive could not be mounted any more): that is refused. Its listings are slow and
time out on large folders, so objects are looked up by name. And what is written there is sent to
Google later, by Drive itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import StoreError
from sojourn.stores.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.stores.base import Store

# Where Colab's own snippet mounts it: https://colab.research.google.com/notebooks/io.ipynb
MOUNT = Path("/content/drive")


def is_on_drive(folder: Path, *, mount: Path = MOUNT) -> bool:
    """Tell whether a path is where Colab mounts Drive."""
    return Path(os.path.abspath(folder)).is_relative_to(mount)  # noqa: PTH100 - links stay


def open_drive(
    folder: Path,
    *,
    mount: Path = MOUNT,
    is_mount: Callable[[Path], bool] = os.path.ismount,
) -> Store:
    """Return the store in a folder of a mounted Drive.

    Args:
        folder: Below `mount`.
        mount: Where Drive is mounted.
        is_mount: Tells whether something is mounted at a path.

    Raises:
        StoreError: it is no folder below My Drive or a shared drive, or Drive is not mounted.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay

    def check_mounted() -> None:
        if not is_mount(mount):
            raise StoreError(
                f"Google Drive is not mounted at {mount}, so {folder} would be on the runtime's "
                "own disk, which is lost with it.",
                remedy=f"Run this in a cell, then again what you ran:\n{_cell(mount)}",
            )

    check_mounted()
    parts = folder.relative_to(mount).parts
    if not parts or not (mount / parts[0]).is_dir():
        raise StoreError(
            f"{folder} is none of the drives that are mounted at {mount}.",
            remedy=f"Name a folder in one of them, such as {mount}/MyDrive/data.",
        )
    return open_folder(folder, check=check_mounted, lists_slowly=True)


def _cell(mount: Path) -> str:
    return f'from google.colab import drive; drive.mount("{mount}")'
