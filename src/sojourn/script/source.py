"""A training script, or a notebook's code cells, as Python that compiles, with its line labels.

It reads and rewrites text; it runs nothing. What a notebook adds to Python is in `cells`.
"""

from __future__ import annotations

import bisect
import io
import json
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError, UsageError
from sojourn.script.cells import Cell, plain_cell

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import CodeType

_FUTURE = "from __future__ import "


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


def read_source(path: Path) -> ScriptSource:
    """Read a .py or .ipynb.

    Raises:
        UsageError: there is no such file, or it is neither a script nor a notebook.
        TraceError: it is not valid Python, or not a valid notebook.
    """
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
    _check_compiles(source)
    return source


def _python_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
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
    for number, text in enumerate(_code_cells(path), start=1):
        cell = plain_cell(text)
        starts.append(len(lines) + 2)
        lines.extend(_without_future(cell.lines, future))
        skipped.extend(_skipped_lines(path, number, cell))
    code = "\n".join(["; ".join(future), *lines, ""])
    return ScriptSource(path=path, code=code, cell_starts=tuple(starts), skipped=tuple(skipped))


def _skipped_lines(path: Path, number: int, cell: Cell) -> Iterable[str]:
    return (f"{path.name}[{number}]:{line}: {text}" for line, text in cell.skipped)


def _without_future(lines: Iterable[str], found: list[str]) -> Iterable[str]:
    for line in lines:
        if line.startswith(_FUTURE):
            found.append(line.partition("#")[0].strip().rstrip(";"))
            yield "pass"
        else:
            yield line


def _code_cells(path: Path) -> list[str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TraceError(
            f"{path.name} is not a notebook: its JSON is broken ({error}).",
            remedy="Open it in Colab or Jupyter, save it again, and try the saved file.",
        ) from error
    try:
        cells = [_text(cell["source"]) for cell in document["cells"] if _is_code(cell)]
    except (KeyError, TypeError) as error:
        raise TraceError(
            f"{path.name} is not a notebook of format 4: it has no list of cells with a source.",
            remedy="Save it again from Colab or Jupyter: File → Download → .ipynb.",
        ) from error
    if not cells:
        raise TraceError(
            f"{path.name} holds no code cell.", remedy="Give a notebook that trains a model."
        )
    return cells


def _is_code(cell: Any) -> bool:
    return bool(cell["cell_type"] == "code")


def _text(source: Any) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _compile(code: str, filename: str) -> CodeType:
    with warnings.catch_warnings():
        # A stray backslash in the user's string is not ours to complain about.
        warnings.simplefilter("ignore")
        return compile(code, filename, "exec", dont_inherit=True)


def _check_compiles(source: ScriptSource) -> None:
    try:
        _compile(source.code, source.filename)
    except SyntaxError as error:
        line = error.lineno or 1
        text = (error.text or source.code.split("\n")[line - 1]).strip()
        raise TraceError(
            f"{source.label(line)} is not valid Python: {error.msg}: `{text}`.",
            remedy="Mend that line, run the script once by hand, and try again.",
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise TraceError(
            f"{source.path.name} cannot be compiled: {error}.",
            remedy="Look for null bytes or extremely deep nesting in the file.",
        ) from error
