"""Leaves the loops around training once a round was seen, for what follows the last epoch.

A second round would show nothing new, and hundreds of them take too long. What is compiled of the
script, and of the modules beside it, has an exit in each loop (`script/exits.py`).
"""

from __future__ import annotations

import functools
import sys
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING, Any

from sojourn.script.exits import install_exits, open_exits, with_exits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sojourn.tracing.stack import RunningLoop


class Leaving:
    """Leaves running loops at the beginning of their next round.

    Args:
        label: Names a line of the user's own code, and gives None for everybody else's.
        on_leave: Called before a loop is left.
    """

    def __init__(
        self, label: Callable[[str, int], str | None], on_leave: Callable[[], None]
    ) -> None:
        self._label = label
        self._on_leave = on_leave
        self._names: dict[str, Any] = {}
        self._waiting: set[str] = set()

    def install(self) -> None:
        """Give the modules beside the script exits too, for the rest of the process."""
        self._names = vars(sys.modules["__main__"])
        install_exits(self._leaves, self._names)
        get_code = SourceFileLoader.get_code

        @functools.wraps(get_code)
        def with_exits_if_own(loader: Any, name: str) -> Any:
            if self._label(loader.path, 1) is None:
                return get_code(loader, name)
            tree = with_exits(loader.get_data(loader.path), loader.path)
            return loader.source_to_code(tree, loader.path)

        SourceFileLoader.get_code = with_exits_if_own  # type: ignore[method-assign,assignment]

    def begin(self, loops: Iterable[RunningLoop]) -> None:
        """Leave these loops when they come to their next round."""
        self._waiting = {loop.label for loop in loops}
        if self._waiting:
            open_exits(self._names)

    def _leaves(self, line: int) -> bool:
        filename = sys._getframe(1).f_code.co_filename  # noqa: SLF001 - the loop that asks
        label = self._label(filename, line)
        if label not in self._waiting:
            return False
        self._on_leave()
        return True
