"""What of Colab's own package is used, without Colab: secrets of a notebook, the upload dialog.

As googlecolab/colabtools has them: `google/colab/userdata.py` and `google/colab/files.py`.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sojourn.stores import colab_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator


class NotebookAccessError(Exception):
    """The notebook's owner does not let it have the secret."""


class SecretNotFoundError(Exception):
    """There is no such secret."""


class TimeoutException(Exception):  # noqa: N818 - Colab's name
    """The page did not answer."""


class FakeColab:
    """The two modules, and what they were asked for.

    Attributes:
        secrets: What the notebook has, by name; an error is raised.
        uploaded: What a person chooses in the dialog.
        asked: The names that secrets were asked for, in order.
        saved_in: Where the dialog saved what was chosen.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, str | Exception] = {}
        self.uploaded: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.saved_in: Path | None = None

    def modules(self) -> dict[str, ModuleType]:
        """Return the modules by the names that they are imported by."""
        userdata = ModuleType("google.colab.userdata")
        userdata.__dict__.update(
            get=self._get,
            NotebookAccessError=NotebookAccessError,
            SecretNotFoundError=SecretNotFoundError,
            TimeoutException=TimeoutException,
        )
        files = ModuleType("google.colab.files")
        files.__dict__.update(upload=self._upload)
        package = ModuleType("google.colab")
        return {m.__name__: m for m in (package, userdata, files)}

    def _get(self, name: str) -> str:
        self.asked.append(name)
        found = self.secrets.get(name, SecretNotFoundError(f"Secret {name} does not exist."))
        if isinstance(found, Exception):
            raise found
        return found

    def _upload(self) -> dict[str, bytes]:
        # Colab's own saves the files where one is.
        for name, data in self.uploaded.items():
            Path(name).write_bytes(data)
            self.saved_in = Path.cwd()
        return self.uploaded


@contextmanager
def pretending_colab() -> Iterator[FakeColab]:
    """Have google.colab imported as the fake, as in a kernel on Colab."""
    fake = FakeColab()
    modules = fake.modules()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    colab_secrets.forget()
    try:
        yield fake
    finally:
        colab_secrets.forget()
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
