"""Folders of this machine as stores: each object is a file. `objects` does the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.errors import ObjectNotFoundError, StoreError
from sojourn.localpath import check_reachable
from sojourn.stores.base import Capabilities
from sojourn.stores.objects import ObjectStore, local_handle

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.stores.objects import Handle


def open_folder(
    folder: Path, *, check: Callable[[], None] | None = None, lists_slowly: bool = False
) -> ObjectStore:
    """Return the store that keeps its objects as files in a folder; made when first written to.

    Args:
        folder: Which folder.
        check: Called before each use; raises a `StoreError` where the folder is not what it was.
        lists_slowly: Objects are to be looked up by name.

    Raises:
        StoreError: the path is a file, or cannot be looked at.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links
    check_reachable(folder, error=StoreError)
    if folder.exists() and not folder.is_dir():
        raise StoreError(
            f"{folder} is a file, and a store is a folder.",
            remedy="Name a folder, or a path that does not exist yet.",
        )

    def to_read() -> Handle:
        if check is not None:
            check()
        if not folder.is_dir():
            raise ObjectNotFoundError(
                f"There is no folder {folder}.", remedy="Check the path of the store."
            )
        return local_handle(folder)

    def to_write() -> Handle:
        if check is not None:
            check()
        folder.mkdir(parents=True, exist_ok=True)
        return local_handle(folder)

    return ObjectStore(
        to_read=to_read,
        to_write=to_write,
        url=str(folder),
        capabilities=Capabilities(local_folder=folder.resolve(), lists_slowly=lists_slowly),
    )
