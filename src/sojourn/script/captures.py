"""Where modules that are imported already keep a function under a name of their own.

`from os import listdir` copies the function; replacing `os.listdir` afterwards does not reach it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from types import ModuleType

# The originals' own homes, Python's source reader (tracebacks show real files), and ourselves.
_LEFT_ALONE = {"posix", "_io", "io", "os", "builtins", "tokenize", "linecache"}


def find_captures(functions: Container[int]) -> Iterator[tuple[ModuleType, str, Any]]:
    """Yield (module, name, function) for each that is kept apart from its home.

    Args:
        functions: The `id` of each function that is looked for.
    """
    for name, module in list(sys.modules.items()):
        if module is None or name in _LEFT_ALONE or name.startswith(("sojourn.", "importlib.")):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in functions:
                yield module, attribute, value
