"""The module that a script runs as."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sojourn.script.main_module import make_main

if TYPE_CHECKING:
    import pytest

AS_PYTHON_HAS_IT = """
assert __name__ == "__main__"
assert __spec__ is None and __package__ is None
names = {name for name in globals() if not (name.startswith("__") and name.endswith("__"))}
"""


def test_a_script_finds_what_python_puts_there_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    main = make_main("/a/train.py")
    exec(AS_PYTHON_HAS_IT, vars(main))

    assert sys.modules["__main__"] is main
    assert main.__file__ == "/a/train.py"
    assert vars(main)["names"] == set()
