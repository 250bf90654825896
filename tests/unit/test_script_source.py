from __future__ import annotations

import ast
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import TraceError, UsageError
from sojourn.script.cells import plain_cell
from sojourn.script.notebook import without_future
from sojourn.script.source import read_source

if TYPE_CHECKING:
    from pathlib import Path


def notebook(folder: Path, *cells: str | list[str]) -> Path:
    path = folder / "baseline.ipynb"
    code = [{"cell_type": "code", "source": cell} for cell in cells]
    path.write_text(json.dumps({"nbformat": 4, "cells": code}))
    return path


def run(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(read_source(path).compiled(), names)
    return names


def test_a_script_keeps_its_text_and_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("x = 1\ny = 2\n")
    source = read_source(path)
    assert source.code == "x = 1\ny = 2\n"
    assert source.label(2) == "train.py:2"
    assert source.skipped == ()


def test_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(b"\xef\xbb\xbfx = '''a\r\nb'''\r\n")
    assert run(path)["x"] == "a\nb"


def test_an_encoding_cookie_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_bytes("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"))
    assert run(path)["x"] == "é"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(b"x = '\xe9'\n")
    with pytest.raises(TraceError, match="cannot be read as text"):
        read_source(path)


def test_a_missing_script_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no script .*gone\.py"):
        read_source(tmp_path / "gone.py")


def test_a_folder_is_called_one_and_its_scripts_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a script") as caught:
        read_source(tmp_path)
    assert "holds none" in caught.value.remedy
    for name in ("train.py", "my data.ipynb", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "package.py").mkdir()
    with pytest.raises(UsageError) as caught:
        read_source(tmp_path)
    assert caught.value.remedy == "Name one of the files in it: 'my data.ipynb', train.py."
    for number in range(20):
        (tmp_path / f"{number:02}.py").write_text("")
    with pytest.raises(UsageError, match=r"08\.py, 09\.py, and 12 more\."):
        read_source(tmp_path)


def test_another_kind_of_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(UsageError, match=r"data\.csv"):
        read_source(tmp_path / "data.csv")


def test_a_syntax_error_is_told_with_label_and_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\nfor in x:\n")
    with pytest.raises(TraceError, match=r"train\.py:2 .*`for in x:`"):
        read_source(tmp_path / "train.py")


def test_what_parses_but_does_not_compile_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\nreturn x\n")
    with pytest.raises(TraceError, match=r"train\.py:2"):
        read_source(tmp_path / "train.py")


def test_null_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(b"x = 1\0\n")
    with pytest.raises(TraceError):
        read_source(tmp_path / "train.py")


def test_a_syntax_error_in_a_notebook_names_its_cell(tmp_path: Path) -> None:
    path = notebook(tmp_path, "x = 1", "y = 2\nfor in x:\n")
    with pytest.raises(TraceError, match=r"baseline\.ipynb\[2\]:2 .*`for in x:`"):
        read_source(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"worksheets": []}', '{"cells": [{}]}', "\xff"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TraceError, match=r"x\.ipynb"):
        read_source(path)


def test_a_notebook_without_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no code cell"):
        read_source(notebook(tmp_path))


