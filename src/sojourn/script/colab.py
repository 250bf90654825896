"""Stand-ins for what only Colab and Kaggle have: `google.colab`, `kaggle_secrets`, the shell.

They let an unmodified script go on: nothing is mounted, uploaded or asked. Whatever the script
would have got from them is noted.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from sojourn.script.imports import after_import

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ABSENT = object()


def install_colab(
    notes: list[str],
    secrets: Mapping[str, str] | None = None,
    *,
    show: Callable[[object], None] | None = None,
) -> Callable[[], None]:
    """Put the stand-ins in place; return what takes them away.

    Args:
        notes: Gets a line for each thing that the script asks for and does not get.
        secrets: What `userdata.get` and `UserSecretsClient.get_secret` know.
        show: What `display(…)` does with each object; left out: nothing.
    """
    known = secrets or {}
    undo: list[Callable[[], None]] = []
    display = _display(show)
    shell = _Shell(notes)
    for name, module in _modules(notes, known).items():
        _put_module(name, module, undo)
    if importlib.util.find_spec("IPython") is None:
        for name, module in _ipython(shell, display).items():
            _put_module(name, module, undo)
    _put(builtins, "display", display, undo)
    _put(builtins, "get_ipython", lambda: shell, undo)
    if importlib.util.find_spec("ipywidgets") is None:
        undo.append(after_import({"tqdm.notebook": _plain_bars}))

    def restore() -> None:
        while undo:
            undo.pop()()

    return restore


class SecretNotFoundError(Exception):
    """Colab's, for scripts that catch it."""

    def __init__(self, key: str = "") -> None:
        super().__init__(f"Secret {key} does not exist.")


class NotebookAccessError(Exception):
    """Colab's, for scripts that catch it."""

    def __init__(self, key: str = "") -> None:
        super().__init__(f"Notebook does not have access to secret {key}")


class TimeoutException(Exception):  # noqa: N818 - Colab's name
    """Colab's, for scripts that catch it."""


class _StandIn(ModuleType):
    """A module in which whatever is not stood in for is a function that does nothing."""

    def __init__(self, name: str, notes: list[str], **members: Any) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__dict__.update(members)
        self.__dict__["_notes"] = notes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}", self.__dict__["_notes"])


class _Absent:
    """Something that is not stood in for: a function that does nothing, or a module of such."""

    def __init__(self, label: str, notes: list[str]) -> None:
        self._label = label
        self._notes = notes

    def __call__(self, *_args: Any, **_kwargs: Any) -> None:
        _note(self._notes, f"{self._label} does nothing here")

    def __getattr__(self, name: str) -> _Absent:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Absent(f"{self._label}.{name}", self._notes)


