"""On which line of a catalog something stands, for the errors that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sojourn.catalog import load_catalog
from sojourn.catalog.lines import find_line
from sojourn.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = '''# mine
[accelerators.t4]
name = "T4"
notes = """
[runtime_types."colab/t4"]
vcpus = 9
"""

[ runtime_types . 'colab/t4' ] # the small one
  "vcpus" = 2
rate_units_per_hour=-1
[runtime_types."colab/t4".sources]
vcpus = { source = "x" }
'''


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        ("accelerators.t4", None, 2),
        ("accelerators.t4", "name", 3),
        ('runtime_types."colab/t4"', None, 9),
        ('runtime_types."colab/t4"', "vcpus", 10),
        ('runtime_types."colab/t4"', "rate_units_per_hour", 11),
        ('runtime_types."colab/t4"', "missing", 9),
        ('runtime_types."colab/l4"', "vcpus", None),
    ],
)
def test_a_key_is_found_on_its_line_and_not_in_texts(
    table: str, key: str | None, line: int | None
) -> None:
    assert find_line(TEXT, table, key) == line


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (TEXT, "line 11, row"),
        ("\n[accelerators.t4]\nmemory_byte = 1\n", "line 3, row [accelerators.t4]"),
        ('[runtime_types."colab/t4"]\naccelerator = "t5"\n', "line 2, row"),
        ('[runtime_types]\n"colab/t4".vcpus = 0\n', "catalog.toml, row"),
    ],
)
def test_the_error_names_file_line_row_and_key(tmp_path: Path, text: str, where: str) -> None:
    overlay = tmp_path / "catalog.toml"
    overlay.write_text(text, "utf-8")
    with pytest.raises(CatalogError) as refused:
        load_catalog(overlay)
    assert str(overlay) in refused.value.message
    assert where in refused.value.message