def test_labels_count_code_cells_and_lines_in_them(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    cells = [
        {"cell_type": "markdown", "source": "# hello"},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
        {"cell_type": "code", "source": "raise ValueError"},
    ]
    path.write_text(json.dumps({"cells": cells}))
    source = read_source(path)
    line = source.code.split("\n").index("raise ValueError") + 1
    assert source.label(line) == "n.ipynb[2]:1"
    assert source.label(line - 1) == "n.ipynb[1]:2"


def test_magics_and_shell_lines_are_left_out_and_told(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        "!pip install \\\n    wntr\n%matplotlib inline\nfiles = !ls\nm = %who_ls\nif files == []:\n"
        "    !nvidia-smi\n    x = 3\n?len\nlen?\npip install six\n",
    )
    assert run(path)["x"] == 3
    assert read_source(path).skipped == (
        "baseline.ipynb[1]:1: !pip install  wntr",
        "baseline.ipynb[1]:3: %matplotlib inline",
        "baseline.ipynb[1]:4: files = !ls",
        "baseline.ipynb[1]:5: m = %who_ls",
        "baseline.ipynb[1]:7: !nvidia-smi",
        "baseline.ipynb[1]:9: ?len",
        "baseline.ipynb[1]:10: len?",
        "baseline.ipynb[1]:11: pip install six",
    )


def test_a_shell_line_with_open_quotes_and_brackets_is_left_out(tmp_path: Path) -> None:
    path = notebook(tmp_path, "!echo 'it's (\nx = 1\n!echo [ \\\n")
    assert run(path)["x"] == 1


def test_percent_and_exclamation_mark_inside_strings_stay(tmp_path: Path) -> None:
    text = "!ls\ns = '''\n!keep\n%keep\n'''\nr = (7\n% 4)\n"
    names = run(notebook(tmp_path, text))
    assert names["s"] == "\n!keep\n%keep\n"
    assert names["r"] == 3


def test_the_code_behind_a_timing_magic_is_kept(tmp_path: Path) -> None:
    names = run(notebook(tmp_path, "%time x = 1\n%timeit -n 3 -r 1 y = x + 1\n"))
    assert (names["x"], names["y"]) == (1, 2)


def test_the_code_below_a_cell_magic_that_times_is_kept(tmp_path: Path) -> None:
    path = notebook(tmp_path, "\n%%time\n!ls\nx = 1")
    assert run(path)["x"] == 1
    assert read_source(path).skipped == ("baseline.ipynb[1]:3: !ls",)


@pytest.mark.parametrize("magic", ["bash", "sh", "html", "javascript", "R"])
def test_a_cell_in_another_language_is_left_out_whole(tmp_path: Path, magic: str) -> None:
    path = notebook(tmp_path, f"%%{magic}\nfor x in *; do", "y = 1")
    assert run(path)["y"] == 1
    assert read_source(path).skipped == (f"baseline.ipynb[1]:1: %%{magic}",)


def test_writefile_writes_the_module_that_a_later_cell_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = notebook(
        tmp_path,
        "%%writefile written_module.py\ndef f():\n    return '%x!'\n",
        "%%writefile -a written_module.py\ny = 2",
        "import written_module",
    )
    module = run(path)["written_module"]
    assert (module.f(), module.y) == ("%x!", 2)


def test_cd_env_and_mkdir_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_SETTING", "old")
    path = notebook(
        tmp_path,
        "!mkdir -p out/a 'b c'\n%cd out\n%env SOME_SETTING=new value\n%cd nowhere\n"
        "import os\nhere = os.getcwd()\nsetting = os.environ['SOME_SETTING']",
    )
    names = run(path)
    assert (tmp_path / "b c").is_dir()
    assert names["here"] == str(tmp_path / "out")
    assert names["setting"] == "new value"


def test_future_imports_of_any_cell_come_first(tmp_path: Path) -> None:
    path = notebook(tmp_path, "x = 1", "from __future__ import annotations\ny: Unknown = 2")
    assert run(path)["y"] == 2


def test_a_future_import_over_several_lines_comes_first_too(tmp_path: Path) -> None:
    cell = (
        "from __future__ import (  # é\n    annotations,\n    division,\n); y: Unknown = 2\nz = 3"
    )
    path = notebook(tmp_path, "text = '''\nfrom __future__ import braces\n'''", cell)
    assert run(path)["y"] == 2
    assert run(path)["text"] == "\nfrom __future__ import braces\n"
    source = read_source(path)
    line = source.code.split("\n").index("z = 3") + 1
    assert source.label(line) == "baseline.ipynb[2]:5"


@given(
    st.sampled_from(["'''doc'''; ", "'é'; ", ""]),
    st.sampled_from(["annotations", "(annotations)", "(\nannotations,\n)", "\\\n annotations"]),
    st.sampled_from(["", "; x = 1", "  # why", ";"]),
)
def test_a_cell_without_its_future_imports_keeps_its_lines(
    before: str, names: str, after: str
) -> None:
    cell = f"{before}from __future__ import {names}{after}\nlast = 1"
    lines, imports = without_future(cell.split("\n"))
    ast.parse("\n".join(lines))
    assert imports == ["from __future__ import annotations"]
    assert (len(lines), lines[-1]) == (cell.count("\n") + 1, "last = 1")


def test_a_wrong_future_import_names_its_cell_and_line(tmp_path: Path) -> None:
    path = notebook(tmp_path, "x = 1", "from __future__ import nope")
    with pytest.raises(TraceError) as caught:
        read_source(path)
    assert "baseline.ipynb[2]:1 is not valid Python" in caught.value.message
    assert "`from __future__ import nope`" in caught.value.message


def test_a_string_left_open_ends_with_its_cell(tmp_path: Path) -> None:
    path = notebook(tmp_path, "x = 1\ny = '''", "z = '''a'''")
    with pytest.raises(TraceError, match=r"baseline\.ipynb\[1\]:2 is not valid Python"):
        read_source(path)


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}, "R"),
        ({"kernelspec": {"name": "ir", "display_name": "R"}}, "R"),
        ({"language_info": {"name": "julia"}}, "julia"),
    ],
)
def test_a_notebook_in_another_language_is_refused(
    tmp_path: Path, metadata: dict[str, Any], language: str
) -> None:
    path = notebook(tmp_path, "x <- 1")
    path.write_text(json.dumps({**json.loads(path.read_text()), "metadata": metadata}))
    with pytest.raises(TraceError, match=f"is a notebook in {language}, and only Python"):
        read_source(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        {"kernelspec": {"name": "conda-env", "language": "python"}},
        {"kernelspec": None, "language_info": {"name": "ipython"}},
        [],
    ],
)
def test_a_notebook_in_python_is_read_whatever_its_kernel_is_called(
    tmp_path: Path, metadata: object
) -> None:
    path = notebook(tmp_path, "x = 1")
    path.write_text(json.dumps({**json.loads(path.read_text()), "metadata": metadata}))
    assert run(path)["x"] == 1


