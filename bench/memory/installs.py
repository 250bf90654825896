"""The packages that only this benchmark needs, each set in a folder of its own.

They are other versions than the project's own environment has, so they are put in front of it on
PYTHONPATH for the processes that need them, and the environment stays as it is. All are exact
(requirements/*.txt) and are installed without dependencies.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
TRANSFORMERS, TORCHVISION, BASELINES = "transformers", "torchvision", "baselines"


def folder_of(name: str) -> Path:
    """Return the folder that holds requirements/NAME.txt, installing it the first time.

    Raises:
        subprocess.CalledProcessError: if pip cannot install it.
    """
    requirements = HERE / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = CACHE / "installed" / f"{name}-{digest}"
    whole = folder / ".whole"
    if not whole.exists():
        print(f"installing {requirements.name} into {folder}", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--upgrade"]
        subprocess.run([*pip, "--target", folder, "--requirement", requirements], check=True)
        whole.touch()
    return folder


def environment(*names: str, threads: int = 1) -> dict[str, str]:
    """Return this process's environment with these sets in front, offline."""
    folders = [str(folder_of(name)) for name in names]
    given = os.environ.get("PYTHONPATH")
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*folders, given] if given else folders),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def package_of(sequence: int | None) -> str:
    """Return the set that builds a row's model: texts have a length, images none."""
    return TORCHVISION if sequence is None else TRANSFORMERS
