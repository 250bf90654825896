"""A notebook's file: its code cells as text, and `from __future__` imports found in them.

It reads; what a cell adds to Python is in `cells`, and how cells become one script in `source`.
"""

from __future__ import annotations

import ast
import json
import warnings
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Kernels that Colab lends besides Python's; it names them in its notebooks, and no language.
_KERNEL_LANGUAGES = {"ir": "R", "julia": "Julia"}


def code_cells(path: Path, raw: bytes) -> list[str]:
    """Return the text of each code cell.

    Raises:
        TraceError: it is no notebook of format 4, its language is not Python, or it has no code.
    """
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    # A number of thousands of digits is a ValueError of another kind.
    except (ValueError, RecursionError) as error:
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
    _check_language(path, document)
    if not cells:
        raise TraceError(
            f"{path.name} holds no code cell.", remedy="Give a notebook that trains a model."
        )
    return cells


def _check_language(path: Path, document: dict[str, Any]) -> None:
    metadata = _table(document.get("metadata"))
    kernel = _table(metadata.get("kernelspec"))
    language = (
        kernel.get("language")
        or _table(metadata.get("language_info")).get("name")
        or _KERNEL_LANGUAGES.get(str(kernel.get("name")))
    )
    if language and "python" not in str(language).lower():
        raise TraceError(
            f"{path.name} is a notebook in {language}, and only Python with PyTorch is planned.",
            remedy="Give a notebook whose kernel is Python; if this one is, choose the kernel "
            "again in Colab or Jupyter, and save it.",
        )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_code(cell: Any) -> bool:
    return bool(cell["cell_type"] == "code")


def _text(source: Any) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_future(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the `from __future__` imports out of a cell that compiles.

    Returns:
        As many lines as there were, and the imports, which have to stand first in a script.
    """
    kept = list(lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statements = ast.parse("\n".join(lines)).body
    imports = [s for s in statements if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
    # From the last to the first, as what is replaced is no longer where the parser saw it.
    for statement in reversed(imports):
        _cut(kept, statement)
    return kept, [ast.unparse(statement) for statement in imports]


def _cut(lines: list[str], statement: ast.ImportFrom) -> None:
    """Put `pass` in the place of a statement, which may go over several lines."""
    first = statement.lineno - 1
    last = (statement.end_lineno or statement.lineno) - 1
    # The parser counts bytes.
    before = lines[first].encode()[: statement.col_offset].decode()
    after = lines[last].encode()[statement.end_col_offset :].decode()
    lines[first : last + 1] = [before, *[""] * (last - first)]
    lines[last] += f"pass{after}"