class _Shell:
    """What `get_ipython()` returns: magics and shell lines are not run."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self.config: dict[str, Any] = {}
        self.user_ns: dict[str, Any] = {}
        self.events = SimpleNamespace(register=_nothing, unregister=_nothing)
        self.display_formatter = None

    def system(self, command: str) -> None:
        _note(self._notes, f"not run: !{command}")

    def getoutput(self, command: str, *_args: Any, **_kwargs: Any) -> list[str]:
        _note(self._notes, f"not run: !{command}")
        return []

    def run_line_magic(self, name: str, line: str, *_args: Any) -> None:
        _note(self._notes, f"not run: %{name} {line}".rstrip())

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:  # noqa: ARG002
        _note(self._notes, f"not run: %%{name} {line}".rstrip())

    def magic(self, line: str) -> None:
        _note(self._notes, f"not run: %{line}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _nothing


def _modules(notes: list[str], secrets: Mapping[str, str]) -> dict[str, ModuleType]:
    def secret(key: str) -> str:
        if key not in secrets:
            _note(notes, f"secret {key!r} is not known here; the script got an empty text")
        return secrets.get(key, "")

    def upload(*_args: Any, **_kwargs: Any) -> dict[str, bytes]:
        _note(notes, "files.upload gives no files here")
        return {}

    class UserSecretsClient:
        def get_secret(self, label: str) -> str:
            return secret(label)

        def __getattr__(self, name: str) -> Any:
            return _nothing

    members: dict[str, dict[str, Any]] = {
        "drive": {"mount": _nothing, "flush_and_unmount": _nothing},
        "files": {"upload": upload, "download": _nothing, "view": _nothing},
        "userdata": {
            "get": secret,
            "SecretNotFoundError": SecretNotFoundError,
            "NotebookAccessError": NotebookAccessError,
            "TimeoutException": TimeoutException,
        },
        "auth": {"authenticate_user": _nothing},
        "output": {"clear": _nothing, "eval_js": _nothing, "register_callback": _nothing},
        "patches": {"cv2_imshow": _nothing},
        "runtime": {"unassign": _nothing},
        "data_table": {
            "enable_dataframe_formatter": _nothing,
            "disable_dataframe_formatter": _nothing,
            "DataTable": _first_argument,
        },
    }
    colab = "google.colab"
    found: dict[str, ModuleType] = {}
    if "google" not in sys.modules and importlib.util.find_spec("google") is None:
        google = ModuleType("google")
        google.__path__ = []
        found["google"] = google
    found[colab] = _StandIn(colab, notes)
    for name, own in members.items():
        found[f"{colab}.{name}"] = _StandIn(f"{colab}.{name}", notes, **own)
    found["kaggle_secrets"] = _StandIn("kaggle_secrets", notes, UserSecretsClient=UserSecretsClient)
    return found


def _ipython(shell: _Shell, display: Callable[..., None]) -> dict[str, ModuleType]:
    notes: list[str] = []
    ipython = _StandIn(
        "IPython",
        notes,
        get_ipython=lambda: shell,
        version_info=(8, 30, 0, ""),
        __version__="8.30.0",
    )
    kinds = ("HTML", "Image", "Markdown", "Audio", "Video", "Javascript", "SVG", "Latex", "IFrame")
    shown = _StandIn(
        "IPython.display",
        notes,
        display=display,
        clear_output=_nothing,
        **dict.fromkeys(kinds, _Shown),
    )
    core = _StandIn("IPython.core", notes)
    core_display = _StandIn("IPython.core.display", notes, HTML=_Shown, display=display)
    return {
        "IPython": ipython,
        "IPython.display": shown,
        "IPython.core": core,
        "IPython.core.display": core_display,
    }


class _Shown:
    """What `HTML(…)`, `Image(…)` and the like give to `display`."""

    def __init__(self, data: Any = None, *_args: Any, **_kwargs: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"{self.data}" if isinstance(self.data, str) else "<shown in a notebook>"


def _display(show: Callable[[object], None] | None) -> Callable[..., None]:
    def display(*objects: Any, **_kwargs: Any) -> None:
        for shown in objects if show else ():
            show(shown)  # type: ignore[misc]

    return display


def _plain_bars(module: ModuleType) -> None:
    """Give `tqdm.notebook` the plain bar: the one with widgets raises where there are none."""
    std: Any = sys.modules["tqdm.std"]
    for name, plain in (("tqdm", std.tqdm), ("tqdm_notebook", std.tqdm), ("trange", std.trange)):
        setattr(module, name, plain)


def _put_module(name: str, module: ModuleType, undo: list[Callable[[], None]]) -> None:
    before = sys.modules.get(name)
    # Libraries look for Colab with `find_spec`, which refuses a loaded module without a spec.
    module.__spec__ = module.__spec__ or ModuleSpec(name, loader=None)
    sys.modules[name] = module

    def restore() -> None:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before

    undo.append(restore)
    parent, _, child = name.rpartition(".")
    if parent:
        _put(importlib.import_module(parent), child, module, undo)


def _put(holder: Any, name: str, value: Any, undo: list[Callable[[], None]]) -> None:
    before = vars(holder).get(name, _ABSENT)
    setattr(holder, name, value)
    undo.append(
        lambda: delattr(holder, name) if before is _ABSENT else setattr(holder, name, before)
    )


def _note(notes: list[str], line: str) -> None:
    if line not in notes:
        notes.append(line)


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """Do nothing."""


def _first_argument(value: Any, *_args: Any, **_kwargs: Any) -> Any:
    return value
