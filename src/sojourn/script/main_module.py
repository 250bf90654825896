"""The module that a script runs as: `__main__`, with nothing in it but what Python puts there.

Whoever runs a script is `__main__` itself until then. In its names the script would find what it
forgot to import, and processes that it starts afresh would look there for its functions.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType


def make_main(filename: str) -> ModuleType:
    """Put a module of that file in the place of `__main__`, for the rest of the process."""
    module = ModuleType("__main__")
    module.__file__ = filename
    vars(module)["__builtins__"] = builtins
    sys.modules["__main__"] = module
    return module
