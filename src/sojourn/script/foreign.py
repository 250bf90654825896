"""Libraries whose readers or writers are C code that opens files by itself, past Python's `open`.

Each row names a function or method and where its path stands; it is wrapped once its module is
imported. What is not listed here opens `/content/…` literally, and fails.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any, Protocol

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


class FindPath(Protocol):
    """Maps a path that a library is about to open."""

    def __call__(self, path: Any, *, writes: bool) -> Any:
        """Return the path to open instead."""
        ...


# module → dotted name in it → (position of the path, its keyword, whether it is written)
_OPENERS: dict[str, dict[str, tuple[int, str, bool]]] = {
    "torch.serialization": {
        "_open_zipfile_writer": (0, "name_or_buffer", True),
        "load": (0, "f", False),
    },
    "torch": {"load": (0, "f", False), "from_file": (0, "filename", False)},
    "cv2": {
        "imread": (0, "filename", False),
        "imwrite": (0, "filename", True),
    },
    "h5py": {"File.__init__": (1, "name", False)},
    "pandas": {
        "read_parquet": (0, "path", False),
        "read_hdf": (0, "path_or_buf", False),
        "DataFrame.to_parquet": (1, "path", True),
        "DataFrame.to_feather": (1, "path", True),
        "DataFrame.to_hdf": (1, "path_or_buf", True),
    },
    "pyarrow.parquet": {
        "read_table": (0, "source", False),
        "write_table": (1, "where", True),
        "ParquetFile.__init__": (1, "source", False),
    },
    "pyarrow.csv": {"read_csv": (0, "input_file", False), "open_csv": (0, "input_file", False)},
    "pyarrow.feather": {"read_table": (0, "source", False)},
    "polars": {
        "read_csv": (0, "source", False),
        "scan_csv": (0, "source", False),
        "read_parquet": (0, "source", False),
        "scan_parquet": (0, "source", False),
    },
    "safetensors.torch": {
        "load_file": (0, "filename", False),
        "save_file": (1, "filename", True),
    },
    "sqlite3": {"connect": (0, "database", True)},
}
# numpy's reader of text keeps `io.open` in a table when it is imported.
_NUMPY_TEXT = "numpy.lib._datasource"


def watch_foreign_openers(find_path: FindPath) -> Callable[[], None]:
    """Wrap each opener when its module is imported; return what undoes it."""
    undo: list[Callable[[], None]] = []

    def wrap_all(module: ModuleType) -> None:
        for dotted, place in _OPENERS[module.__name__].items():
            holder: Any = module
            *classes, name = dotted.split(".")
            for part in classes:
                holder = getattr(holder, part, None)
            original = getattr(holder, name, None)
            if original is not None:
                undo.append(functools.partial(setattr, holder, name, original))
                setattr(holder, name, _wrapped(original, place, find_path))

    def refresh_numpy(module: ModuleType) -> None:
        openers = module._file_openers._file_openers  # noqa: SLF001
        undo.append(functools.partial(openers.__setitem__, None, openers[None]))
        openers[None] = io.open

    undo.append(after_import({**dict.fromkeys(_OPENERS, wrap_all), _NUMPY_TEXT: refresh_numpy}))

    def restore() -> None:
        while undo:
            undo.pop()()

    return restore


def _wrapped(original: Any, place: tuple[int, str, bool], find_path: FindPath) -> Any:
    position, keyword, writes = place

    @functools.wraps(original)
    def opener(*args: Any, **kwargs: Any) -> Any:
        if len(args) > position:
            args = (
                *args[:position],
                find_path(args[position], writes=writes),
                *args[position + 1 :],
            )
        elif keyword in kwargs:
            kwargs[keyword] = find_path(kwargs[keyword], writes=writes)
        return original(*args, **kwargs)

    return opener
