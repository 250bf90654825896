"""The sample job's baseline: one program, as a script and as a notebook."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "leak_detection"
SETTINGS = ("HIDDEN", "WINDOW", "STRIDE", "BATCH_SIZE", "EPOCHS", "LR", "TEST_FILES")


def notebook() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "baseline.ipynb").read_text("utf-8"))
    return loaded


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in notebook()["cells"] if cell["cell_type"] == "code"]


def notebook_code() -> str:
    lines = [line for cell in code_cells() for line in (*cell_lines(cell), "")]
    return "\n".join(line for line in lines if not line.startswith(("!", "%")))


def cell_lines(cell: dict[str, Any]) -> list[str]:
    return "".join(cell["source"]).splitlines()


def script_code() -> str:
    return (FOLDER / "baseline.py").read_text("utf-8")


def names(statement: ast.stmt) -> set[str]:
    found = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    found |= {node.name for node in ast.walk(statement) if isinstance(node, ast.alias)}
    return found


def settings(code: str) -> dict[str, ast.expr]:
    return {
        statement.targets[0].id: statement.value
        for statement in ast.parse(code).body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id in SETTINGS
    }


def program(code: str) -> list[str]:
    """Return the statements but those by which the two forms differ on purpose, in no order."""
    apart = {"argparse", "parser", "args", "plt", "matplotlib.pyplot"}
    return sorted(
        ast.dump(statement)
        for statement in ast.parse(code).body
        if not names(statement) & apart and not _sets(statement, SETTINGS)
    )


def _sets(statement: ast.stmt, targets: tuple[str, ...]) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id in targets for target in statement.targets
    )


def test_notebook_and_script_hold_the_same_program() -> None:
    assert "class LSTMAutoencoder" in notebook_code()
    assert program(notebook_code()) == program(script_code())


def test_the_notebook_sets_what_the_script_has_as_defaults() -> None:
    in_notebook = {
        name: ast.literal_eval(value) for name, value in settings(notebook_code()).items()
    }
    arguments = {
        "--" + ast.unparse(value).removeprefix("args.").replace("_", "-"): name
        for name, value in settings(script_code()).items()
    }
    defaults = {
        arguments[ast.literal_eval(call.args[0])]: ast.literal_eval(
            next(keyword.value for keyword in call.keywords if keyword.arg == "default")
        )
        for call in ast.walk(ast.parse(script_code()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "parser.add_argument"
    }
    assert in_notebook == defaults
    assert (defaults["HIDDEN"], defaults["WINDOW"], defaults["BATCH_SIZE"]) == (1024, 10080, 64)


def test_both_are_as_people_write_them_for_colab() -> None:
    for code in (notebook_code(), script_code()):
        assert "sojourn" not in code
        assert "from google.colab import drive" in code
        assert 'pd.read_csv("/content/data/train/TRAIN_A.csv")' in code
    magics = [line for cell in code_cells() for line in cell_lines(cell) if line[:1] in "!%"]
    assert {"!pip install -q tqdm", "%matplotlib inline"} <= set(magics)


def test_the_notebook_is_kept_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells())
