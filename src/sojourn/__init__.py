"""Sojourn: know before you rent, move the data at the speed of the link, run the job within budget.

Public names are imported when first used, so that `import sojourn` is quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sojourn.api import login, plan, probe, pull, push, run, share
    from sojourn.api import open_dataset as open  # noqa: A004
    from sojourn.dataset.dataset import Dataset
    from sojourn.errors import SojournError
    from sojourn.planning.plan import Plan

_HOME = {
    "Dataset": ("sojourn.dataset.dataset", "Dataset"),
    "Plan": ("sojourn.planning.plan", "Plan"),
    "SojournError": ("sojourn.errors", "SojournError"),
    "login": ("sojourn.api", "login"),
    "open": ("sojourn.api", "open_dataset"),
    "plan": ("sojourn.api", "plan"),
    "probe": ("sojourn.api", "probe"),
    "pull": ("sojourn.api", "pull"),
    "push": ("sojourn.api", "push"),
    "run": ("sojourn.api", "run"),
    "share": ("sojourn.api", "share"),
}

__version__ = "0.1.0"
__all__ = [
    "Dataset",
    "Plan",
    "SojournError",
    "login",
    "open",
    "plan",
    "probe",
    "pull",
    "push",
    "run",
    "share",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sojourn' has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
