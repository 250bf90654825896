"""Where modules that are imported already keep a function under a name of their own.

`from os import listdir` copies the function; replacing `os.listdir` afterwards does not reach it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# The originals' own homes, Python's source reader (tracebacks show real files), and ourselves.
_LEFT_ALONE = {"posix", "_io", "io", "os", "builtins", "tokenize", "linecache"}


def find_captures(function: Any) -> Iterator[tuple[ModuleType, str]]:
    """Yield each (module, name) that holds `function`, apart from its home."""
    for name, module in list(sys.modules.items()):
        if module is None or name in _LEFT_ALONE or name.startswith(("sojourn.", "importlib.")):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is function:
                yield module, attribute
