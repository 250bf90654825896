"""Do something to a module right after it is imported, whenever that may be."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def after_import(actions: Mapping[str, Callable[[ModuleType], None]]) -> Callable[[], None]:
    """Call each action with its module once that is imported; now, if it is already.

    Returns:
        A function that stops watching. What an action has done, it must undo itself.
    """
    for name, action in actions.items():
        if name in sys.modules:
            action(sys.modules[name])
    finder = _Watcher(actions)
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder)


class _Watcher(MetaPathFinder):
    def __init__(self, actions: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._actions = actions

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._actions:
            return None
        for finder in sys.meta_path:
            if finder is self or isinstance(finder, _Watcher):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Acting(spec.loader, self._actions_for(fullname))
                return spec
        return None

    def _actions_for(self, name: str) -> list[Callable[[ModuleType], None]]:
        watchers = [finder for finder in sys.meta_path if isinstance(finder, _Watcher)]
        return [w._actions[name] for w in watchers if name in w._actions]  # noqa: SLF001


class _Acting(Loader):
    """The module's own loader, and the actions afterwards."""

    def __init__(self, loader: Any, actions: list[Callable[[ModuleType], None]]) -> None:
        self._loader = loader
        self._actions = actions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module shall look as if its own loader had loaded it.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            action(module)