@pytest.mark.parametrize("codec", ["hex", "rot13", "zlib", "undefined", "punycode", "nope"])
def test_a_codec_that_makes_no_text_is_refused(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "train.py"
    path.write_bytes(f"# coding: {codec}\nx = '\xe9'\n".encode())
    with pytest.raises(TraceError, match=r"train\.py cannot be read as text"):
        read_source(path)


def test_a_number_too_long_to_read_is_a_broken_notebook(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(f'{{"cells": [], "nbformat": {"4" * 6000}}}')
    with pytest.raises(TraceError, match=r"x\.ipynb is not a notebook: its JSON is broken"):
        read_source(path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File name too long"):
        read_source(tmp_path / f"{'a' * 5000}.py")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_what_may_not_be_entered_or_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "closed" / "train.py"
    path.parent.mkdir()
    path.write_text("x = 1")
    path.chmod(0)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        read_source(path)
    path.parent.chmod(0)
    with pytest.raises(UsageError, match="cannot be looked at: Permission denied"):
        read_source(path)
    path.parent.chmod(0o700)


def test_a_line_that_is_quoted_is_short_and_shows_no_key(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f"API_KEY = 'canary' {'x' * 1000}")
    with pytest.raises(TraceError) as caught:
        read_source(tmp_path / "train.py")
    assert "canary" not in caught.value.message
    (tmp_path / "train.py").write_text(f"x = 1 y {'x' * 1000}")
    with pytest.raises(TraceError) as caught:
        read_source(tmp_path / "train.py")
    assert len(caught.value.message) < 300


_SPECIAL_LINES = st.sampled_from(
    ["!ls", "%magic", "    !ls", "x = !ls", "x?", "?x", "y = 1", "if y:", "    y = 2", "", "# !c"]
)


@given(st.lists(_SPECIAL_LINES, max_size=8))
def test_a_cell_keeps_its_number_of_lines(lines: list[str]) -> None:
    cell = plain_cell("\n".join(lines))
    assert len(cell.lines) == max(len(lines), 1)


@given(st.lists(st.sampled_from(["a = '!x'", "b = 7 % 3", "c = '''\n!d\n'''", "# %e"]), max_size=6))
def test_a_cell_that_is_python_stays_to_the_letter(parts: list[str]) -> None:
    text = "\n".join(parts)
    ast.parse(text)
    cell = plain_cell(text)
    assert "\n".join(cell.lines) == text
    assert cell.skipped == []
