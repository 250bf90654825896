"""A training script, or a notebook's code cells, as Python that compiles, with its line labels.

It reads and rewrites text; it runs nothing. A notebook's file is read in `notebook`; what its cells
add to Python is in `cells`.
"""

from __future__ import annotations

import bisect
import io
import shlex
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sojourn.errors import TraceError, UsageError
from sojourn.localpath import check_reachable
from sojourn.printable import shortened
from sojourn.redact import hide_keys
from sojourn.script.cells import Cell, plain_cell
from sojourn.script.exits import with_exits
from sojourn.script.notebook import code_cells, without_future

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import CodeType

# Letters of a line that is quoted.
_LONGEST_LINE = 120
_SUFFIXES = (".py", ".ipynb")
# Of a folder's scripts, as many as fit into a sentence.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSource:
    """A script ready to be compiled.

    `cell_starts` holds the line of `code` on which each code cell begins, counted from 1, and is
    empty for a .py file. `skipped` says, line by line, what of a notebook is left out.
    """

    path: Path
    code: str
    cell_starts: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """The name under which `compiled` files the code: what a frame's `co_filename` says."""
        return str(self.path)

    def label(self, line: int) -> str:
        """Name a line of `code` as its author knows it: `train.py:41`, `baseline.ipynb[3]:12`.

        For a notebook: which code cell, counted from 1, and which line in it.
        """
        cell = bisect.bisect_right(self.cell_starts, line)
        if cell == 0:
            return f"{self.path.name}:{line}"
        return f"{self.path.name}[{cell}]:{line - self.cell_starts[cell - 1] + 1}"

    def compiled(self) -> CodeType:
        """Compile the code under `filename`. A `SyntaxError` cannot occur: it was read before."""
        return _compile(self.code, self.filename)

    def compiled_with_exits(self) -> CodeType:
        """Compile the code so that each of its loops can be left, see `exits`."""
        return _compile(with_exits(self.code, self.filename), self.filename)


def read_source(path: Path) -> ScriptSource:
    """Read a .py or .ipynb.

    Raises:
        UsageError: there is no such file, it cannot be read, or is neither a script nor a notebook.
        TraceError: it is not valid Python, or not a valid notebook.
    """
    if check_reachable(path).is_dir():
        raise _is_folder(path)
    if not path.is_file():
        raise UsageError(
            f"There is no script {str(path)!r}.",
            remedy="Give the path of a .py or .ipynb file.",
        )
    if path.suffix == ".py":
        source = ScriptSource(path=path, code=_python_text(path))
    elif path.suffix == ".ipynb":
        source = _notebook(path)
    else:
        raise UsageError(
            f"{path.name!r} is neither a .py nor a .ipynb file.",
            remedy="Give a Python script or a notebook.",
        )
    _check_compiles(source.code, path, source.label)
    return source


def _is_folder(path: Path) -> UsageError:
    """Return the error for a folder, with the scripts and notebooks that lie in it."""
    try:
        found = sorted(p.name for p in path.iterdir() if p.suffix in _SUFFIXES and p.is_file())
    except OSError:
        found = []
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    names = ", ".join([*(shlex.quote(name) for name in found[:_MOST_NAMED]), *more])
    return UsageError(
        f"{str(path)!r} is a folder, not a script.",
        remedy=f"Name one of the files in it: {names}."
        if found
        else "Give the path of a .py or .ipynb file; this folder holds none, itself.",
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            remedy="Make it a file that you may read.",
        ) from error


def _python_text(path: Path) -> str:
    raw = _bytes(path)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    # LookupError: the codec that is named makes no text (hex, rot13, zlib).
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise TraceError(
            f"{path.name} cannot be read as text: {error}.",
            remedy="Save it as UTF-8, or name its encoding in a `# -*- coding: … -*-` first line.",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _notebook(path: Path) -> ScriptSource:
    lines: list[str] = []
    starts: list[int] = []
    skipped: list[str] = []
    future: list[str] = []
    # Line 1 is kept for what must stand first in the joined code whichever cell it stood in.
    for number, text in enumerate(code_cells(path, _bytes(path)), start=1):
        cell = plain_cell(text)
        # Alone, so that a string left open does not run into the next cell.
        _check_compiles("\n".join(cell.lines), path, _labels_of_cell(path, number))
        starts.append(len(lines) + 2)
        kept, imports = without_future(cell.lines)
        lines.extend(kept)
        future.extend(imports)
        skipped.extend(_skipped_lines(path, number, cell))
    code = "\n".join(["; ".join(future), *lines, ""])
    return ScriptSource(path=path, code=code, cell_starts=tuple(starts), skipped=tuple(skipped))


def _labels_of_cell(path: Path, number: int) -> Callable[[int], str]:
    return lambda line: f"{path.name}[{number}]:{line}"


def _skipped_lines(path: Path, number: int, cell: Cell) -> Iterable[str]:
    return (f"{path.name}[{number}]:{line}: {text}" for line, text in cell.skipped)


def _compile(code: str | ast.Module, filename: str) -> CodeType:
    with warnings.catch_warnings():
        # A stray backslash in the user's string is not ours to complain about.
        warnings.simplefilter("ignore")
        return compile(code, filename, "exec", dont_inherit=True)


def _check_compiles(code: str, path: Path, label: Callable[[int], str]) -> None:
    try:
        _compile(code, str(path))
    except SyntaxError as error:
        line = error.lineno or 1
        # Not the error's own text: where the compiler has none left, it looks into the file.
        text = "".join(code.split("\n")[line - 1 : line]).strip()
        text = shortened(hide_keys(text), _LONGEST_LINE)
        raise TraceError(
            f"{label(line)} is not valid Python: {error.msg}: `{text}`.",
            remedy="Mend that line, run the script once by hand, and try again.",
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise TraceError(
            f"{path.name} cannot be compiled: {why}.",
            remedy="Look for null bytes or extremely deep nesting in the file.",
        ) from error
