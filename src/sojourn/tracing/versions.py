"""Which torch and which systems tracing is known to work with. Imports no torch.

Tracing rests on torch's inside (`device` says on what), so that a version counts only once all of
`bench/torch_versions.py` gave the same forecasts with it as with the others.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata

from sojourn.errors import MissingPackageError, TraceError, UsageError

# Minor releases; the newest patch of each was tried: 2.12.1, 2.13.0, 2.14.1, 2.15.0.
TESTED_TORCH = ("2.12", "2.13", "2.14", "2.15")
# The same as pip understands it.
TESTED_RANGE = "torch>=2.12,<2.16"


def check_surroundings(*, any_torch: bool) -> None:
    """Raise if scripts cannot be traced here, whatever the script.

    Args:
        any_torch: Try a version of torch that is not tested as well.

    Raises:
        TraceError: the system is not Linux.
        MissingPackageError: torch is not installed.
        UsageError: the installed version is not tested.
    """
    check_system(sys.platform)
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise MissingPackageError(
            "`sojourn plan` traces with torch, which is not installed.",
            remedy="pip install 'sojourn[torch]' (a CPU build of torch is enough).",
        ) from None
    if not any_torch:
        check_version(version)


def check_system(system: str) -> None:
    """Raise if scripts cannot be traced on a system, named as in `sys.platform`.

    Raises:
        TraceError: it is not Linux.
    """
    if system.startswith("linux"):
        return
    name = {"darwin": "macOS", "win32": "Windows"}.get(system, system)
    where = {"win32": "in WSL 2, "}.get(system, "")
    raise TraceError(
        f"Scripts can be traced on Linux only; this is {name}.",
        remedy=f"Run `sojourn plan` {where}in a Linux container, or on a Colab CPU runtime "
        "(`pip install 'sojourn[torch]'` in a cell, then `!sojourn plan …`).",
    )


def check_version(version: str) -> None:
    """Raise if tracing is not tested with a version of torch, as `torch.__version__` writes it.

    Raises:
        UsageError: it is not.
    """
    if not is_tested(version):
        raise UsageError(
            f"torch {version} is installed, which tracing is not tested with. Tested are "
            f"{', '.join(TESTED_TORCH)}.",
            remedy=f"Install one of these (pip install '{TESTED_RANGE}'), or try it all the same: "
            "sojourn plan --any-torch.",
        )


def is_tested(version: str) -> bool:
    """Whether tracing is tested with a version of torch, whatever its patch and build."""
    minor = re.match(r"(\d+\.\d+)(?:\.\d+)*(?:\.post\d+)?(?:\+|$)", version)
    return minor is not None and minor[1] in TESTED_TORCH
