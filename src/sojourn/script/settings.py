"""Values in OmegaConf's settings (hydra's `cfg`), read from where they are kept.

Its own look-up may run functions of the user's (resolvers), and is not asked. What refers to
something else (`${train.epochs}`) is not told.
"""

from __future__ import annotations

from typing import Any

_LIBRARY = "omegaconf"
# Source: omegaconf 2.1 and later, basecontainer.py and nodes.py.
_CONTENT, _VALUE = "_content", "_val"
_REFERENCE = "${"


def settings_content(thing: Any) -> dict[Any, Any] | list[Any] | None:
    """Return what a DictConfig or ListConfig holds, by key or place; None for all else."""
    content = _kept(thing, _CONTENT)
    return content if type(content) in {dict, list} else None


def settings_value(thing: Any) -> Any:
    """Return the value of a node in settings; all else is its own value.

    Raises:
        LookupError: the node refers to another.
    """
    value = _kept(thing, _VALUE, or_else=thing)
    if type(value) is str and _REFERENCE in value:
        raise LookupError(value)
    return value


def _kept(thing: Any, name: str, *, or_else: Any = None) -> Any:
    if type(thing).__module__.partition(".")[0] != _LIBRARY:
        return or_else
    return object.__getattribute__(thing, "__dict__").get(name, or_else)
