"""The packages that the rows' models need, each set in a folder of its own.

As in bench/memory, whose transformers is the one that is used here too: its models of 2025 take
attention apart where they are told to, as those did that were measured.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEMORY = HERE.parent / "memory"
_SETS = (
    (HERE / "requirements" / "timm.txt", HERE / ".cache"),
    (HERE / "requirements" / "monai.txt", HERE / ".cache"),
    (MEMORY / "requirements" / "transformers.txt", MEMORY / ".cache"),
)


def environment() -> dict[str, str]:
    """Return this process's environment with all sets in front, offline."""
    folders = [str(_folder_of(requirements, cache)) for requirements, cache in _SETS]
    given = os.environ.get("PYTHONPATH")
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*folders, given] if given else folders),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _folder_of(requirements: Path, cache: Path) -> Path:
    """Return the folder that holds a set, installing it the first time.

    Raises:
        subprocess.CalledProcessError: if pip cannot install it.
    """
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache / "installed" / f"{requirements.stem}-{digest}"
    whole = folder / ".whole"
    if not whole.exists():
        print(f"installing {requirements.name} into {folder}", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--upgrade"]
        subprocess.run([*pip, "--target", folder, "--requirement", requirements], check=True)
        whole.touch()
    return folder
